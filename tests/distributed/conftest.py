"""Processes that all files of tests share: each takes seconds to start."""

import pytest

from unsup_fast import distributed


@pytest.fixture(scope="session")
def engine():
    """Return an engine of two processes."""
    with distributed.local(2, n_parts=5, n_threads=1) as engine:
        yield engine

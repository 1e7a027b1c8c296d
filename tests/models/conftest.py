"""What all tests of models share."""

from importlib.util import find_spec

import pytest


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """Let torch work in one thread: networks as small as these only wait for a second."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

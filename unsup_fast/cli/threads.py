"""How many threads torch runs in while a command does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unsup_fast.kernels import threads


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch, where it has been imported, run in as many threads; None changes nothing."""
    torch = sys.modules.get("torch")
    if torch is None or n_threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads.effective(n_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)

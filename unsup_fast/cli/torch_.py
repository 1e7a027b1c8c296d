"""Device and threads of torch during a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unsup_fast.cli.errors import UserError
from unsup_fast.kernels import threads

if TYPE_CHECKING:
    import torch


def device_of(name: str | None) -> "torch.device":
    """Return a torch device: the one named, or a GPU if there is one.

    Raises
    ------
    UserError
        If there is no such device here.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--device {name}: {reason}") from error
    return device


def free_memory() -> int:
    """Return the bytes of the host's memory that are free."""
    import torch

    from unsup_fast.models.training.memory import free

    return free(torch.device("cpu"))


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

"""Memory of large results."""

import torch
from torch import Tensor

from unsup_fast.kernels._dispatch import compiled, is_native

LARGE = 4 << 20  # bytes from which the first touch of memory counts


def use_huge_pages(out: Tensor) -> None:
    """Ask the system for large pages of a large new tensor on the CPU.

    The first touch of a small page costs more than the numbers in it. NumPy asks for large ones,
    torch does not; the system may refuse. Without the compiled module nothing asks.
    """
    if out.is_cpu and out.nbytes >= LARGE and is_native():
        in_order = torch.as_strided(out, (out.numel(),), (1,)).view(torch.uint8)
        compiled().use_huge_pages(memory=in_order.numpy())

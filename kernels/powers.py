"""Powers of two of tensors, exact on any device."""

import torch
from torch import Tensor


def power_of_two(exponent: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 2^exponent, for whole numbers from -1022 to 1023 that `dtype` can hold.

    From their bits: `torch.ldexp` multiplies by a power that a GPU may only approximate.
    """
    return (exponent.to(torch.int64) + 1023 << 52).view(torch.float64).to(dtype)

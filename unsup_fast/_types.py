"""Types that all rooms share: arrays, tensors, and what a user may pass for either."""

from typing import TYPE_CHECKING, TypeAlias

import numpy.typing as npt

from unsup_fast.kernels._check import is_tensor
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from torch import Tensor

    ArrayLike: TypeAlias = npt.ArrayLike | Tensor
    """What `numpy.asarray` takes, or a tensor on any device."""
else:
    ArrayLike = npt.ArrayLike

__all__ = ["Array", "ArrayLike", "is_tensor"]

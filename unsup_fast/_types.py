"""Arrays and tensors: the types that all rooms share, and the way from one to the other."""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from unsup_fast.kernels._check import is_tensor
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from torch import Tensor

    ArrayLike: TypeAlias = npt.ArrayLike | Tensor
    """What `numpy.asarray` takes, or a tensor on any device."""
else:
    ArrayLike = npt.ArrayLike

Numbers = TypeVar("Numbers", npt.NDArray[Any], "Tensor")
"""Arrays, or tensors: one kind in all arguments and results of a function."""

__all__ = ["Array", "ArrayLike", "Numbers", "is_tensor", "on_host"]


def on_host(value: ArrayLike) -> Array:
    """Return a tensor on any device, or an array-like, as an array; bfloat16 becomes float32."""
    if not is_tensor(value):
        return np.asarray(value)
    if value.dtype == sys.modules["torch"].bfloat16:  # NumPy has no such type
        value = value.float()
    array: Array = value.detach().cpu().numpy()
    return array

"""The origin that distances and products are measured from: the median of about a hundred rows.

Unlike the mean, it does not follow a few far outliers, from where the other rows could not be
distinguished. As its values are values of X, subtracting it is exact for integers, and constant
columns become zero.
"""

from typing import TYPE_CHECKING, overload

import numpy as np

from unsup_fast.kernels import _check
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SAMPLE", "median_row", "origin", "sample_slice"]

SAMPLE = 100  # rows, about


def sample_slice(n_rows: int) -> slice:
    """Return the slice of evenly spaced rows, 100 to 199 of them or all, whose median is taken."""
    return slice(0, n_rows, max(1, n_rows // SAMPLE))


@overload
def median_row(sample: Array) -> Array: ...
@overload
def median_row(sample: "Tensor") -> "Tensor": ...
def median_row(sample: "Array | Tensor") -> "Array | Tensor":
    """Return the upper median of each column of some rows.

    Parameters
    ----------
    sample : ndarray or tensor of shape (M, D), M >= 1

    Returns
    -------
    ndarray or tensor of shape (D,)
        Of the type, and for a tensor on the device, of the rows.
    """
    half = len(sample) // 2
    if _check.is_tensor(sample):
        return sample.sort(dim=0).values[half].clone()
    median: Array = np.partition(sample, half, axis=0)[half].copy()
    return median


@overload
def origin(X: Array) -> Array: ...
@overload
def origin(X: "Tensor") -> "Tensor": ...
def origin(X: "Array | Tensor") -> "Array | Tensor":
    """Return the origin of the rows of an array or tensor [N, D], N >= 1; its shape is [D]."""
    return median_row(X[sample_slice(len(X))])

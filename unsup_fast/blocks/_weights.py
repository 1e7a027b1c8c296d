"""A weight for each row."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import npy
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks._files import kind_of

LARGEST = {4: (1e-30, 1e30), 8: (1e-150, 1e150)}  # range of the largest, by bytes of a float


def read_vector(path: str | Path, n_rows: int) -> Array:
    """Read one number a row from an `.npy` file, as weights need.

    Parameters
    ----------
    path : path-like
    n_rows : int

    Raises
    ------
    DataError
        If it is not such a vector of length `n_rows`.
    """
    path = Path(path)
    if kind_of(path) != "npy":
        raise DataError(f"{path}: weights must be an .npy file or the name of a column")
    vector = npy.load(path)
    if vector.shape not in ((n_rows,), (n_rows, 1)):
        raise DataError(f"{path}: has shape {vector.shape}; {n_rows} weights are needed")
    if vector.dtype.kind not in "fiub":
        raise DataError(f"{path}: holds {vector.dtype}; weights are numbers")
    return np.ascontiguousarray(vector.ravel(), dtype=np.float64)


def weights_from(path: File, vector: Array, dtype: npt.DTypeLike = np.float64) -> Array:
    """Return `vector` as weights, or say which of them cannot be one."""
    weights = np.ascontiguousarray(vector, dtype=np.float64)
    check_weights(weights, f"{path}: the weight", dtype)
    return weights


def check_weights(weights: Array, name: str, dtype: npt.DTypeLike = np.float64) -> None:
    """Raise DataError unless weights are finite, not negative, not all zero, and in range.

    The largest must be near enough to one for sums, and for products with squared distances, to
    stay in range.

    Parameters
    ----------
    weights : float64 ndarray of shape (N,)
    name : str
        What the error calls them: "sample_weight".
    dtype : dtype
        Type of the rows, float32 or float64, in which they are used.
    """
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{name} of row {row} is {weights[row]}; weights must be >= 0 and finite")
    largest = float(weights.max(initial=0.0))
    if largest == 0:
        raise DataError(f"{name} of every row is 0; at least one weight must be above zero")
    low, high = LARGEST[np.dtype(dtype).itemsize]
    if not low <= largest <= high:
        raise DataError(
            f"{name} is {largest:.3g} at most, out of range; scale all weights so that the largest "
            f"is between {low:g} and {high:g}"
        )

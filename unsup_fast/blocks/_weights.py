"""One weight a row."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.blocks import _npy
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks._files import kind_of

Array = npt.NDArray[Any]


def read_vector(path: str | Path, n_rows: int) -> Array:
    """Read one non-negative number a row from an `.npy` file, as weights need.

    Raises
    ------
    DataError
        If it is not such a vector of length `n_rows`, or all its numbers are zero.
    """
    path = Path(path)
    if kind_of(path) != "npy":
        raise DataError(f"{path}: weights must be an .npy file or the name of a column")
    vector = _npy.load(path)
    if vector.shape not in ((n_rows,), (n_rows, 1)):
        raise DataError(f"{path}: has shape {vector.shape}; {n_rows} weights are needed")
    return weights_from(path, vector.ravel())


def weights_from(path: Path, vector: Array) -> Array:
    """Return `vector` as weights, or say which of them cannot be one."""
    if vector.dtype.kind not in "fiub":
        raise DataError(f"{path}: holds {vector.dtype}; weights are numbers")
    weights = np.ascontiguousarray(vector, dtype=np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}: the weight of row {row} is {weights[row]}; it must be >= 0")
    if not weights.any():
        raise DataError(f"{path}: all weights are zero; at least one must be above")
    return weights

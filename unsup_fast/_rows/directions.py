"""Rows and centroids as directions, for k-means with ``metric="cosine"``.

Spherical k-means (Dhillon & Modha, "Concept decompositions for large sparse text data using
clustering", Machine Learning 42 (2001); Hornik et al., "Spherical k-means clustering", J. Stat.
Softw. 50 (2012)) minimises ``sum_i w_i (1 - cos(x_i, c_(label_i)))``. Between points of unit length
``1 - cos(x, c) = |x - c|^2 / 2``, so it is k-means on rows of unit length whose centroids are
brought back to unit length after each iteration.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import gen_batches

from unsup_fast._rows import arrays
from unsup_fast._rows.errors import ZeroRowError
from unsup_fast.kernels._types import Array

COST = {"euclidean": 1.0, "cosine": 0.5}  # what a squared distance adds to the inertia

BLOCK = 1 << 16  # float64 values of a block of rows: half a MiB, which stays in cache
# Between these, neither the square of a float64 nor a sum of them leaves its range.
SHORTEST, LONGEST = 1e-140, 1e140


def unit_rows(X: Any, first: int = 0, name: str = "X") -> Any:
    """Return rows at unit length: X itself if all are, up to rounding, else a copy.

    The result of a row depends on that row alone, so a block may be any part of the data.

    Parameters
    ----------
    X : ndarray, CSR matrix or tensor of shape (N, D), float32 or float64
        The rows, finite.
    first : int
        Index of the first row, for the error message.
    name : str
        Name of the rows in the error message.

    Returns
    -------
    ndarray, CSR matrix or tensor of shape (N, D), type of X

    Raises
    ------
    ZeroRowError
        If a row is zero.
    """
    if arrays.is_tensor(X):
        from unsup_fast._rows import tensors

        return tensors.unit_rows(X, rounding(X), name)
    length = _lengths(X)  # [N]
    extreme = np.flatnonzero(~((length >= SHORTEST) & (length <= LONGEST)))
    zero = next((i for i in extreme.tolist() if not _values(X, i).any()), None)
    if zero is not None:
        raise ZeroRowError(first + zero, name)
    length[np.abs(length - 1) <= rounding(X)] = 1
    if (length == 1).all():
        return X
    length[extreme] = 1
    if sp.issparse(X):
        data = X.data / np.repeat(length, np.diff(X.indptr))
        parts = (data.astype(X.dtype, copy=False), X.indices, X.indptr)
        unit = X.__class__(parts, shape=X.shape, copy=False)
    else:
        unit = np.empty(X.shape, X.dtype)
        np.divide(X, length[:, None], out=unit, casting="same_kind")
    for i in extreme.tolist():
        values = _values(unit, i)
        scaled = values / np.abs(values).max()
        values[:] = scaled / np.sqrt(scaled @ scaled)
    return unit


def rounding(X: Any) -> float:
    """Return by how much the length of a normalised row of X may differ from 1."""
    dtype = np.float32 if str(X.dtype).endswith("float32") else np.float64
    return float(np.finfo(dtype).eps * (8 + np.sqrt(X.shape[1])))


def _lengths(X: Any) -> Array:
    with np.errstate(over="ignore"):
        if sp.issparse(X):
            squares = X.data.astype(np.float64) ** 2
            parts = (squares, X.indices, X.indptr)
            total: Array = sp.csr_array(parts, shape=X.shape, copy=False) @ np.ones(X.shape[1])
        else:
            total = np.empty(len(X))
            for block in gen_batches(len(X), max(1, BLOCK // X.shape[1])):
                rows = X[block].astype(np.float64, copy=False)
                np.einsum("ij,ij->i", rows, rows, out=total[block])
    return np.sqrt(total, out=total)


def _values(X: Any, row: int) -> Array:
    values: Array = X.data[X.indptr[row] : X.indptr[row + 1]] if sp.issparse(X) else X[row]
    return values


def directions(means: Array, before: Array) -> Array:
    """Return the directions of mean rows; where rows cancel out, the direction before.

    Parameters
    ----------
    means : ndarray of shape (K, D), float64
        Weighted means of rows of unit length.
    before : ndarray of shape (K, D)
        Centroids that the rows were assigned to.

    Returns
    -------
    ndarray of shape (K, D), float64
    """
    length = np.sqrt((means**2).sum(axis=1))  # [K]
    cancelled = length <= np.finfo(before.dtype).eps
    unit: Array = means / np.where(cancelled, 1.0, length)[:, None]
    unit[cancelled] = before[cancelled]
    return unit

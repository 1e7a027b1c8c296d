"""Squared distances from a matrix product, with proven bounds of the rounding.

For rows x and y about a common origin, rounded to z and w in a type of unit roundoff u, with
n = |z|^2, m = |w|^2 and e = (D + 16) u / (1 - (D + 16) u), in whatever order z.w is summed up::

    | |x - y|^2 - (n + m - 2 z.w) | <= e (n + m)

(D u for the product, 4 u for rounding x and y, 8 u for putting it together.)
"""

from typing import Any, NamedTuple

import numpy as np

from unsup_fast._types import Array

VANISHED = 2.0**-120  # bounds what squares too small for float32 lose, for each column
MOST_LOSS = 0.5  # above it, bounds in a type say nothing

Float = type[np.floating[Any]]


class Bounds(NamedTuple):
    """Bounds of the squared distances of a block: from low to low + rows + columns."""

    low: Array
    """[R, C]"""
    rows: Array
    """[R]"""
    columns: Array
    """[C]"""


def type_for(n_columns: int, dtype: Float = np.float32) -> Float:
    """Return the type if rows of so many columns have bounds in it, else float64."""
    return dtype if _loss(n_columns, dtype) <= MOST_LOSS else np.float64


def bounds(z: Array, n: Array, w: Array, m: Array) -> Bounds:
    """Return bounds of the squared distances between two sets of rows.

    Parameters
    ----------
    z, w : ndarray of shape (R, D), (C, D)
        Rows about a common origin, of a type of `type_for`, with values within [-1, 1].
    n, m : ndarray of shape (R,), (C,), float64
        Their squared lengths, summed up in float64.

    Returns
    -------
    Bounds
    """
    n_columns, dtype = z.shape[1], z.dtype
    loss = _loss(n_columns, dtype.type)
    e = loss / (1 - loss)
    low = z @ w.T  # [R, C]
    low *= -2
    low += ((1 - e) * n - n_columns * VANISHED).astype(dtype)[:, None]
    low += ((1 - e) * m).astype(dtype)
    return Bounds(low=low, rows=2 * (e * n + n_columns * VANISHED), columns=2 * e * m)


def _loss(n_columns: int, dtype: Float) -> float:
    return (n_columns + 16) * float(np.finfo(dtype).eps) / 2


def squared_lengths(rows: Array) -> Array:
    """Return the squared lengths [N] of rows [N, D], each summed up in the same order."""
    lengths: Array = np.einsum("ij,ij->i", rows, rows)
    return lengths


def toward(limit: Array | float, end: float, dtype: np.dtype[np.floating[Any]]) -> Array:
    """Return limits in a type, rounded towards an end."""
    rounded: Array = np.nextafter(np.asarray(limit).astype(dtype), dtype.type(end))
    return rounded

"""`affine`: an affine map of every row, ``(X - shift) @ weights.T + offset``, without a copy of X.

The shift is subtracted before rows are multiplied, so nothing cancels far from the origin; see
csrc/affine. The result is bitwise the same for any number of threads.
"""

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.affine import native, portable, ref

__all__ = ["affine"]


def affine(
    X: Array,
    weights: Array,
    *,
    shift: Array | None = None,
    offset: Array | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Array:
    """Return ``(X - shift) @ weights.T + offset``.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), float32 or float64
    weights : C-contiguous ndarray of shape (K, D), K >= 1, type of X
    shift : ndarray of shape (D,), type of X, optional
    offset : ndarray of shape (K,), type of X, optional
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "portable", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    ndarray of shape (N, K), type of X
        Within ``(D + 3) u (|offset| + |X - shift| @ |weights|.T)`` of the truth, u being the unit
        roundoff of X's type.

    Raises
    ------
    TypeError, ValueError
        If shapes or types do not fit.
    """
    _check.matrix("X", X)
    _check.matrix("weights", weights, X.dtype)
    n_columns, n_out = X.shape[1], len(weights)
    if weights.shape[1] != n_columns or n_out == 0:
        raise ValueError(
            f"weights must have shape (K, {n_columns}), K >= 1, to fit X; got {weights.shape}"
        )
    shift = np.zeros(n_columns, X.dtype) if shift is None else shift
    offset = np.zeros(n_out, X.dtype) if offset is None else offset
    _check.vector("shift", shift, n_columns, X.dtype)
    _check.vector("offset", offset, n_out, X.dtype)
    out = np.empty((len(X), n_out), X.dtype)
    implementations = {"native": native.affine, "portable": portable.affine, "ref": ref.affine}
    run = choose("affine", implementations, backend)
    run(X, shift, weights, offset, out, threads.effective(n_threads))
    return out

"""`nearest`: the m nearest centroids of every row, in one pass.

For rows x_i, centroids c_k and a shift s (nothing of size N x K)::

    labels_i     = the first m of all k in the order of (|x_i - c_k|^2, k)
    distances_ij = |x_i - c_(labels_ij)|^2

Scores are those of `kernels.assign`. With d_ij the j-th smallest of the K squared distances of row
i in float64, that of ``labels[i, j]`` differs from d_ij by no more than
`kernels.assign.error_bound`, so labels equal those of brute force wherever neighbours in this
order differ by more. The first column is the label of `assign`, bit for bit on one instruction
set. Results are bitwise the same for any number of threads.

The work a row is that of `assign` and, if centroids come in random order, about m + m log(K / m)
insertions into a list of m scores.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.nearest import native, ref

__all__ = ["Nearest", "check_top", "nearest"]

MOST = 16  # centroids of a row
PART = 1 << 22  # elements of the rows of a CSR matrix that are dense at once


class Nearest(NamedTuple):
    """The nearest centroids of each row."""

    labels: Array
    """int32 [N, m]: their indices, the nearest first."""
    distances: Array | None
    """[N, m], type of X: their squared distances; None unless asked for."""


def _numba(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    distances: Array | None,
    n_threads: int,
) -> None:
    from unsup_fast.kernels.nearest import numba_

    numba_.nearest(
        X=X,
        centers=centers,
        shift=shift,
        labels=labels,
        distances=distances,
        n_threads=n_threads,
    )


HOST: dict[str, Callable[..., None]] = {
    "native": native.nearest,
    "numba": _numba,
    "ref": ref.nearest,
}


def check_top(top: int, n_centers: int) -> int:
    """Return how many centroids a row is to have, or raise.

    Raises
    ------
    TypeError, ValueError
        If it is no integer from 1 to 16, or larger than the number of centroids.
    """
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)):
        raise TypeError(f"top must be an integer, got {top!r}")
    most = min(MOST, n_centers)
    if not 1 <= top <= most:
        raise ValueError(
            f"top={top} is not from 1 to {most}; there are {n_centers} centroids, and a row has at "
            f"most {MOST}"
        )
    return int(top)


def nearest(
    X: Any,
    centers: Array,
    top: int,
    *,
    shift: Array | None = None,
    return_distances: bool = True,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Nearest:
    """Find the nearest centroids of every row.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (N, D), float32 or float64
        The rows; an ndarray must be C-contiguous, and a CSR matrix becomes dense part by part.
        Values must be finite.
    centers : ndarray of shape (K, D), type of X
        The centroids.
    top : int
        How many of them, m, from 1 to 16 and at most K.
    shift : ndarray of shape (D,), type of X, optional
        As in `assign`: subtracted from rows and centroids before they are multiplied. None means
        zeros. Not for CSR.
    return_distances : bool, default=True
        Whether to return squared distances as well. They are computed from differences, so they
        are more exact than the scores that give their order, and may fall along a row by as
        little as the error of these.
    n_threads : int, optional
        Threads to run; None for all (see `kernels.threads.effective`).
    backend : {"native", "numba", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    Nearest

    Raises
    ------
    TypeError, ValueError
        If an argument's type or shape does not fit.
    KeyboardInterrupt
        Within a second of Ctrl-C.
    """
    if _check.is_tensor(X):
        raise TypeError(
            f"nearest takes no tensors, and X is one on device '{X.device}'; pass X.cpu().numpy()"
        )
    is_sparse = sp.issparse(X)
    if is_sparse:
        if X.format != "csr":
            raise TypeError(f"a sparse X must be CSR, got {X.format}; pass X.tocsr()")
        if X.dtype not in _check.FLOATS:
            raise TypeError(f"X must be float32 or float64, got {X.dtype}")
        if shift is not None:
            raise ValueError("shift is for dense rows; a CSR matrix takes none")
    else:
        _check.matrix("X", X)
    n_rows, n_columns = X.shape
    _check.matrix("centers", centers, X.dtype)
    if len(centers) == 0 or centers.shape[1] != n_columns:
        raise ValueError(
            f"centers has shape {centers.shape}; it must be (K, {n_columns}) with K >= 1"
        )
    top = check_top(top, len(centers))
    if shift is None:
        shift = np.zeros(n_columns, X.dtype)
    _check.vector("shift", shift, n_columns, X.dtype)
    run = choose("nearest", HOST, backend)
    n_threads = threads.effective(n_threads)
    labels = np.empty((n_rows, top), np.int32)
    distances = np.empty((n_rows, top), X.dtype) if return_distances else None
    step = max(1, PART // n_columns) if is_sparse else max(1, n_rows)
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        run(
            X=np.ascontiguousarray(X[part].toarray()) if is_sparse else X,
            centers=centers,
            shift=shift,
            labels=labels[part],
            distances=None if distances is None else distances[part],
            n_threads=n_threads,
        )
    return Nearest(labels=labels, distances=distances)

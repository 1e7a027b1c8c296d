"""`assign`: the nearest centroid of every row, and the sums that move the centroids.

For rows x_i, centroids c_k, weights w_i and a shift s (one pass, nothing of size N x K)::

    label_i = argmin_k |x_i - c_k|^2          the lowest k among equals
    sums_k    += sum_{i: label_i = k} w_i (x_i - s)
    weights_k += sum_{i: label_i = k} w_i
    inertia    = sum_i w_i |x_i - c_{label_i}|^2

Labels equal those of float64 brute force wherever the two nearest squared distances differ
by more than `error_bound`. Sums, weights and inertia are accumulated in float64 over fixed
chunks of rows that are merged in order: results are bitwise the same for any number of
threads. CUDA tensors are worked on where they are (`kernels.assign.triton_`): sums and weights are
integers there, which any order of additions leaves the same, and nothing waits for the device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import native, ref

__all__ = ["Assigned", "assign", "error_bound"]


class Assigned(NamedTuple):
    """Result of one pass over the rows: arrays, or tensors on the device of X."""

    labels: Array
    """int32 [N]: index of the nearest centroid."""
    sums: Array | None
    """float64 [K, D]: weighted sums of rows less the shift; None without `update`."""
    weights: Array | None
    """float64 [K]: total weight of each cluster; None without `update`."""
    inertia: Any
    """Weighted sum of squared distances to the nearest centroid, a float or a float64 tensor
    without dimensions; NaN if not asked for."""
    n_changed: Any
    """How many labels differ from those that came in: an int, or an int64 tensor."""
    distances: Array | None
    """[N], type of X: squared distance to the nearest centroid; None unless asked for."""


def _triton(**arguments: Any) -> Assigned:
    from unsup_fast.kernels.assign import triton_

    return triton_.assign(**arguments)


def _numba(**arguments: Any) -> tuple[float, int]:
    from unsup_fast.kernels.assign import numba_

    return numba_.assign(**arguments)


HOST: dict[str, Callable[..., tuple[float, int]]] = {
    "native": native.assign,
    "numba": _numba,
    "ref": ref.assign,
}


def assign(
    X: Any,
    centers: Any,
    *,
    sample_weight: Any = None,
    shift: Any = None,
    labels: Any = None,
    update: bool = True,
    return_inertia: bool = True,
    return_distances: bool = False,
    labels_current: bool = False,
    precision: str = "float32",
    cache: Any = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Assigned:
    """Find the nearest centroid of every row and sum the rows of each cluster.

    Parameters
    ----------
    X : ndarray, CSR matrix or CUDA tensor of shape (N, D), float32 or float64
        The rows; an ndarray or tensor must be C-contiguous. Values must be finite.
    centers : ndarray of shape (K, D), type of X
        The centroids; like all that follows a tensor on the device of X if that is one.
    sample_weight : ndarray of shape (N,), type of X, optional
        Weights of the rows; None means ones.
    shift : ndarray of shape (D,), type of X, optional
        Subtracted from rows and centroids before they are multiplied, which ends the
        cancellation on data far from the origin, and from the rows in `sums`. None means
        zeros. Not for CSR.
    labels : int32 ndarray of shape (N,), optional
        Labels of the pass before; overwritten with the new ones.
    update : bool, default=True
        Whether to return sums and weights.
    return_inertia : bool, default=True
        Whether to return inertia; without it, sums and distances a pass computes labels alone.
    return_distances : bool, default=False
        Whether to return the squared distance of each row to its centroid.
    labels_current : bool, default=False
        Whether `labels` are those of these centroids already; the rest is computed from them.
    precision : {"float32", "tf32", "bf16"}, default="float32"
        For tensors: "float32" keeps the promise about labels, scoring doubtful rows once more;
        the others take the labels of these fast formats as they are.
    cache : kernels.assign.triton_.AssignCache, optional
        For tensors: state that passes over the same rows, weights and shift share. Sums are then
        those of the pass before with the rows moved whose labels changed, bitwise the same as
        without it; `labels` must be those of that pass.
    n_threads : int, optional
        Threads to run; None for all (see `kernels.threads.effective`). Not for tensors.
    backend : {"native", "numba", "ref", "triton"}, optional
        Implementation; None chooses. Tensors have "triton", the others what is left.

    Returns
    -------
    Assigned

    Raises
    ------
    TypeError, ValueError
        If an argument's type or shape does not fit.
    KeyboardInterrupt
        Within a second of Ctrl-C; `labels` then holds a mixture of old and new.
    """
    wanted = return_inertia or update or return_distances
    if _check.is_tensor(X):
        on_device = choose("assign of tensors", {"triton": _triton}, backend, "triton")
        return on_device(
            X=X,
            centers=centers,
            sample_weight=sample_weight,
            shift=shift,
            labels=labels,
            update=update,
            measure=wanted,
            return_distances=return_distances,
            labels_current=labels_current,
            precision=precision,
            cache=cache,
        )
    if precision != "float32" or cache is not None:
        raise ValueError("precision and cache are for tensors on a GPU; leave them out")
    if sp.issparse(X):
        if X.format != "csr":
            raise TypeError(f"a sparse X must be CSR, got {X.format}; pass X.tocsr()")
        if X.dtype not in (np.float32, np.float64):
            raise TypeError(f"X must be float32 or float64, got {X.dtype}")
        if X.indices.dtype != X.indptr.dtype:
            raise TypeError("X.indices and X.indptr must have one integer type")
        if shift is not None:
            raise ValueError("shift is for dense rows; a CSR matrix takes none")
    else:
        _check.matrix("X", X)
    n_rows, n_columns = X.shape
    _check.matrix("centers", centers, X.dtype)
    if centers.shape[0] == 0 or centers.shape[1] != n_columns:
        raise ValueError(
            f"centers has shape {centers.shape}; it must be (K, {n_columns}) with K >= 1"
        )
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, n_rows, X.dtype)
    if shift is not None:
        _check.vector("shift", shift, n_columns, X.dtype)
    if labels is None:
        if labels_current:
            raise ValueError("labels_current=True needs labels; pass those of the last pass")
        labels = np.full(n_rows, -1, dtype=np.int32)
    else:
        _check.vector("labels", labels, n_rows, np.int32)
    sums = np.zeros(centers.shape) if update else None  # [K, D] float64
    weights = np.zeros(len(centers)) if update else None  # [K] float64
    distances = np.empty(n_rows, dtype=X.dtype) if return_distances else None
    run = choose("assign", HOST, backend)
    inertia, changed = run(
        X=X,
        centers=centers,
        sample_weight=sample_weight,
        shift=shift,
        labels=labels,
        sums=sums,
        weights=weights,
        distances=distances,
        inertia=wanted,
        labels_current=labels_current,
        n_threads=threads.effective(n_threads),
    )
    return Assigned(
        labels=labels,
        sums=sums,
        weights=weights,
        inertia=inertia if wanted else np.nan,
        n_changed=changed,
        distances=distances,
    )


def error_bound(X: Any, centers: Array, shift: Array | None = None) -> Array:
    """Bound the error of a difference of two squared distances as `assign` sees it.

    With u the unit roundoff of X's type, x and c less the shift, and C = max_k |c_k|::

        bound_i = 4 (D + 4) u (|x_i| C + C^2)

    from the standard bound on an inner product (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., 3.5), one rounding each for the shifted row, the shifted centroid and
    the halved squared norm, twice because two scores are compared and twice because a squared
    distance is twice a score.

    Returns
    -------
    ndarray of shape (N,), float64
    """
    rows = X.toarray() if sp.issparse(X) else X
    origin = 0.0 if shift is None else shift.astype(np.float64)
    roundoff = np.finfo(X.dtype).eps / 2
    x = np.linalg.norm(rows.astype(np.float64) - origin, axis=1)  # [N]
    largest = np.linalg.norm(centers.astype(np.float64) - origin, axis=1).max()
    bound: Array = 4 * (rows.shape[1] + 4) * roundoff * (x * largest + largest**2)
    return bound

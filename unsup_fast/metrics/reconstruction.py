"""Reconstruction error: the distance of rows to a model's reconstruction of them."""

import warnings
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from unsup_fast import blocks
from unsup_fast._rows import arrays
from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.kernels.assign import assign

Measure = Callable[[Array, Array | None], float]

BLOCK = 1 << 20  # float64 values that are computed with at a time: 8 MiB


def reconstruction_error(X: Any, model: Any, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean squared distance of the rows to a model's reconstruction of them.

    That is sum_i w_i |x_i - r(x_i)|^2 / sum_i w_i. For k-means r(x) is the nearest centroid and the
    mean is `inertia_` over N; for PCA r(x) is the projection and the mean is the variance that is
    left out, divided by N. Rows are read a block at a time, and sums are float64.

    Parameters
    ----------
    X : array-like, sparse matrix, CPU tensor, table, path or Source of shape (N, D)
        Whatever `blocks.source` takes.
    model : fitted estimator or callable
        With `cluster_centers_`, or with `transform` and `inverse_transform`, of this library or
        scikit-learn; the latter receive float64. Or a function that takes rows [M, D] and returns
        as many. With ``metric="cosine"`` the error is 1 - cos, as in `model.score`.
    sample_weight : array-like of shape (N,), optional
        Not negative; None means ones.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If `model` is of another kind.
    ValueError
        If X, its columns, or the weights do not fit; `blocks.DataError`, which is one, if X cannot
        be read or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.metrics import reconstruction_error
    >>> reconstruction_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros_like)
    15.0
    """
    measure = _measure(model)
    source = _source(X)
    named = _check_columns(model, source)
    weight = arrays.weights(arrays.on_host(sample_weight), source.n_rows, np.float64)
    step = max(1, BLOCK // source.n_columns)
    error, n_rows = 0.0, 0
    with closing(source.blocks()) as stream, warnings.catch_warnings():
        if named:  # blocks are arrays, and their column names were compared above
            warnings.filterwarnings("ignore", "X does not have valid feature names")
        for row, block in stream:
            for part in gen_batches(len(block), step):
                share = None if weight is None else weight[row + part.start : row + part.stop]
                if share is None or share.any():
                    error += measure(block[part], share)
            n_rows += len(block)
    return float(error / (n_rows if weight is None else weight.sum()))


def _measure(model: Any) -> Measure:
    """Return a function of rows and weights that sums up the weighted errors."""
    if not hasattr(model, "fit") and callable(model):
        return lambda rows, weight: _squares(rows, model(rows), weight)
    if hasattr(model, "fit"):
        check_is_fitted(model)
    if hasattr(model, "cluster_centers_"):
        if getattr(model, "metric", "euclidean") == "cosine":
            return lambda rows, weight: -float(model.score(rows, sample_weight=weight))
        return _to_nearest(on_host(model.cluster_centers_))
    if hasattr(model, "transform") and hasattr(model, "inverse_transform"):
        return lambda rows, weight: _squares(rows, _round_trip(model, rows), weight)
    raise TypeError(
        f"model is of type {type(model).__name__}; pass an estimator with cluster_centers_ or with "
        "inverse_transform, or a function that returns what is left of rows"
    )


def _to_nearest(centers: Array) -> Measure:
    middle = centers.mean(axis=0, dtype=np.float64)  # [D]

    def measure(rows: Array, weight: Array | None) -> float:
        wide = np.result_type(rows.dtype, centers.dtype)
        assignment = assign(
            np.ascontiguousarray(rows, dtype=wide),
            np.ascontiguousarray(centers, dtype=wide),
            sample_weight=None if weight is None else weight.astype(wide),
            shift=middle.astype(wide),
            update=False,
        )
        return float(assignment.inertia)

    return measure


def _round_trip(model: Any, rows: Array) -> Any:
    return model.inverse_transform(model.transform(rows.astype(np.float64, copy=False)))


def _squares(rows: Array, reconstruction: ArrayLike, weight: Array | None) -> float:
    reconstruction = on_host(reconstruction)
    if reconstruction.shape != rows.shape:
        raise ValueError(
            f"the model returned {reconstruction.shape} for rows {rows.shape}; it must return as "
            "many rows and columns as it receives"
        )
    residual = np.subtract(rows, reconstruction, dtype=np.float64)  # [M, D]
    squares = np.einsum("ij,ij->i", residual, residual)  # [M]
    return float(squares.sum() if weight is None else squares @ weight)


def _source(X: Any) -> blocks.Source:
    X = arrays.to_numpy(X, "X")
    return blocks.source(np.asarray(X) if isinstance(X, list | tuple) else X)


def _check_columns(model: Any, source: blocks.Source) -> bool:
    """Compare columns with those of the fit; return whether both have names."""
    expected = getattr(model, "n_features_in_", source.n_columns)
    if source.n_columns != expected:
        raise ValueError(
            f"{source.name} has {source.n_columns} columns, but {type(model).__name__} was fitted "
            f"on {expected}; pass the same ones"
        )
    names = source.names
    before = getattr(model, "feature_names_in_", None)
    if names is None or before is None or len(names) != source.n_columns:
        return False
    if list(names) != list(before):
        raise ValueError(
            f"{source.name} has columns {', '.join(names)}, but {type(model).__name__} was fitted "
            f"on {', '.join(before)}; pass the same ones in this order"
        )
    return True

"""Centroids of a fitted model, also of one whose centroids were set by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.centroids import Centroids
from unsup_fast.blocks import unmasked

Array = npt.NDArray[Any]


def centers_of(estimator: Any, n_columns: int | None = None) -> Array:
    """Return `cluster_centers_` as an array [K, D], float32 or float64.

    Parameters
    ----------
    estimator : KMeans
    n_columns : int, optional
        Columns of the rows that are to be labelled.

    Raises
    ------
    ValueError
        If they are not finite numbers in a matrix, or have other columns than the rows.
    """
    name = "cluster_centers_"
    value = unmasked(arrays.on_host(estimator.cluster_centers_), name)
    centers: Array = value
    is_checked = isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype in arrays.FLOATS
    if not is_checked or not np.isfinite(value).all():
        centers = check_array(value, dtype=arrays.FLOATS, input_name=name)
    if n_columns is not None and centers.shape[1] != n_columns:
        raise ValueError(
            f"X has {n_columns} features, but {type(estimator).__name__} is expecting "
            f"{centers.shape[1]} features as input."
        )
    return centers


def check_count(estimator: Any, centers: Array, method: str) -> None:
    """Raise ValueError if centroids were set by hand to another number than `n_clusters`."""
    if len(centers) != estimator.n_clusters:
        raise ValueError(
            f"cluster_centers_ has {len(centers)} rows, but n_clusters={estimator.n_clusters}; "
            f"call set_params(n_clusters={len(centers)}) before {method}"
        )


def origin_of(estimator: Any) -> Array:
    """Return the point [D] that distances are measured from: the middle of the rows of the fit.

    If the centroids were set by hand without a fit, it is the median of the centroids.
    """
    origin: Array | None = getattr(estimator, "_origin", None)
    shape = tuple(getattr(estimator.cluster_centers_, "shape", ()))
    if origin is not None and origin.shape == shape[1:]:
        return origin
    centers = centers_of(estimator)
    half = len(centers) // 2
    middle: Array = np.ascontiguousarray(np.partition(centers, half, axis=0)[half])
    return middle


def centroids_of(estimator: Any, n_columns: int | None = None) -> Centroids:
    """Return what a fitted estimator labels rows by.

    Parameters
    ----------
    estimator : KMeans
    n_columns : int, optional
        Columns of the rows that are to be labelled.
    """
    centers = centers_of(estimator, n_columns)
    return Centroids(
        centers=centers,
        origin=origin_of(estimator),
        scale=scaling.scale_for(estimator, centers.shape[1]),
        metric=estimator.metric,
        penalties=_penalties_of(estimator, len(centers)),
    )


def _penalties_of(estimator: Any, n_clusters: int) -> Array | None:
    """Return the penalties of balanced clusters, unless the centroids are others by now."""
    penalties: Array | None = getattr(estimator, "_penalties", None)
    return penalties if penalties is not None and len(penalties) == n_clusters else None

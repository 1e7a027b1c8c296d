"""Validate the input of k-means: rows, weights, and a fitted model's centroids."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from unsup_fast._rows import validate
from unsup_fast._rows.centroids import Centroids
from unsup_fast._rows.distances import check_range
from unsup_fast._rows.protocol import Rows
from unsup_fast.blocks import DataError
from unsup_fast.cluster._centers import centroids_of
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array

__all__ = ["Prepared", "check_device", "fitted", "measured", "prepared"]


def check_device(device: Any) -> None:
    """Raise ValueError unless `device` is the CPU."""
    if device is not None and str(device) != "cpu":
        raise ValueError(
            f"device={device!r} is not available: this computes on the CPU; pass device='cpu' or "
            "None"
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows that a model is fitted to."""

    rows: Rows
    """With their weights; standardized, and of unit length if the metric is "cosine"."""
    scale: Array | None
    """[D], type of X: what the columns of the rows were divided by; None if they were not."""
    tol: float
    """Absolute: the estimator's times the mean variance of the columns."""


def prepared(estimator: Any, X: Any, sample_weight: Any, device: Any) -> Prepared:
    """Validate the input of `fit`."""
    rows = _rows(X, device, estimator, reset=True)
    if rows.n_rows < estimator.n_clusters:
        raise ValueError(
            f"n_samples={rows.n_rows} should be >= n_clusters={estimator.n_clusters}. "
            f"Pass n_clusters <= {rows.n_rows}."
        )
    rows, scale = rows.weighted(sample_weight), None
    if estimator.standardize:
        scale = rows.deviations()
        rows = rows.divided(scale)
    rows = rows.normalized() if estimator.metric == "cosine" else rows.in_memory()
    spread = rows.spread()
    _check_squares(spread.variance, rows)
    check_range(spread.farthest, rows.dtype, rows.name)
    tol = float(estimator.tol * spread.variance.mean())
    return Prepared(rows=rows, scale=scale, tol=tol)


def _rows(X: Any, device: Any, estimator: Any, *, reset: bool) -> Rows:
    """Return validated rows; those of a fleet were when it got them."""
    if isinstance(X, FleetRows):
        return cast(Rows, X)
    return validate.rows(X, device, estimator, reset=reset)


def _check_squares(variance: Array, rows: Rows) -> None:
    """Raise DataError if the summed squared distances of the rows, in float64, may overflow."""
    name, sample_weight = rows.name, rows.sample_weight
    largest = 1.0 if sample_weight is None else max(1.0, float(sample_weight.max()))
    with np.errstate(over="ignore"):
        total = variance.sum() * rows.n_rows * largest
    if not np.isfinite(total):
        what, remedy = f"the squared distances of {name}", f"divide {name} by its largest magnitude"
        if largest > 1:
            what += " times sample_weight"
            remedy = f"divide {name} and the weights by their largest magnitudes"
        raise DataError(f"{what} overflow {rows.dtype}; {remedy}")


def fitted(estimator: Any, X: Any, device: Any) -> tuple[Rows, Centroids]:
    """Validate rows for a fitted model; return them and its centroids."""
    rows = _rows(X, device, estimator, reset=False)
    return rows, centroids_of(estimator, rows.n_columns)


def measured(estimator: Any, X: Any, device: Any) -> tuple[Rows, Array]:
    """Validate rows for a fitted model; return them and the centroids as these are compared."""
    rows, centroids = fitted(estimator, X, device)
    return centroids.measured(rows)

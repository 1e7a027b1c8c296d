"""Validate the input of k-means: the device, rows, weights, and a fitted model's centroids."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast._rows import arrays, scaling, seeding
from unsup_fast._rows.devices import compute_device as gpu
from unsup_fast._rows.directions import COST, unit_rows
from unsup_fast._rows.sources import check_columns, source_of
from unsup_fast.blocks import DataError, Source
from unsup_fast.cluster._centers import centers_of, origin_of
from unsup_fast.cluster._lloyd import Problem
from unsup_fast.cluster._pruning import Passes
from unsup_fast.cluster._streams import Stream
from unsup_fast.kernels import threads
from unsup_fast.kernels.moments import Moments

__all__ = [
    "batch",
    "check_device",
    "distances",
    "fitted",
    "gpu",
    "joined",
    "parts",
    "problem",
    "rows_of",
    "source_of",
    "weights",
]

Array = npt.NDArray[Any]

BLOCK = 1 << 22  # elements of a block of rows or distances: 32 MiB
SAMPLE = 100  # rows whose median is the middle of the data
NEAR = 1e-6  # below this share of the squared lengths, digits are lost to cancellation


def check_device(device: Any) -> None:
    """Raise ValueError unless `device` is the CPU."""
    if device is not None and str(device) != "cpu":
        raise ValueError(
            f"device={device!r} is not available: this computes on the CPU; pass device='cpu' or "
            "None"
        )


def weights(sample_weight: Any, X: Any) -> Array | None:
    """Return usable weights of the type of X, or None for ones; see `arrays.weights`."""
    return arrays.weights(sample_weight, X.shape[0], X.dtype)


def problem(estimator: Any, X: Any, sample_weight: Any) -> tuple[Problem, Array]:
    """Validate the input of `fit`; return the problem and the median of the rows."""
    source = source_of(X)
    name = "X" if source is None else source.name
    if source is None:
        X = arrays.rows(X, estimator=estimator, reset=True)
        moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    else:
        check_columns(estimator, source, reset=True)
        moments = source.moments
        X = source
    n_rows = X.shape[0]
    if n_rows < estimator.n_clusters:
        raise ValueError(
            f"n_samples={n_rows} should be >= n_clusters={estimator.n_clusters}. "
            f"Pass n_clusters <= {n_rows}."
        )
    sample_weight = weights(sample_weight, X)
    scale = None
    if estimator.standardize:
        scale = scaling.of_rows(X, moments, sample_weight)
        X = scaling.divided(X, scale)
        if not isinstance(X, Source):
            moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    if isinstance(X, Source):
        X = rows_of(X, estimator.metric)
    if isinstance(X, Source):
        moments = X.moments
    elif estimator.metric == "cosine":
        X, original = unit_rows(X), X
        if moments is not None and X is not original:
            moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    variance = mean_variance_axis(X, axis=0)[1] if moments is None else moments.variance
    check_squares(variance, X, sample_weight, name)
    sample = _sample(X)
    origin = _middle(sample)
    tol = float(estimator.tol * variance.mean())
    shift = None if moments is None else origin
    if moments is not None:
        _check_reach(X, moments, origin, name)
    workers = threads.effective(estimator.n_threads)
    may_prune = getattr(estimator, "algorithm", "lloyd") != "lloyd"
    passes: Passes
    if isinstance(X, Source):
        passes = Stream(X, origin, sample_weight, workers, X.moments, sample)
    else:
        passes = Passes(X, shift, sample_weight, workers, may_prune, moments, sample)
    problem = Problem(
        passes,
        estimator.max_iter,
        tol,
        estimator.metric,
        scale,
        getattr(estimator, "tol_inertia", None),
    )
    return problem, origin


def _check_reach(X: Any, moments: Moments, origin: Array, name: str = "X") -> None:
    """Raise ValueError if a difference of a row and the origin overflows the type of X."""
    farthest = float((moments.max_abs_deviation + np.abs(moments.mean - origin)).max())
    if farthest > float(
        np.finfo(X.dtype).max
    ):  # perhaps only because the deviation is an upper bound
        point = origin.astype(np.float64)
        farthest = max(
            float(np.maximum(rows.max(axis=0) - point, point - rows.min(axis=0)).max())
            for _, rows in parts(X, X.dtype)
        )
    check_range(farthest, X.dtype, name)


def check_range(farthest: float, dtype: Any, name: str = "X") -> None:
    """Raise DataError if a distance from the median, in float64, is too large for the type."""
    if farthest > float(np.finfo(dtype).max):
        raise DataError(
            f"values of {name} lie up to {farthest:.3g} from their median, beyond {dtype}; "
            f"divide {name} by its largest magnitude, or pass float64"
        )


def check_squares(variance: Array, X: Any, sample_weight: Array | None, name: str = "X") -> None:
    """Raise DataError if the summed squared distances of X, in float64, may overflow."""
    largest = 1.0 if sample_weight is None else max(1.0, float(sample_weight.max()))
    with np.errstate(over="ignore"):
        total = variance.sum() * X.shape[0] * largest
    if not np.isfinite(total):
        what, remedy = f"the squared distances of {name}", f"divide {name} by its largest magnitude"
        if largest > 1:
            what += " times sample_weight"
            remedy = f"divide {name} and the weights by their largest magnitudes"
        raise DataError(f"{what} overflow {X.dtype}; {remedy}")


def batch(estimator: Any, X: Any, sample_weight: Any) -> Passes:
    """Validate the rows of a later `partial_fit` of a model; see `fitted`."""
    rows, centers, shift = fitted(estimator, X)
    if isinstance(rows, Source):
        rows = rows.whole().astype(centers.dtype, copy=False)
    workers = threads.effective(estimator.n_threads)
    return Passes(rows, shift, weights(sample_weight, rows), workers, False)


def rows_of(source: Source, metric: str = "euclidean") -> Any:
    """Return the rows of a source: an array if they need no copy, else the source.

    If the metric is "cosine", it is a source of the rows at unit length.
    """
    if metric == "cosine":
        return source.changed(unit_rows)
    return source if source.array is None else source.whole()


def middle(X: Any) -> Array:
    """Return the median of rows at even distances, a point [D] to measure distances from.

    Unlike the mean, it does not follow a few far outliers, from where the other rows could not
    be distinguished; and as its values are values of X, subtracting it is exact for integers.
    """
    return _middle(_sample(X))


def _sample(X: Any) -> Array:
    """Return rows [M, D] at even distances, dense."""
    step = max(1, X.shape[0] // SAMPLE)
    if isinstance(X, Source):
        return X.take(range(0, X.n_rows, step))
    sample: Array = X[::step].toarray() if sp.issparse(X) else X[::step]
    return sample


def _middle(sample: Array) -> Array:
    half = len(sample) // 2
    middle: Array = np.partition(sample, half, axis=0)[half].copy()
    return middle


def fitted(estimator: Any, X: Any) -> tuple[Any, Array, Array | None]:
    """Validate rows for a fitted model; return rows, centroids and shift of one type.

    The type is the wider one of X and the centroids, so nothing is rounded. Rows are
    normalised to unit length if the metric is "cosine". Rows and centroids are divided by the
    deviations that the model was standardized with. A source is not converted yet; `parts` does.
    """
    source = source_of(X)
    if source is not None:
        check_columns(estimator, source, reset=False)
        centers = centers_of(estimator, source.shape[1])
        X = scaling.applied(estimator, source)
        if isinstance(X, Source):
            X = rows_of(X, estimator.metric)
        elif estimator.metric == "cosine":
            X = unit_rows(X)
    else:
        X = arrays.rows(X, estimator=estimator)
        moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
        centers = centers_of(estimator, X.shape[1])
        if scaling.scale_of(estimator) is not None:
            X = scaling.applied(estimator, X)
            moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
        if estimator.metric == "cosine":
            X = unit_rows(X)
        elif moments is not None:
            _check_reach(X, moments, origin_of(estimator))
    wide = np.result_type(X.dtype, centers.dtype)
    shift = None if sp.issparse(X) else origin_of(estimator).astype(wide)
    rows = X if isinstance(X, Source) else X.astype(wide, copy=False)
    centers = np.ascontiguousarray(centers, dtype=wide)
    return rows, scaling.applied(estimator, centers, "cluster_centers_"), shift


def parts(X: Any, dtype: Any) -> Iterator[tuple[slice, Any]]:
    """Yield the rows from `fitted`, each part with its slice: blocks of a source, else all."""
    if not isinstance(X, Source):
        yield slice(0, X.shape[0]), X
        return
    for where, block in seeding.parts(X):
        yield where, block.astype(dtype, copy=False)


def joined(arrays: list[Array]) -> Array:
    """Return arrays one below the other; a single one is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def distances(X: Any, centers: Array, shift: Array | None, metric: str) -> Array:
    """Return the distance [N, K] of each row to each centroid, about the shift, in float64.

    The cosine distance is half the square of the Euclidean one between points of unit length.
    """
    if metric == "cosine":
        distance = distances(X, centers, shift, "euclidean")
        distance *= distance
        distance *= COST["cosine"]
        return distance
    if shift is None:
        sparse: Array = euclidean_distances(X, centers)
        return sparse
    origin = shift.astype(np.float64)
    moved = centers - origin  # [K, D] float64
    out = np.empty((len(X), len(centers)), dtype=X.dtype)
    for block in gen_batches(len(X), max(1, BLOCK // max(out.shape[1], X.shape[1]))):
        out[block] = _block_distances(X[block] - origin, moved)
    return out


def _block_distances(x: Array, c: Array) -> Array:
    squared: Array = euclidean_distances(x, c, squared=True)  # [B, K]
    # |x|^2 - 2 x.c + |c|^2 cancels for a row very near a centroid: compute |x - c|^2 instead.
    lengths = (x**2).sum(axis=1)[:, None] + (c**2).sum(axis=1).max()  # [B, 1]
    near = squared < NEAR * lengths  # [B, K]
    for k in np.flatnonzero(near.any(axis=0)):
        i = np.flatnonzero(near[:, k])
        squared[i, k] = ((x[i] - c[k]) ** 2).sum(axis=1)
    return np.sqrt(squared, out=squared)

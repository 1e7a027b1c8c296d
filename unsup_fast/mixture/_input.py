"""What goes into a mixture: rows in memory or in blocks, and their weights."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import _check_sample_weight

from unsup_fast import _arrays
from unsup_fast._rows import check_columns, source_of
from unsup_fast.blocks import Source
from unsup_fast.kernels import threads
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._em import Problem
from unsup_fast.mixture._passes import Rows, Single

Array = npt.NDArray[Any]


def check_device(device: Any) -> None:
    """Raise ValueError unless `device` is the CPU."""
    if device is not None and str(device) != "cpu":
        raise ValueError(
            f"device={device!r} is not available: mixtures are computed on the CPU; pass "
            "device='cpu' or None"
        )


def rows(estimator: Any, X: Any, *, reset: bool) -> tuple[Any, Moments]:
    """Validate rows; return an array, or a Source that cannot be used in place, and moments."""
    check_device(estimator.device)
    if sp.issparse(X):
        raise TypeError(
            "Sparse data was passed, but a mixture needs dense rows; pass X.toarray(), or "
            "unsup_fast.blocks.source(X), which makes blocks of them dense one at a time"
        )
    source = source_of(X)
    if source is not None:
        check_columns(estimator, source, reset=reset)
        moments = source.moments
        return (source if source.array is None else source.whole()), moments
    X = _arrays.rows(X, estimator=estimator, reset=reset)
    found: Moments = _arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    return X, found


def weights(sample_weight: Any, X: Any) -> Array | None:
    """Return usable weights of the type of X, or None for ones.

    Raises
    ------
    ValueError
        If they do not fit X, are negative or not finite, or sum to zero.
    """
    if sample_weight is None:
        return None
    sample_weight = _arrays.to_numpy(sample_weight, "sample_weight")
    checked: Array = np.ascontiguousarray(_check_sample_weight(sample_weight, X, dtype=X.dtype))
    if (checked < 0).any():
        row = int((checked < 0).argmax())
        raise ValueError(f"sample_weight of row {row} is {checked[row]}; weights must be >= 0")
    total = checked.sum(dtype=np.float64)
    if total == 0:
        raise ValueError("sample_weight sums to 0; pass weights whose sum is not zero")
    return checked


def problem(estimator: Any, X: Any, sample_weight: Any) -> Problem:
    """Validate what `fit` is given."""
    found, moments = rows(estimator, X, reset=True)
    n_rows, k = found.shape[0], estimator.n_components
    if n_rows < max(k, 2):
        raise ValueError(
            f"Expected n_samples >= n_components and n_samples >= 2 but got n_components = {k}, "
            f"n_samples = {n_rows}; pass more rows" + (f" or n_components <= {n_rows}" * (k > 2))
        )
    if not np.isfinite(moments.variance).all():
        raise ValueError("the squares of X overflow; divide X by its largest magnitude")
    made: type[Rows] = Single if k == 1 else Rows
    prepared = made(
        found,
        moments,
        weights(sample_weight, found),
        estimator.covariance_type,
        estimator.chunk_size,
        threads.effective(estimator.n_threads),
    )
    return Problem(
        prepared, float(estimator.reg_covar), float(estimator.tol), int(estimator.max_iter)
    )


def fitted(estimator: Any, X: Any, sample_weight: Any = None) -> Rows:
    """Validate rows and weights for a fitted model."""
    found, moments = rows(estimator, X, reset=False)
    return Rows(
        found,
        moments,
        weights(sample_weight, found),
        estimator.covariance_type,
        estimator.chunk_size,
        threads.effective(estimator.n_threads),
    )


def n_rows(X: Any) -> int:
    """Return how many rows X has."""
    source = source_of(X)
    return int(source.n_rows if isinstance(source, Source) else len(X))

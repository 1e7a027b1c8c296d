"""What goes into a mixture: rows in memory, in blocks or on a GPU, and their weights."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import _check_sample_weight

from unsup_fast import _arrays
from unsup_fast._rows import check_columns, gpu, source_of
from unsup_fast.kernels import threads
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._em import Problem
from unsup_fast.mixture._passes import HOST, Place, Rows, Single

Array = npt.NDArray[Any]


class Checked(NamedTuple):
    """Rows as a mixture takes them, and where they are."""

    X: Any
    """[N, D]: an array, a Source that cannot be used in place, or a tensor on a GPU."""
    dtype: np.dtype[Any]
    moments: Moments | None
    place: Place


def rows(estimator: Any, X: Any, *, reset: bool) -> Checked:
    """Validate rows; moments are not needed, and on a GPU not found, where nothing is fitted."""
    there = gpu(X, estimator.device)
    if sp.issparse(X):
        raise TypeError(
            "Sparse data was passed, but a mixture needs dense rows; pass X.toarray(), or "
            "unsup_fast.blocks.source(X), which makes blocks of them dense one at a time"
        )
    if there is not None:
        from unsup_fast import _tensors
        from unsup_fast.mixture import _cuda

        found = _tensors.rows(X, there, estimator, reset=reset).contiguous()
        statistics = _cuda.moments(found) if reset else None
        return Checked(found, _tensors.HostRows(found).dtype, statistics, _cuda.PLACE)
    source = source_of(X)
    if source is not None:
        check_columns(estimator, source, reset=reset)
        X = source if source.array is None else source.whole()
        return Checked(X, X.dtype, source.moments, HOST)
    X = _arrays.rows(X, estimator=estimator, reset=reset)
    found = _arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    return Checked(X, X.dtype, found, HOST)


def weights(sample_weight: Any, rows: Checked) -> Any:
    """Return usable weights of the type of the rows, and where they are, or None for ones.

    Raises
    ------
    ValueError
        If they do not fit the rows, are negative or not finite, or sum to zero.
    """
    if sample_weight is None:
        return None
    on_device = rows.place is not HOST
    convert = _arrays.on_host if on_device else partial(_arrays.to_numpy, name="sample_weight")
    X = np.broadcast_to(np.zeros((), rows.dtype), rows.X.shape)
    checked: Array = np.ascontiguousarray(
        _check_sample_weight(convert(sample_weight), X, dtype=rows.dtype)
    )
    if (checked < 0).any():
        row = int((checked < 0).argmax())
        raise ValueError(f"sample_weight of row {row} is {checked[row]}; weights must be >= 0")
    total = checked.sum(dtype=np.float64)
    if total == 0:
        raise ValueError("sample_weight sums to 0; pass weights whose sum is not zero")
    return _arrays.on(checked, rows.X.device if on_device else None)


def problem(estimator: Any, X: Any, sample_weight: Any) -> Problem:
    """Validate what `fit` is given."""
    found = rows(estimator, X, reset=True)
    n_rows, k = found.X.shape[0], estimator.n_components
    if n_rows < max(k, 2):
        raise ValueError(
            f"Expected n_samples >= n_components and n_samples >= 2 but got n_components = {k}, "
            f"n_samples = {n_rows}; pass more rows" + (f" or n_components <= {n_rows}" * (k > 2))
        )
    assert found.moments is not None
    if not np.isfinite(found.moments.variance).all():
        raise ValueError("the squares of X overflow; divide X by its largest magnitude")
    return Problem(
        _rows(estimator, found, sample_weight, Single if k == 1 else Rows),
        float(estimator.reg_covar),
        float(estimator.tol),
        int(estimator.max_iter),
    )


def fitted(estimator: Any, X: Any, sample_weight: Any = None) -> Rows:
    """Validate rows and weights for a fitted model."""
    return _rows(estimator, rows(estimator, X, reset=False), sample_weight, Rows)


def _rows(estimator: Any, found: Checked, sample_weight: Any, made: type[Rows]) -> Rows:
    return made(
        found.X,
        found.dtype,
        found.moments,
        weights(sample_weight, found),
        estimator.covariance_type,
        estimator.chunk_size,
        threads.effective(estimator.n_threads),
        found.place,
    )

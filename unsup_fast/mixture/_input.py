"""Input of a mixture: rows in memory, in blocks, elsewhere or on a GPU, and their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import numpy as np
import scipy.sparse as sp

from unsup_fast._rows import scaling, validate
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.sources import check_columns
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import ArrayLike
from unsup_fast.blocks import DataError
from unsup_fast.distributed import Engine
from unsup_fast.distributed._spread import parts_for, refuse_device, spread
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._data import MODERATE, OVERFLOW, MixtureData
from unsup_fast.mixture._em import MixtureProblem
from unsup_fast.mixture._estimator import MixtureEstimator
from unsup_fast.mixture._holder import MixtureHolder
from unsup_fast.mixture._single import SingleComponentData


@contextmanager
def opened(model: MixtureEstimator, X: RowsLike, engine: Engine | None) -> Iterator[Rows]:
    """Yield validated rows to fit, which an engine's processes have in the meantime, if any."""
    parts = parts_for(X, engine)
    if parts is None:
        yield _dense_rows(model, X, reset=True)
        return
    refuse_device(model.device)
    if model.chunk_size is not None:
        raise ValueError(
            f"chunk_size={model.chunk_size} is not available with an engine; pass "
            f"unsup_fast.blocks.source(X, chunk_size={model.chunk_size})"
        )
    _refuse_sparse(X)
    check_columns(model, parts, reset=True)
    with spread(parts, engine, partial(MixtureHolder, n_threads=model.n_threads)) as rows:
        yield cast(Rows, rows)


def problem(model: MixtureEstimator, rows: Rows, sample_weight: ArrayLike | None) -> MixtureProblem:
    """Validate the arguments of `fit`."""
    n_rows, k = rows.n_rows, model.n_components
    if n_rows < max(k, 2):
        raise ValueError(
            f"Expected n_samples >= n_components and n_samples >= 2 but got n_components = {k}, "
            f"n_samples = {n_rows}; pass more rows" + (f" or n_components <= {n_rows}" * (k > 2))
        )
    rows = _standardized(model, rows.weighted(sample_weight))
    moments = rows.moments
    assert moments is not None  # the rows are dense
    _check_squares(rows, moments)
    wide = rows.dtype == np.float32 and _is_wide(moments, model.reg_covar)
    kind = SingleComponentData if k == 1 else MixtureData
    return MixtureProblem(
        data=kind(
            rows=rows,
            covariance_type=model.covariance_type,
            chunk_size=model.chunk_size,
            wide=wide,
        ),
        reg_covar=float(model.reg_covar),
        tol=float(model.tol),
        max_iter=int(model.max_iter),
    )


def fitted(
    model: MixtureEstimator, X: RowsLike, sample_weight: ArrayLike | None = None
) -> MixtureData:
    """Validate rows and weights for a fitted model."""
    rows = _scaled(model, _dense_rows(model, X, reset=False))
    return MixtureData(
        rows=rows.weighted(sample_weight),
        covariance_type=model.covariance_type,
        chunk_size=model.chunk_size,
    )


def _dense_rows(model: MixtureEstimator, X: RowsLike, *, reset: bool) -> Rows:
    _refuse_sparse(X)
    rows = validate.rows(X, model.device, model, reset=reset)
    _refuse_sparse(rows.X)  # what scikit-learn makes of a frame of sparse columns
    return rows.in_memory()


def _refuse_sparse(X: object) -> None:
    if sp.issparse(X):
        raise TypeError(
            "Sparse data was passed, but a mixture needs dense rows; pass X.toarray() (of a pandas "
            "frame X.sparse.to_dense()), or unsup_fast.blocks.source(X) of a SciPy matrix, which "
            "makes blocks of them dense one at a time"
        )


def _is_wide(moments: Moments, reg_covar: float) -> bool:
    """Whether float32 does not hold squares of the rows, or of the columns on one scale."""
    largest = float(moments.max_abs_deviation.max())
    deviations = np.sqrt(moments.variance)
    smallest = max(deviations[deviations > 0].min(initial=largest), np.sqrt(reg_covar))
    vanishing = largest > 0 and smallest < 1 / MODERATE
    return bool(largest > min(MODERATE, MODERATE * smallest) or vanishing)


def _check_squares(rows: Rows, moments: Moments) -> None:
    """Raise DataError if sums of squared distances between rows may overflow float64."""
    weight = rows.to_host(rows.sample_weight)
    total = float(rows.n_rows)
    if weight is not None:
        total = max(total, float(weight.sum(dtype=np.float64)))
    with np.errstate(over="ignore"):
        bound = ((2 * moments.max_abs_deviation) ** 2).sum() * total
    if not np.isfinite(bound):
        raise DataError(OVERFLOW.format(rows.name, rows.dtype))


def _standardized(model: MixtureEstimator, rows: Rows) -> Rows:
    """Return rows divided by the deviations of their columns, if the model is to be standardized.

    A warm start continues in the units of the fit before.
    """
    before = scaling.scale_of(model)
    if model.warm_start and hasattr(model, "converged_"):
        if model.standardize != (before is not None):
            raise ValueError(
                f"warm_start=True goes on with a fit of standardize={before is not None}, but "
                f"standardize={model.standardize} now; pass warm_start=False"
            )
        return _scaled(model, rows)
    model.__dict__.pop("scale_", None)  # of an earlier fit
    if model.standardize:
        model.scale_ = rows.deviations()
    return _scaled(model, rows)


def _scaled(model: MixtureEstimator, rows: Rows) -> Rows:
    """Return rows divided by the deviations that a model is standardized with, if it is."""
    scale = scaling.scale_for(model, rows.n_columns)
    return rows if scale is None else rows.divided(scale)

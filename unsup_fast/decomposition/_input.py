"""Input of PCA: rows in memory, in blocks, sparse, or on a GPU."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import check_array

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.devices import compute_device as gpu
from unsup_fast._rows.sources import check_columns, source_of
from unsup_fast.blocks import Source
from unsup_fast.kernels.covariance import Covariance, covariance, merge

__all__ = ["blocks_of", "gpu", "rows", "scattered", "scores"]

Array = npt.NDArray[Any]
Progress = Callable[[int, int | None], None]

BLOCK = 1 << 22  # elements of a dense block of sparse rows
# Bytes of rows in memory that are summed up in one call, unless fewer than so many times D rows.
AT_ONCE, LEAST = 256 << 20, 8
EMPTY = Covariance(0, np.empty(0), np.empty((0, 0)), None)


def rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Validate rows; return an array, a CSR matrix, or a Source that cannot be used in place.

    Columns are divided by the deviations that the model is, or with `reset` is to be, standardized
    with.
    """
    source = source_of(X)
    if source is None:
        X = arrays.rows(X, estimator=estimator, reset=reset)
    else:
        check_columns(estimator, source, reset=reset)
        X = source
    if reset:
        estimator.__dict__.pop("scale_", None)  # of an earlier fit
        if getattr(estimator, "standardize", False):
            name = type(estimator).__name__
            moments = (
                arrays.check_finite(X, name, estimator.n_threads)
                if source is None
                else source.moments
            )
            estimator.scale_ = scaling.of_rows(X, moments, None)
    X = scaling.applied(estimator, X)
    return X.whole() if isinstance(X, Source) and X.array is not None else X


def blocks_of(X: Any) -> Iterator[Array]:
    """Yield rows block by block: those of a source, dense ones of CSR, else all at once."""
    if isinstance(X, Source):
        with closing(X.blocks()) as blocks:
            for _, block in blocks:
                yield block
    elif sp.issparse(X):
        step = max(1, BLOCK // X.shape[1])
        for start in range(0, X.shape[0], step):
            yield X[start : start + step].toarray()
    else:
        yield X


def scattered(
    estimator: Any, X: Any, callback: Progress | None = None, before: Covariance = EMPTY
) -> Covariance:
    """Return mean and scatter of rows that `rows` let through, merged with those `before`."""
    n_rows = X.rows_if_known if isinstance(X, Source) else X.shape[0]
    done, total = 0, before
    for block in _summed_at_once(X):
        part = covariance(block, n_threads=estimator.n_threads)
        if part.first_nonfinite is not None:
            row, column = part.first_nonfinite
            value = block[row, column]
            arrays.raise_bad(value, done + row, column, type(estimator).__name__)
        total = merge(total, part)
        done += len(block)
        if callback is not None:
            callback(done, n_rows)
    return total


def _summed_at_once(X: Any) -> Iterator[Array]:
    """Yield blocks of rows, large enough for merging their scatters [D, D] to cost little."""
    for block in blocks_of(X):
        if isinstance(X, Source):
            yield block
            continue
        n_columns = block.shape[1]
        step = max(AT_ONCE // (block.itemsize * n_columns), LEAST * n_columns)
        for start in range(0, len(block), step):
            yield block[start : start + step]


def scores(X: Any, n_components: int) -> Any:
    """Validate rows [N, K] for `inverse_transform`."""
    X = check_array(arrays.to_numpy(X, "X"), input_name="X", dtype=arrays.FLOATS, order="C")
    if X.shape[1] != n_components:
        raise ValueError(
            f"X has {X.shape[1]} columns; inverse_transform needs n_components={n_components}"
        )
    return np.require(X, requirements=["C", "A"])

"""Mean and scatter of rows about a shift, by columns that are scaled to be near one."""

import numpy as np

from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance import native, portable, ref
from unsup_fast.kernels.covariance.result import Covariance, too_far, unit_of
from unsup_fast.kernels.moments import moments
from unsup_fast.kernels.origin import median_row, sample_slice

SMALL = 2.0**-60  # if no scaled column is larger, the sample misled the scale


def shift_of(X: Array) -> tuple[Array, Array]:
    """Return the origin of the rows [D], and the largest deviations from it in a sample [D]."""
    sample = X[sample_slice(len(X))]
    with np.errstate(invalid="ignore", over="ignore"):
        shift = median_row(sample)
        shift[~np.isfinite(shift)] = 0
        return shift, np.abs(sample - shift).max(axis=0)


def scattered(
    X: Array, shift: Array, max_abs: Array, n_threads: int | None, backend: str | None
) -> Covariance:
    """Return the sums over the rows, scaled by `max_abs` [D], magnitudes of X less the shift."""
    implementations = {
        "native": native.covariance,
        "portable": portable.covariance,
        "ref": ref.covariance,
    }
    run = choose("covariance", implementations, backend)
    n_rows, n_columns = X.shape
    sums, products = np.full(n_columns, np.nan), np.full((n_columns, n_columns), np.nan)
    scale = _scale(max_abs)
    with np.errstate(invalid="ignore", over="ignore"):
        run(X, shift, scale, sums, products, threads.effective(n_threads))
        squares = products.diagonal()
        if not np.isfinite(squares).all() or squares.max() < n_rows * SMALL:
            statistics = moments(X, n_threads=n_threads)
            if statistics.first_nonfinite is not None:
                return Covariance(
                    n_rows, sums * np.nan, products * np.nan, statistics.first_nonfinite
                )
            largest = statistics.max_abs_about(shift)
            scale = _scale(largest.astype(X.dtype))
            run(X, shift, scale, sums, products, threads.effective(n_threads))
        mean = sums / n_rows
        products -= sums[:, None] * sums / n_rows
    if not np.isfinite(products).all():
        raise too_far(X.dtype)
    units = 1 / scale.astype(np.float64)  # [D] powers of two
    unit = unit_of(units[products.diagonal() > 0].max(initial=0.0), np.float64)
    products *= (units / unit)[:, None]
    products *= units / unit
    return Covariance(n_rows, shift + units * mean, products, None, unit)


def _scale(max_abs: Array) -> Array:
    """Return powers of two [D] that bring columns near one; constant columns get the least one."""
    max_abs = np.where(np.isfinite(max_abs), max_abs, 0)
    known = np.where(max_abs > 0, max_abs, max_abs.max())
    exponent = np.where(known > 0, np.frexp(known)[1], 0)
    most = np.finfo(max_abs.dtype).maxexp - 2
    scale: Array = np.ldexp(max_abs.dtype.type(1), np.clip(-exponent, -most, most))
    return scale

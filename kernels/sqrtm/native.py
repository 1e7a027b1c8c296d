"""`sqrtm` of NumPy arrays in float64, by LAPACK's steps: those of `_lapack`, or of `scipy_`."""

import math
from types import ModuleType

import numpy as np
import scipy.linalg

from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.sqrtm import LAPACK, scipy_

ROUNDING = float(np.finfo(np.float64).eps) / 2  # u
LIMIT = 1e-10  # relative error from which on singular values are computed, not eigenvalues
SKEW = 1e-5  # a matrix this close to its transpose, relative to its largest entry, is symmetric
NEGATIVE = 1e-3  # eigenvalues down to this share of the largest are rounding (of half precision)
BLOCK = 64  # LAPACK's panels


def _steps(backend: str) -> ModuleType:
    """Return the module of steps for "native" or "portable"."""
    return compiled(LAPACK) if backend == "native" else scipy_


def trace(S1: Array, S2: Array, n_threads: int | None, backend: str) -> tuple[float, float]:
    """Return Tr (S1 S2)^(1/2) and its error."""
    lapack = _steps(backend)
    (a, e), (b, f) = prepared("S1", S1, lapack), prepared("S2", S2, lapack)
    with threads.in_blas(n_threads):
        value, error = _trace(a, b, lapack)
    return _unscaled(value, error, e + f)


def trace_factors(A: Array, B: Array, n_threads: int | None, backend: str) -> tuple[float, float]:
    """Return Tr (A^T A B^T B)^(1/2) and its error."""
    (a, e), (b, f) = scaled("A", A), scaled("B", B)
    with threads.in_blas(n_threads):
        value, error = _of_factors(_few(a), _few(b), _steps(backend))
    return _unscaled(value, error, e + f)


def _unscaled(value: float, error: float, exponent: int) -> tuple[float, float]:
    with np.errstate(over="ignore"):  # infinity, where the trace is more than float64 can hold
        unscaled = np.ldexp([value, error], exponent)
    return float(unscaled[0]), float(unscaled[1])


def root(S1: Array, S2: Array | None, n_threads: int | None, backend: str) -> Array:
    """Return S1^(1/2), or (S1 S2)^(1/2), [D, D]."""
    lapack = _steps(backend)
    a, e = prepared("S1", S1, lapack)
    if S2 is None:
        with threads.in_blas(n_threads):
            return np.ldexp(_root(a), e)
    b, f = prepared("S2", S2, lapack)
    with threads.in_blas(n_threads):
        return np.ldexp(_root_of_product(a, b, lapack), e + f)


def prepared(name: str, S: Array, lapack: ModuleType) -> tuple[Array, int]:
    """Return S as a [D, D] float64, exactly symmetric, near one, and e with S = 4^e a."""
    S = np.ascontiguousarray(S, dtype=np.float64)
    extremes = np.empty(2)
    if not lapack.inspect(a=S, extremes=extremes):
        extremes[0] = np.nan
    exponent = half_exponent(name, *extremes.tolist())
    scale = np.ldexp(1.0, -2 * exponent)
    if extremes[1] == 0:
        return S * scale, exponent
    a = np.empty_like(S)
    lapack.halve(a=S, scale=scale, out=a)
    return a, exponent


def scaled(name: str, A: Array) -> tuple[Array, int]:
    """Return A as a [N, D] float64, near one, and e with A = 2^e a."""
    a = np.array(A, dtype=np.float64, order="C")
    e = exponent(name, float(np.abs(a).max(initial=0)))
    return np.ldexp(a, -e, out=a), e


def half_exponent(name: str, largest: float, skew: float) -> int:
    """Return e with `largest` <= 4^e; raise where entries are not finite, or not symmetric."""
    if skew > SKEW * largest:
        raise ValueError(
            f"{name} is not symmetric: two entries that should be equal differ by {skew:.3g}, and "
            f"the largest is {largest:.3g}; pass a covariance, or ({name} + {name}.T) / 2"
        )
    return (exponent(name, largest) + 1) // 2


def exponent(name: str, largest: float) -> int:
    """Return e with `largest` < 2^e, or zero for zero; raise where entries are not finite."""
    if not math.isfinite(largest):
        raise ValueError(f"{name} holds NaN or infinity; it must be finite")
    return max(math.frexp(largest)[1], -1000)


def check_semidefinite(name: str, least: float, largest: float) -> None:
    """Raise unless the least eigenvalue is zero or above, up to rounding."""
    if least < -NEGATIVE * abs(largest):
        size = max(-least, largest)
        raise ValueError(
            f"{name} has eigenvalues from {least / size:.3g} to {largest / size:.3g} (over their "
            "largest magnitude); a covariance has none below zero"
        )


def factor(S: Array, n_threads: int | None, backend: str) -> Array:
    """Return F [R, D] with S = F^T F for R = rank S."""
    lapack = _steps(backend)
    a, e = prepared("S", S, lapack)
    with threads.in_blas(n_threads):
        return np.ldexp(_factor("S", a, lapack), e)


def _factor(name: str, a: Array, lapack: ModuleType) -> Array:
    """Return F [R, D] with a = F^T F for R = rank a: by Cholesky, pivoted, or of eigenvectors."""
    u = a.copy()
    return np.triu(u) if _definite(u, lapack) else _semidefinite(name, a, lapack)


def _semidefinite(name: str, a: Array, lapack: ModuleType) -> Array:
    """Return F [R, D] with a = F^T F, by pivoted Cholesky or of eigenvectors."""
    n, largest = len(a), a.diagonal().max()
    tolerance = n * ROUNDING * largest
    u, pivots = a.copy(), np.empty(n, np.int32)
    rank = lapack.pivoted(a=u, tolerance=tolerance, pivots=pivots, work=np.empty(2 * n))
    rows = np.empty((rank, n))
    rows[:, pivots - 1] = np.triu(u[:rank])
    if largest > 0 and _left_over(a, rows) <= 16 * tolerance:
        return rows
    values, vectors = _eigen(name, a)
    positive = values > 0
    rows = (vectors[:, positive] * np.sqrt(values[positive])).T
    return np.ascontiguousarray(rows)


def _root(a: Array) -> Array:
    values, vectors = _eigen("S1", a)
    half = vectors * np.sqrt(np.sqrt(values))  # [D, D]
    square_root: Array = half @ half.T
    return square_root


def _root_of_product(a: Array, b: Array, lapack: ModuleType) -> Array:
    """Return F1^T Q F2, Q the polar factor of F1 F2^T, for S1 = F1^T F1 and S2 = F2^T F2."""
    one, two = _factor("S1", a, lapack), _factor("S2", b, lapack)
    left, values, right = scipy.linalg.svd(one @ two.T, full_matrices=False)
    significant = values > len(a) * 2 * ROUNDING * values.max(initial=0)
    square_root: Array = (one.T @ left[:, significant]) @ (right[significant] @ two)
    return square_root


def _left_over(a: Array, rows: Array) -> float:
    """Return an estimate of the Frobenius norm of a - F^T F, of its products with four vectors.

    Where a is indefinite by more than the tolerance, as a covariance summed in float32 is, pivoted
    Cholesky breaks down with zeros on the diagonal and large entries off it.
    """
    probes = np.random.default_rng(0).choice([-1.0, 1.0], size=(len(a), 4))
    return float(np.linalg.norm(a @ probes - rows.T @ (rows @ probes))) / 2


def _trace(a: Array, b: Array, lapack: ModuleType) -> tuple[float, float]:
    u = a.copy()
    if _definite(u, lapack):
        m = b.copy()
        _check_info(lapack.congruent(a=m, u=u))  # U S2 U^T, similar to S1 S2
        n = len(m)
        values, off_diagonal, tau = np.empty((3, n))
        info = lapack.eigenvalues(
            a=m, values=values, off_diagonal=off_diagonal, tau=tau, work=np.empty(BLOCK * n)
        )
        _check_info(info)
        value, error, likely = _roots(values)
        if likely <= LIMIT * value:
            return value, error
        one = np.triu(u)
    else:
        one = _semidefinite("S1", a, lapack)
    return _of_factors(one, _factor("S2", b, lapack), lapack)


def _roots(values: Array) -> tuple[float, float, float]:
    """Return sum_i l_i^(1/2), its error if that of l_i is 8 u l_max, and one for random signs."""
    wrong = max(8 * ROUNDING * np.abs(values).max(), -values[0])
    roots = np.sqrt(values.clip(0))
    value, errors = float(roots.sum()), _errors(roots, wrong)
    return value, float(errors.sum()) + 4 * ROUNDING * value, float(np.linalg.norm(errors))


def _errors(roots: Array, wrong: float) -> Array:
    """Return bounds of |l^(1/2) - r| where |l - r^2| <= wrong."""
    with np.errstate(divide="ignore", invalid="ignore"):
        errors: Array = np.fmin(wrong / roots, np.sqrt(wrong))
    return errors


def _of_factors(one: Array, two: Array, lapack: ModuleType) -> tuple[float, float]:
    """Return the sum of the singular values of F1 F2^T, and its error."""
    if len(one) == 0 or len(two) == 0:
        return 0.0, 0.0
    n = one.shape[1]
    if len(one) == len(two) == n and _triangular(one) and _triangular(two):
        product = two.copy()
        lapack.triangular_product(u=one, v=product)
    else:
        product = one @ two.T  # [R1, R2]
    rank = min(product.shape)
    size = float(np.linalg.norm(product))
    values = np.empty(rank)
    work = np.empty(BLOCK * sum(product.shape) + 10 * rank)
    info = lapack.singular_values(
        a=product, values=values, work=work, iwork=np.empty(8 * rank, np.int32)
    )
    _check_info(info)
    summed = n * float(np.linalg.norm(one) * np.linalg.norm(two))
    error = ROUNDING * (rank**0.5 * (summed + 8 * rank * size) + 4 * size)
    return float(values.sum()), error


def _few(a: Array) -> Array:
    """Return rows with the same a^T a, no more than columns: those of R in a = Q R."""
    n_rows, n_columns = a.shape
    if n_rows <= n_columns:
        return a
    return np.ascontiguousarray(scipy.linalg.qr(a, mode="r", overwrite_a=True)[0][:n_columns])


def _definite(u: Array, lapack: ModuleType) -> bool:
    """Put U of a = U^T U into the upper triangle; return whether a is definite past rounding."""
    if lapack.cholesky(a=u) != 0:
        return False
    pivots = u.diagonal() ** 2
    return bool(pivots.min() > 2 * len(u) * ROUNDING * pivots.max())


def _triangular(u: Array) -> bool:
    return u.shape[0] == u.shape[1] and not u[-1, :-1].any() and not np.tril(u, -1).any()


def _eigen(name: str, a: Array) -> tuple[Array, Array]:
    """Return eigenvalues [D], ascending, zero for rounding, and eigenvectors [D, D] as columns."""
    values, vectors = scipy.linalg.eigh(a, driver="evd")
    check_semidefinite(name, float(values[0]), float(values[-1]))
    values[values <= len(a) * ROUNDING * values[-1]] = 0
    return values, vectors


def _check_info(info: int) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK failed with info={info}")

"""The parameters of a mixture as the portable `em` reads them, and its moments as it returns them.

Everything is in units of x' = x * scale, a power of two that brings the spreads near one. Means are
split, mu' = high + low, so that x' - high has hardly an error; what low adds does not depend on x.
"""

from typing import NamedTuple

import numpy as np

from unsup_fast.kernels._types import Array


class Model(NamedTuple):
    """Parameters; arrays are of X's type T unless it says otherwise, D' is D or more."""

    scale: np.floating
    """The power of two, a scalar of T."""
    largest: float
    """The largest constant term of log p_ik, with all that rows share."""
    high: Array
    """[K, D]"""
    low: Array
    """float64 [K, D]"""
    constant: Array
    """[K]: constant term less the largest; minus infinity for a component without rows."""
    least: Array
    """[K]: shares below it are dropped."""
    origin: Array
    """[D]: s, the mean of the means, for "tied"; else zeros."""
    factors: Array
    """U_k transposed, filled up with zeros: "full" [K, D', D'], "tied" [1, D', D'], else empty."""
    start: Array
    """-low^T U: "full" [K, D'], "tied" zeros."""
    near: Array
    """[K, D]: high of the means, of projected means for "tied"; not for "full"."""
    diagonals: Array
    """[K, D]: diagonal factors, ones for "tied"; not for "full"."""
    rest: Array
    """[K, D]: what `near` leaves of the mean times the factor, negative; not for "full"."""


class Moments(NamedTuple):
    """Sums about the rounded means, float64, scaled."""

    resp_sums: Array
    """[K]"""
    sums: Array
    """[K, D]"""
    second: Array
    """"full" [K, D, D], upper half; "tied" [1, D, D], about the origin; else [K, D, 1]."""


def model_of(
    X: Array,
    log_weights: Array | None,
    means: Array,
    factors: Array | None,
    covariance_type: str,
) -> Model:
    """Return the parameters for rows of the type of X."""
    dtype = X.dtype
    k, d = means.shape
    matrices = covariance_type in ("full", "tied")
    exponent = _exponent(X, means, _diagonals(factors, covariance_type, k, d))
    most = np.finfo(dtype).maxexp * 3 // 4
    scale = 2.0 ** -min(most, max(-most, exponent))
    scaled = means * scale
    high = scaled.astype(dtype)
    low = scaled - high
    origin = (scaled.mean(axis=0) if covariance_type == "tied" else np.zeros(d)).astype(dtype)
    empty = np.empty((0, d), dtype)
    u, start = np.zeros((1, 4, 4), dtype), np.zeros((1, 4), dtype)
    constant, least, largest = np.zeros(k, dtype), np.zeros(k, dtype), 0.0
    near = diagonals = rest = empty
    if factors is not None and log_weights is not None:
        diagonal = _diagonals(factors, covariance_type, k, d) / scale  # [K, D]
        terms = log_weights + np.log(diagonal).sum(axis=1)  # [K]
        largest = terms.max()
        largest = largest if np.isfinite(largest) else 0.0
        constant = (terms - largest).astype(dtype)
        largest += d * (np.log(scale) - 0.5 * np.log(2 * np.pi))
        least = (np.exp(log_weights) * np.finfo(dtype).eps / 128).astype(dtype)
        if matrices:
            upper = np.triu(factors).reshape(-1, d, d) / scale  # [K or 1, D, D]
            padded = -(-d // 4) * 4
            u = np.zeros((len(upper), padded, padded), dtype)
            u[:, :d, :d] = upper.swapaxes(1, 2)
            start = np.zeros((len(upper), padded), dtype)
        if covariance_type == "full":
            start[:, :d] = -np.einsum("kd,kde->ke", low, upper)
        else:
            about = scaled - origin  # [K, D]
            if covariance_type == "tied":
                about, diagonal = about @ upper[0], np.ones((k, d))
            near = about.astype(dtype)
            diagonals = diagonal.astype(dtype)
            rest = (-(about - near) * diagonal).astype(dtype)
    return Model(
        scale=dtype.type(scale),
        largest=float(largest),
        high=high,
        low=low,
        constant=constant,
        least=least,
        origin=origin,
        factors=u,
        start=start,
        near=near,
        diagonals=diagonals,
        rest=rest,
    )


def _diagonals(factors: Array | None, covariance_type: str, k: int, d: int) -> Array:
    """Return the entries (j, j) of all factors, [K, D], or no row."""
    if factors is None:
        return np.empty((0, d))
    if covariance_type in ("full", "tied"):
        return np.broadcast_to(np.diagonal(factors, axis1=-2, axis2=-1), (k, d))
    return np.broadcast_to(factors if covariance_type == "diag" else factors[:, None], (k, d))


def _exponent(X: Array, means: Array, diagonals: Array) -> int:
    """Return that of a typical residual: midway between the smallest and the largest spread.

    Without factors that of some rows about the first mean.
    """
    if len(diagonals) > 0:
        spreads = 1 / diagonals
    else:
        rows = min(len(X), 256)
        sample = X[: rows * (len(X) // max(1, rows)) : max(1, len(X) // max(1, rows))]
        with np.errstate(invalid="ignore"):
            spreads = np.abs(sample.astype(np.float64) - means[0])
    spreads = spreads[(spreads > 0) & (spreads < np.inf)]
    if spreads.size == 0:
        return 0
    exponents = np.frexp([spreads.min(), spreads.max()])[1] - 1
    return int(exponents.sum()) >> 1


def finish(
    model: Model,
    means: Array,
    covariance_type: str,
    total: Moments,
    resp_sums: Array,
    sums: Array,
    second: Array,
) -> None:
    """Fill the results: sums about the means instead of the rounded ones, out of the scale."""
    unscale = 1 / float(model.scale)
    shares, low = total.resp_sums, model.low
    empty = shares == 0
    resp_sums[:] = shares
    about_means = np.where(empty[:, None], 0, total.sums - shares[:, None] * low)  # [K, D]
    sums[:] = about_means * unscale
    if covariance_type == "tied":
        gap = means * float(model.scale) - model.origin.astype(np.float64)  # [K, D]
        moved = about_means.T @ gap  # [D, D]
        moved += moved.T + np.einsum("k,kd,ke->de", shares, gap, gap)
        products = np.triu(total.second[0] - moved)
        second[:] = (products + np.triu(products, 1).T) * unscale * unscale
        return
    if covariance_type == "full":
        for k in range(len(shares)):
            mixed = np.outer(total.sums[k], low[k])  # [D, D]
            moved = mixed + mixed.T - shares[k] * np.outer(low[k], low[k])
            products = np.triu(total.second[k] - moved) if shares[k] != 0 else np.zeros_like(moved)
            second[k] = (products + np.triu(products, 1).T) * unscale * unscale
        return
    squares = total.second[:, :, 0] - (2 * total.sums - shares[:, None] * low) * low  # [K, D]
    squares = np.where(empty[:, None], 0, np.maximum(squares, 0)) * unscale * unscale
    second[:] = squares if covariance_type == "diag" else squares.sum(axis=1)

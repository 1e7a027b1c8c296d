"""Divergences of Gaussian distributions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular

from unsup_fast._types import ArrayLike, Numbers, is_tensor
from unsup_fast.information._checks import broadcast
from unsup_fast.information._kl import kl_terms
from unsup_fast.information._numbers import (
    at,
    first,
    library,
    numbers,
    result,
    total,
    wide,
)

if TYPE_CHECKING:
    from torch import Tensor

FAR = 500.0  # logarithm of a ratio of variances from which on that may leave float64's range
SYMMETRY = 1e-5  # of the two standard deviations: how far a covariance may be from its transpose


def kl_gaussian(
    mean_p: ArrayLike,
    cov_p: ArrayLike,
    mean_q: ArrayLike | None = None,
    cov_q: ArrayLike | None = None,
    *,
    base: float | None = None,
    validate: bool = True,
) -> Any:
    """Return the divergence KL(p || q) of two Gaussians with any covariances.

    It is (tr(S_q^-1 S_p) - D - log det(S_q^-1 S_p) + (m_p - m_q)^T S_q^-1 (m_p - m_q)) / 2. With
    Cholesky factors S = L L^T and A = L_q^-1 L_p, trace and determinant are those of A A^T, so the
    first three terms are the squares of A below its diagonal and sum_i A_ii^2 - 1 - log A_ii^2:
    nothing is negative and no inverse is formed. Computed in float64.

    Parameters
    ----------
    mean_p, mean_q : array-like or tensor of shape (..., D)
        The leading axes of all arguments broadcast. None is a mean of zero.
    cov_p, cov_q : array-like or tensor of shape (..., D, D)
        Symmetric and positive definite. None is the identity.
    base : float, optional
        2 for bits; None for nats.
    validate : bool, default=True
        Whether to look for values that are not finite and covariances that are not symmetric and,
        in torch, positive definite; there the result is then NaN. NumPy always finds the latter.

    Returns
    -------
    float, ndarray or tensor of shape (...)

    Raises
    ------
    TypeError, ValueError
        If a covariance is not symmetric and positive definite, or the shapes do not fit.
    """
    arguments = {"mean_p": mean_p, "cov_p": cov_p, "mean_q": mean_q, "cov_q": cov_q}
    arrays = _arrays(arguments, validate)
    size = arrays["mean_p"].shape[-1]
    for name in ("cov_p", "cov_q"):
        if name in arrays and tuple(arrays[name].shape[-2:]) != (size, size):
            raise ValueError(
                f"{name} has shape {tuple(arrays[name].shape)}; it must be (..., {size}, {size}) "
                f"as mean_p has {size} columns (for variances take kl_gaussian_diag)"
            )
    broadcast({name: tuple(x.shape[: -2 if name[0] == "c" else -1]) for name, x in arrays.items()})
    dtype = arrays["mean_p"].dtype
    arrays = {name: wide(x) for name, x in arrays.items()}
    difference = arrays["mean_p"] - arrays.get("mean_q", 0.0)  # [..., D]
    factor_p = _cholesky("cov_p", arrays["cov_p"], validate)  # [..., D, D]
    diagonal_p = _diagonal(factor_p)  # [..., D]
    if "cov_q" in arrays:
        factor_q = _cholesky("cov_q", arrays["cov_q"], validate)  # [..., D, D]
        ratio = _solve(factor_q, factor_p)  # [..., D, D]
        difference = _solve(factor_q, difference[..., None])[..., 0]  # [..., D]
        scale = _diagonal(factor_q) ** 2  # [..., D]
    else:
        ratio, scale = factor_p, library(diagonal_p).ones_like(diagonal_p)
    below = total(library(ratio).tril(ratio, -1) ** 2, (-2, -1))  # [...]
    along = total(_spread(diagonal_p**2, scale), -1)  # [...]
    return result((below + along + total(difference**2, -1)) / 2, base, dtype)


def kl_gaussian_diag(
    mean_p: ArrayLike,
    var_p: ArrayLike,
    mean_q: ArrayLike | None = None,
    var_q: ArrayLike | None = None,
    *,
    base: float | None = None,
    log: bool = False,
    validate: bool = True,
) -> Any:
    """Return the divergence KL(p || q) of two Gaussians with diagonal covariances.

    It is sum_j (v_p/v_q - 1 - log(v_p/v_q) + (m_p - m_q)^2 / v_q) / 2. Without `mean_q` and `var_q`
    it is that from the standard normal distribution, the prior term of a variational autoencoder.
    Computed in float64.

    Parameters
    ----------
    mean_p, mean_q : array-like or tensor of shape (..., D)
        All arguments broadcast. None is a mean of zero.
    var_p, var_q : array-like or tensor of shape (..., D)
        Variances. None is ones.
    base : float, optional
        2 for bits; None for nats.
    log : bool, default=False
        Whether `var_p` and `var_q` hold natural logarithms of variances.
    validate : bool, default=True
        Whether to look for values that are not finite and variances that are not above zero.

    Returns
    -------
    float, ndarray or tensor of shape (...)

    Raises
    ------
    TypeError, ValueError
        If a variance is not above zero and finite, or the shapes do not fit.
    """
    arrays = _arrays({"mean_p": mean_p, "var_p": var_p, "mean_q": mean_q, "var_q": var_q}, validate)
    if len(sizes := {int(x.shape[-1]) for x in arrays.values()}) > 1:
        raise ValueError(
            f"the last axes differ in length ({sorted(sizes)}); pass D numbers in each"
        )
    broadcast({name: tuple(x.shape) for name, x in arrays.items()})
    for name in ("var_p", "var_q"):
        if validate and not log and name in arrays and (wrong := ~(arrays[name] > 0)).any():
            index = first(wrong)
            raise ValueError(
                f"{at(name, index)} is {float(arrays[name][index])}; a variance is above 0 (for "
                "logarithms of variances pass log=True)"
            )
    dtype, xp = arrays["mean_p"].dtype, library(arrays["mean_p"])
    arrays = {name: wide(x) for name, x in arrays.items()}
    difference = arrays["mean_p"] - arrays.get("mean_q", 0.0)  # [..., D]
    if log:
        zeros = xp.zeros_like(arrays["var_p"])
        log_var_q = arrays.get("var_q", zeros)
        spread = kl_terms(zeros, arrays["var_p"] - log_var_q, log=True)  # [..., D]
        difference = difference * xp.exp(-log_var_q / 2)
    else:
        variance_q = arrays.get("var_q", xp.ones_like(arrays["var_p"]))
        spread = _spread(arrays["var_p"], variance_q)  # [..., D]
        difference = difference / xp.sqrt(variance_q)
    return result(total(spread + difference**2, -1) / 2, base, dtype)


def _spread(var_p: Numbers, var_q: Numbers) -> Numbers:
    """Return v - 1 - log v for v = var_p / var_q, entry by entry."""
    xp = library(var_p)
    log_ratio = xp.log(var_p) - xp.log(var_q)
    far = xp.abs(log_ratio) > FAR
    p, q = xp.where(far, 1.0, var_p), xp.where(far, 1.0, var_q)
    log_ratio = xp.where(far, log_ratio, 0.0)
    difference = kl_terms(xp.zeros_like(log_ratio), log_ratio, log=True)
    spread: Numbers = xp.where(far, difference, kl_terms(q, p) / q)
    return spread


def _arrays(arguments: dict[str, Any], validate: bool) -> dict[str, Any]:
    """Return the arguments that are not None, of one type, and check that they are finite."""
    present = {name: value for name, value in arguments.items() if value is not None}
    arrays = dict(zip(present, numbers(**present), strict=True))
    for name, x in arrays.items():
        axes = 2 if name.startswith("cov") else 1
        if x.ndim < axes or 0 in tuple(x.shape[-axes:]):
            shape = "(..., D, D)" if axes == 2 else "(..., D)"
            raise ValueError(f"{name} has shape {tuple(x.shape)}; it must be {shape}, D >= 1")
        if validate and (wrong := ~library(x).isfinite(x)).any():
            index = first(wrong)
            raise ValueError(f"{at(name, index)} is {float(x[index])}; values must be finite")
    if "mean_q" in arrays and arrays["mean_q"].shape[-1] != arrays["mean_p"].shape[-1]:
        raise ValueError(
            f"mean_p has {arrays['mean_p'].shape[-1]} columns and mean_q "
            f"{arrays['mean_q'].shape[-1]}; both must have D"
        )
    return arrays


def _diagonal(x: Numbers) -> Numbers:
    xp = library(x)
    diagonal: Numbers = xp.diagonal(x, 0, -2, -1)
    return diagonal


def _cholesky(name: str, cov: Numbers, validate: bool) -> Numbers:
    """Return the lower Cholesky factor; errors name the covariance that has none."""
    flipped = cov.mT if is_tensor(cov) else np.swapaxes(cov, -1, -2)
    if validate:
        _check_symmetric(name, cov, flipped)
    cov = (cov + flipped) / 2
    if is_tensor(cov):
        torch = library(cov)
        factor, failed = torch.linalg.cholesky_ex(cov)
        if validate and failed.any():
            raise _indefinite(name, first(failed > 0))
        lower: Tensor = torch.where(failed[..., None, None] == 0, factor, float("nan"))
        return lower
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        for index in np.ndindex(cov.shape[:-2]):
            try:
                np.linalg.cholesky(cov[index])
            except np.linalg.LinAlgError:
                raise _indefinite(name, index) from None
        raise


def _check_symmetric(name: str, cov: Numbers, flipped: Numbers) -> None:
    xp = library(cov)
    scale = xp.sqrt(xp.abs(_diagonal(cov)))  # [..., D]
    wrong = xp.abs(cov - flipped) > SYMMETRY * scale[..., :, None] * scale[..., None, :]
    if wrong.any():
        index = first(wrong)
        raise ValueError(
            f"{at(name, index)} is {float(cov[index])}, but {float(flipped[index])} across the "
            "diagonal; a covariance is symmetric"
        )


def _indefinite(name: str, index: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{at(name, index)} is not positive definite; add a small multiple of the identity, or "
        "leave out directions without variance"
    )


def _solve(factor: Numbers, right: Numbers) -> Numbers:
    """Return the solution X of L X = B for lower triangular L; leading axes broadcast."""
    if is_tensor(factor):
        solution: Tensor = library(factor).linalg.solve_triangular(factor, right, upper=False)
        return solution
    batch = np.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
    factor = np.broadcast_to(factor, batch + factor.shape[-2:])
    right = np.broadcast_to(right, batch + right.shape[-2:])
    out = np.empty(right.shape)
    for index in np.ndindex(batch):
        out[index] = solve_triangular(factor[index], right[index], lower=True, check_finite=False)
    return out

"""Noise schedules in float64: how much of an image is left at each timestep.

A schedule of n timesteps is its variances beta_t or what they come to, `alphas_cumprod`: the abar_t
in x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps. A continuous one is its sigmas, the standard
deviation of the noise beside an image that is not scaled down.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SPACINGS = ("leading", "linspace", "trailing")


def linear_betas(
    n_timesteps: int = 1000, *, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Array:
    """Return variances on a line from `beta_start` to `beta_end` (Ho et al. 2020)."""
    _check_range("beta_start", beta_start, "beta_end", beta_end)
    return np.linspace(beta_start, beta_end, _count("n_timesteps", n_timesteps))


def scaled_linear_betas(
    n_timesteps: int = 1000, *, beta_start: float = 0.00085, beta_end: float = 0.012
) -> Array:
    """Return variances whose roots lie on a line (Rombach et al. 2022)."""
    _check_range("beta_start", beta_start, "beta_end", beta_end)
    n = _count("n_timesteps", n_timesteps)
    return np.asarray(np.linspace(beta_start**0.5, beta_end**0.5, n) ** 2)


def sigmoid_betas(
    n_timesteps: int = 1000, *, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Array:
    """Return variances on a logistic curve between -6 and 6 (Xu et al. 2022)."""
    _check_range("beta_start", beta_start, "beta_end", beta_end)
    curve = 1 / (1 + np.exp(-np.linspace(-6.0, 6.0, _count("n_timesteps", n_timesteps))))
    return np.asarray(beta_start + (beta_end - beta_start) * curve)


def cosine_betas(
    n_timesteps: int = 1000, *, offset: float = 0.008, beta_max: float = 0.999
) -> Array:
    """Return variances that make abar_t a squared cosine (Nichol and Dhariwal 2021)."""
    n = _count("n_timesteps", n_timesteps)
    if not offset >= 0:
        raise ValueError(f"offset={offset} is negative; pass a small number such as 0.008")
    if not 0 < beta_max < 1:
        raise ValueError(f"beta_max={beta_max} must lie between 0 and 1")
    curve = np.cos((np.arange(n + 1) / n + offset) / (1 + offset) * (np.pi / 2)) ** 2
    return np.asarray(np.minimum(1 - curve[1:] / curve[:-1], beta_max))


def alphas_cumprod(betas: npt.ArrayLike) -> Array:
    """Return abar_t, the product of 1 - beta_i over i <= t.

    Parameters
    ----------
    betas : array-like of shape (n_timesteps,)
        The variances of the steps of the forward process, from 0 to 1.

    Returns
    -------
    ndarray of shape (n_timesteps,)

    Raises
    ------
    ValueError
        If a variance is none.
    """
    made = vector("betas", betas)
    if not ((made >= 0) & (made <= 1)).all():
        raise ValueError(
            f"betas lie between {made.min()} and {made.max()}; pass numbers from 0 to 1"
        )
    return np.cumprod(1 - made, dtype=np.float64)


def zero_terminal_snr(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return the schedule moved and scaled so that nothing of the image is left at its end.

    Roots are mapped on a line that keeps the first one and sends the last to zero (Lin et al. 2024,
    algorithm 1). A model that predicts the noise says nothing there: use one that predicts v or the
    image.
    """
    roots = np.sqrt(cumulative(alphas_cumprod))
    if roots.size < 2 or roots[0] == roots[-1]:
        raise ValueError("alphas_cumprod does not fall; pass at least two different numbers")
    return np.asarray(((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2)


def karras_sigmas(
    n_steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Array:
    """Return `n_steps` sigmas whose rho-th roots fall evenly (EDM: Karras et al. 2022, eq. 5)."""
    _check_range("sigma_min", sigma_min, "sigma_max", sigma_max, None)
    if not rho > 0:
        raise ValueError(f"rho={rho} must be above 0")
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return np.asarray(np.linspace(high, low, _count("n_steps", n_steps)) ** rho)


def exponential_sigmas(n_steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0) -> Array:
    """Return `n_steps` sigmas whose logarithms fall evenly."""
    _check_range("sigma_min", sigma_min, "sigma_max", sigma_max, None)
    n = _count("n_steps", n_steps)
    return np.asarray(np.exp(np.linspace(np.log(sigma_max), np.log(sigma_min), n)))


def beta_sigmas(
    n_steps: int,
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    alpha: float = 0.6,
    beta: float = 0.6,
) -> Array:
    """Return `n_steps` sigmas at quantiles of a beta distribution (Lee et al. 2024)."""
    from scipy.special import betaincinv

    _check_range("sigma_min", sigma_min, "sigma_max", sigma_max, None)
    quantiles = betaincinv(alpha, beta, 1 - np.linspace(0.0, 1.0, _count("n_steps", n_steps)))
    return np.asarray(sigma_min + quantiles * (sigma_max - sigma_min))


def flow_sigmas(n_steps: int, *, shift: float = 1.0, sigma_min: float = 0.001) -> Array:
    """Return `n_steps` sigmas from 1 down to `sigma_min` for flow matching, shifted."""
    _check_range("sigma_min", sigma_min, "1", 1.0, None)
    return shift_sigmas(np.linspace(1.0, sigma_min, _count("n_steps", n_steps)), shift)


def shift_sigmas(sigmas: npt.ArrayLike, shift: float) -> Array:
    """Return shift sigma / (1 + (shift - 1) sigma): more steps at high noise if shift > 1.

    It undoes what a higher resolution does to the noise (Esser et al. 2024, eq. 23).
    """
    if not shift > 0:
        raise ValueError(f"shift={shift} must be above 0 (1 changes nothing)")
    made = vector("sigmas", sigmas)
    return shift * made / (1 + (shift - 1) * made)


def spaced_timesteps(
    n_steps: int,
    n_timesteps: int = 1000,
    *,
    spacing: str = "leading",
    offset: int = 0,
    rounded: bool = True,
    skip_last: bool = False,
) -> Array:
    """Return the timesteps that `n_steps` steps are taken at, falling.

    Parameters
    ----------
    n_steps : int
        From 1 to `n_timesteps`.
    n_timesteps : int
        Length of the schedule the model was trained with.
    spacing : {"leading", "linspace", "trailing"}
        Multiples of a whole stride from 0; evenly from 0 to the last; from the last in equal
        strides (Lin et al. 2024, table 2).
    offset : int
        Added to the timesteps of "leading".
    rounded : bool
        Whether those of "linspace" are rounded to whole ones.
    skip_last : bool
        Whether "leading" and "linspace" are made for one step more and the last is left out, as
        solvers want it that divide by the noise of the timestep they arrive at.

    Returns
    -------
    ndarray of shape (n_steps,)

    Raises
    ------
    ValueError
        If there are more steps than timesteps, or the spacing is unknown.
    """
    steps = _count("n_steps", n_steps)
    length = _count("n_timesteps", n_timesteps)
    made = steps + bool(skip_last and spacing != "trailing")
    if made > length:
        raise ValueError(
            f"n_steps={n_steps} exceeds the {length} timesteps of the schedule; "
            f"pass n_steps <= {length - made + steps}"
        )
    if spacing == "leading":
        timesteps = np.arange(made)[::-1] * float(length // made) + offset
    elif spacing == "linspace":
        timesteps = np.linspace(0.0, length - 1.0, made)[::-1]
        timesteps = np.round(timesteps) if rounded else timesteps
    elif spacing == "trailing":
        timesteps = np.round(length - np.arange(steps) * (length / steps)) - 1
    else:
        raise ValueError(f"spacing={spacing!r} is unknown; pass one of {list(SPACINGS)}")
    return np.ascontiguousarray(timesteps[:steps])


def sigmas_at(alphas_cumprod: npt.ArrayLike, timesteps: npt.ArrayLike) -> Array:
    """Return sqrt((1 - abar_t) / abar_t) at timesteps, on lines between whole ones."""
    made = sigmas_of(alphas_cumprod)
    return np.interp(vector("timesteps", timesteps), np.arange(made.size), made)


def timesteps_at(alphas_cumprod: npt.ArrayLike, sigmas: npt.ArrayLike) -> Array:
    """Return the timesteps with these sigmas, on lines between the logarithms of whole ones."""
    logs = np.log(sigmas_of(alphas_cumprod))
    made = np.log(np.maximum(vector("sigmas", sigmas), 1e-10))
    return np.interp(made, logs, np.arange(logs.size, dtype=np.float64))


def sigmas_of(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return sqrt((1 - abar_t) / abar_t) of all timesteps; abar_t must not be zero."""
    made = cumulative(alphas_cumprod)
    if not made.min() > 0:
        raise ValueError(
            "alphas_cumprod ends at 0, where sigma is infinite; raise its last entry to a small "
            "number such as 2**-24"
        )
    return np.sqrt((1 - made) / made)


def cumulative(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return the schedule as a vector, or say why it is none."""
    made = vector("alphas_cumprod", alphas_cumprod)
    if not ((made >= 0) & (made <= 1)).all():
        raise ValueError(
            f"alphas_cumprod lies between {made.min()} and {made.max()}; pass numbers from 0 to 1"
        )
    if (np.diff(made) > 0).any():
        raise ValueError("alphas_cumprod rises; pass it in the order of the timesteps, from 0 on")
    return made


def vector(name: str, value: Any) -> Array:
    """Return `value` as a vector of finite float64 numbers, or raise."""
    made = np.array(value, dtype=np.float64)
    if made.ndim != 1 or made.size == 0:
        raise ValueError(f"{name} has shape {made.shape}; pass a vector with at least one number")
    if not np.isfinite(made).all():
        raise ValueError(f"{name} holds a number that is not finite")
    return made


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return int(value)


def _check_range(
    low_name: str, low: float, high_name: str, high: float, most: float | None = 1.0
) -> None:
    if not 0 < low <= high < np.inf or (most is not None and high >= most):
        limit = "" if most is None else f" < {most:g}"
        raise ValueError(
            f"{low_name}={low} and {high_name}={high} must satisfy "
            f"0 < {low_name} <= {high_name}{limit}"
        )

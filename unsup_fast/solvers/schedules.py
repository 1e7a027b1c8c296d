"""Noise schedules in float64: the levels of signal and noise at each timestep.

A schedule of n timesteps is given by its variances beta_t or by `alphas_cumprod`: the abar_t in
x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps. A continuous schedule is given by its sigmas, the
standard deviations of the noise added to an image of unit scale.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SPACINGS = ("leading", "linspace", "trailing")


def linear_betas(
    n_timesteps: int = 1000, *, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Array:
    """Return variances that rise linearly from `beta_start` to `beta_end` (Ho et al. 2020)."""
    _check_range("beta_start", beta_start, "beta_end", beta_end)
    return np.linspace(beta_start, beta_end, _count("n_timesteps", n_timesteps))


def scaled_linear_betas(
    n_timesteps: int = 1000, *, beta_start: float = 0.00085, beta_end: float = 0.012
) -> Array:
    """Return variances whose square roots rise linearly (Rombach et al. 2022)."""
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
    """Return variances for which abar_t is a squared cosine (Nichol and Dhariwal 2021)."""
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
        If a beta is outside [0, 1].
    """
    values = vector("betas", betas)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"betas lie between {values.min()} and {values.max()}; pass numbers from 0 to 1"
        )
    return np.cumprod(1 - values, dtype=np.float64)


def zero_terminal_snr(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return the schedule shifted and scaled so that its last timestep has no signal.

    Square roots are mapped linearly so that the first is unchanged and the last is zero (Lin et al.
    2024, algorithm 1). A noise prediction is useless there: use a model that predicts v or the
    image.
    """
    roots = np.sqrt(cumulative(alphas_cumprod))
    if roots.size < 2 or roots[0] == roots[-1]:
        raise ValueError("alphas_cumprod does not fall; pass at least two different numbers")
    return np.asarray(((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2)


def karras_sigmas(
    n_steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Array:
    """Return `n_steps` sigmas whose rho-th roots fall linearly (Karras et al. 2022, eq. 5)."""
    _check_range("sigma_min", sigma_min, "sigma_max", sigma_max, None)
    if not rho > 0:
        raise ValueError(f"rho={rho} must be above 0")
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return np.asarray(np.linspace(high, low, _count("n_steps", n_steps)) ** rho)


def exponential_sigmas(n_steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0) -> Array:
    """Return `n_steps` sigmas whose logarithms fall linearly."""
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

    It corrects the noise level for a higher resolution (Esser et al. 2024, eq. 23).
    """
    if not shift > 0:
        raise ValueError(f"shift={shift} must be above 0 (1 changes nothing)")
    values = vector("sigmas", sigmas)
    return shift * values / (1 + (shift - 1) * values)


def spaced_timesteps(
    n_steps: int,
    n_timesteps: int = 1000,
    *,
    spacing: str = "leading",
    offset: int = 0,
    rounded: bool = True,
    skip_last: bool = False,
) -> Array:
    """Return the timesteps of `n_steps` steps, in falling order.

    Parameters
    ----------
    n_steps : int
        From 1 to `n_timesteps`.
    n_timesteps : int
        Length of the schedule of training.
    spacing : {"leading", "linspace", "trailing"}
        Multiples of a whole stride from 0; evenly spaced from 0 to the last; equal strides down
        from the last (Lin et al. 2024, table 2).
    offset : int
        Added to the timesteps of "leading".
    rounded : bool
        Whether timesteps of "linspace" are rounded to whole numbers.
    skip_last : bool
        Whether "leading" and "linspace" are computed for one more step and the last is left out, as
        needed by solvers that divide by the noise of the timestep where they arrive.

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
    total = steps + bool(skip_last and spacing != "trailing")
    if total > length:
        raise ValueError(
            f"n_steps={n_steps} exceeds the {length} timesteps of the schedule; "
            f"pass n_steps <= {length - total + steps}"
        )
    if spacing == "leading":
        timesteps = np.arange(total)[::-1] * float(length // total) + offset
    elif spacing == "linspace":
        timesteps = np.linspace(0.0, length - 1.0, total)[::-1]
        timesteps = np.round(timesteps) if rounded else timesteps
    elif spacing == "trailing":
        timesteps = np.round(length - np.arange(steps) * (length / steps)) - 1
    else:
        raise ValueError(f"spacing={spacing!r} is unknown; pass one of {list(SPACINGS)}")
    return np.ascontiguousarray(timesteps[:steps])


def sigmas_at(alphas_cumprod: npt.ArrayLike, timesteps: npt.ArrayLike) -> Array:
    """Return sqrt((1 - abar_t) / abar_t) at timesteps, linear between whole ones."""
    table = sigmas_of(alphas_cumprod)
    return np.interp(vector("timesteps", timesteps), np.arange(table.size), table)


def timesteps_at(alphas_cumprod: npt.ArrayLike, sigmas: npt.ArrayLike) -> Array:
    """Return the timesteps of sigmas, linear in log sigma between whole timesteps."""
    logs = np.log(sigmas_of(alphas_cumprod))
    targets = np.log(np.maximum(vector("sigmas", sigmas), 1e-10))
    return np.interp(targets, logs, np.arange(logs.size, dtype=np.float64))


def sigmas_of(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return sqrt((1 - abar_t) / abar_t) of all timesteps; abar_t must not be zero."""
    abar = cumulative(alphas_cumprod)
    if not abar.min() > 0:
        raise ValueError(
            "alphas_cumprod ends at 0, where sigma is infinite; raise its last entry to a small "
            "number such as 2**-24"
        )
    return np.sqrt((1 - abar) / abar)


def cumulative(alphas_cumprod: npt.ArrayLike) -> Array:
    """Return the schedule as a float64 vector, checked."""
    abar = vector("alphas_cumprod", alphas_cumprod)
    if not ((abar >= 0) & (abar <= 1)).all():
        raise ValueError(
            f"alphas_cumprod lies between {abar.min()} and {abar.max()}; pass numbers from 0 to 1"
        )
    if (np.diff(abar) > 0).any():
        raise ValueError("alphas_cumprod rises; pass it in the order of the timesteps, from 0 on")
    return abar


def vector(name: str, value: Any) -> Array:
    """Return `value` as a vector of finite float64 numbers, or raise."""
    array = np.array(value, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; pass a vector with at least one number")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite")
    return array


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

"""The path of a sampler: the noise levels where each of its steps starts and arrives.

At a level (a, s) the sample is x = a x_0 + s eps. Variance-preserving levels have a^2 + s^2 = 1,
variance-exploding ones a = 1, those of flow matching a = 1 - s. Every sampler takes any of them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unsup_fast.solvers.schedules import Array, cumulative, vector


class Path(NamedTuple):
    """The levels of S steps, float64.

    Attributes
    ----------
    timesteps : ndarray of shape (S,)
        Timestep passed to the model.
    signal, sigma : ndarray of shape (S,)
        a and s where a step starts.
    next_signal, next_sigma : ndarray of shape (S,)
        a and s where the step arrives.
    scales : ndarray of shape (S,)
        The model sees scales[i] * x.
    init_noise_sigma : float
        Standard deviation of the sample that the first step starts from.
    """

    timesteps: Array
    signal: Array
    sigma: Array
    next_signal: Array
    next_sigma: Array
    scales: Array
    init_noise_sigma: float


def vp_path(
    alphas_cumprod: npt.ArrayLike,
    timesteps: npt.ArrayLike,
    *,
    arrivals: npt.ArrayLike | None = None,
    final: float = 1.0,
) -> Path:
    """Return the variance-preserving path over timesteps of a schedule.

    Parameters
    ----------
    alphas_cumprod : array-like of shape (n_timesteps,)
        The schedule.
    timesteps : array-like of shape (S,)
        Whole numbers from 0 to n_timesteps - 1, in the order of the steps.
    arrivals : array-like of shape (S,), optional
        The timestep where each step arrives, -1 for the end. By default the start of the next step,
        and the end.
    final : float
        abar at the end; 1 is the image itself.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If a timestep is outside the schedule.
    """
    schedule = cumulative(alphas_cumprod)
    starts = vector("timesteps", timesteps)
    ends = np.append(starts[1:], -1.0) if arrivals is None else vector("arrivals", arrivals)
    if ends.shape != starts.shape:
        raise ValueError(f"arrivals has {ends.size} entries; it needs {starts.size}")
    if not 0 < final <= 1:
        raise ValueError(f"final={final} must be above 0 and at most 1")
    for name, steps, low in (("timesteps", starts, 0), ("arrivals", ends, -1)):
        if (steps != np.round(steps)).any() or steps.min() < low or steps.max() >= schedule.size:
            raise ValueError(
                f"{name} lie between {steps.min()} and {steps.max()}; pass whole numbers from "
                f"{low} to {schedule.size - 1}"
            )
    start = schedule[starts.astype(np.int64)]
    end = np.append(schedule, final)[ends.astype(np.int64)]
    return Path(
        starts,
        np.sqrt(start),
        np.sqrt(1 - start),
        np.sqrt(end),
        np.sqrt(1 - end),
        np.ones(starts.size),
        1.0,
    )


def vp_path_from_sigmas(sigmas: npt.ArrayLike, timesteps: npt.ArrayLike) -> Path:
    """Return the variance-preserving path over sigmas: a = 1 / sqrt(1 + sigma^2), s = a sigma.

    Parameters
    ----------
    sigmas : array-like of shape (S + 1,)
        sigma / a where each step starts, and at the end.
    timesteps : array-like of shape (S,)
        Timestep passed to the model.

    Returns
    -------
    Path
    """
    ratios, times = _levels(sigmas, timesteps)
    signal, sigma = normalize(ratios)
    return Path(times, signal[:-1], sigma[:-1], signal[1:], sigma[1:], np.ones(times.size), 1.0)


def normalize(sigmas: Array) -> tuple[Array, Array]:
    """Return signal and noise of unit variance whose ratio is sigma."""
    signal = 1 / np.sqrt(1 + sigmas**2)
    return signal, signal * sigmas


def ve_path(
    sigmas: npt.ArrayLike, timesteps: npt.ArrayLike, *, init_noise_sigma: float | None = None
) -> Path:
    """Return the path x = x_0 + sigma eps, whose model sees x / sqrt(1 + sigma^2).

    Parameters
    ----------
    sigmas : array-like of shape (S + 1,)
        Sigma where each step starts, and at the end.
    timesteps : array-like of shape (S,)
        Timestep passed to the model.
    init_noise_sigma : float, optional
        Standard deviation of the first sample; by default the first sigma.

    Returns
    -------
    Path
    """
    levels, times = _levels(sigmas, timesteps)
    return Path(
        times,
        np.ones(times.size),
        levels[:-1],
        np.ones(times.size),
        levels[1:],
        1 / np.sqrt(1 + levels[:-1] ** 2),
        float(levels[0] if init_noise_sigma is None else init_noise_sigma),
    )


def flow_path(
    sigmas: npt.ArrayLike,
    timesteps: npt.ArrayLike | None = None,
    *,
    arrivals: npt.ArrayLike | None = None,
) -> Path:
    """Return the path of flow matching, x = (1 - sigma) x_0 + sigma eps.

    Parameters
    ----------
    sigmas : array-like of shape (S + 1,)
        Sigma where each step starts, and at the end, from 0 to 1.
    timesteps : array-like of shape (S,), optional
        Timestep passed to the model; by default 1000 sigma.
    arrivals : array-like of shape (S,), optional
        Sigma where each step arrives; by default where the next one starts, and the end.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If a sigma is outside 0 to 1, or sizes do not fit.
    """
    values = vector("sigmas", sigmas)
    levels, times = _levels(values, 1000 * values[:-1] if timesteps is None else timesteps)
    ends = levels[1:] if arrivals is None else vector("arrivals", arrivals)
    if ends.shape != times.shape:
        raise ValueError(f"arrivals has {ends.size} entries; it needs {times.size}")
    most = max(levels.max(), ends.max())
    if most > 1:
        raise ValueError(f"sigmas go up to {most}; those of flow matching are at most 1")
    if ends.min() < 0:
        raise ValueError(f"arrivals hold {ends.min()}; pass numbers of at least 0")
    return Path(
        times,
        1 - levels[:-1],
        levels[:-1],
        1 - ends,
        ends,
        np.ones(times.size),
        float(levels[0]),
    )


def truncate(path: Path, strength: float) -> Path:
    """Return the last steps of a path, for a start from a noisy image.

    Parameters
    ----------
    path : Path
        The whole path, of S steps.
    strength : float
        Fraction of the steps to take: the last int(strength S) steps. 1 takes all.

    Returns
    -------
    Path
        Start from signal[0] * x_0 + sigma[0] * eps.

    Raises
    ------
    ValueError
        If no step is left.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength={strength} must be above 0 and at most 1")
    n_steps = path.timesteps.size
    n_left = int(n_steps * strength)
    if n_left == 0:
        raise ValueError(
            f"strength={strength} keeps none of {n_steps} steps; pass at least {1 / n_steps:.3g}"
        )
    first = n_steps - n_left
    return Path(
        path.timesteps[first:],
        path.signal[first:],
        path.sigma[first:],
        path.next_signal[first:],
        path.next_sigma[first:],
        path.scales[first:],
        init_noise_sigma=float(np.hypot(path.signal[first], path.sigma[first])),
    )


def inversion_path(path: Path, *, end: float | None = None) -> Path:
    """Return the reversed path, from an image to its noise.

    Parameters
    ----------
    path : Path
        The path from noise to images.
    end : float, optional
        The timestep of the level where `path` ends. With it the model gets the timestep where each
        step starts, as solvers of higher order need; the path must then end at a sigma above 0.
        Without it the model gets the timestep where the step arrives: DDIM inversion.

    Returns
    -------
    Path
    """
    times = path.timesteps if end is None else np.append(path.timesteps[1:], float(end))
    scaled = (path.scales != 1).any()
    sizes = np.hypot(path.next_signal, path.next_sigma)[::-1]
    return Path(
        times[::-1].copy(),
        path.next_signal[::-1].copy(),
        path.next_sigma[::-1].copy(),
        path.signal[::-1].copy(),
        path.sigma[::-1].copy(),
        1 / sizes if scaled else path.scales[::-1].copy(),
        init_noise_sigma=float(sizes[0]),
    )


def _levels(sigmas: npt.ArrayLike, timesteps: npt.ArrayLike) -> tuple[Array, Array]:
    levels, times = vector("sigmas", sigmas), vector("timesteps", timesteps)
    if levels.size != times.size + 1:
        raise ValueError(
            f"{times.size} timesteps go with {times.size + 1} sigmas (the last is where the last "
            f"step arrives), got {levels.size}"
        )
    if levels.min() < 0:
        raise ValueError(f"sigmas hold {levels.min()}; pass numbers of at least 0")
    return levels, times

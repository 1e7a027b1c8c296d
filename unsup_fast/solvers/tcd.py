"""Sampling by trajectory consistency distillation (Zheng et al. 2024): overshoot, then noise."""

import numpy as np
import numpy.typing as npt

from unsup_fast.kernels.sampler_terms import KEEP_X, KEEP_X0, NEXT_KEEP, NEXT_NOISE
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, needs_noise
from unsup_fast.solvers.schedules import Array, vector
from unsup_fast.solvers.table import Table, make

GAMMA = 0.3  # that of Zheng et al. for few steps


def tcd(path: Path, *, prediction: str = "epsilon", clip: float | None = None) -> Table:
    """Return the table of strategic stochastic sampling (Zheng et al. 2024, algorithm 1).

    The path of this sampler has gaps: a step arrives at a level (b, r) of less noise than (a', s'),
    where the next one starts, and fresh noise takes the sample back up:

        keep = b x_0 + r eps,    next = (a' / b) keep + sqrt(s'^2 - (a' r / b)^2) z.

    The last step draws no noise. `tcd_arrivals` computes where the steps arrive:

        times = spaced_timesteps(4, spacing="trailing")
        tcd(vp_path(schedule, times, arrivals=tcd_arrivals(times, gamma=0.3)))

    A path without gaps is gamma = 0, DDIM without noise; one whose steps all arrive at the image is
    `consistency`. gamma = 1 leads through timestep 0, or sigma 0, in every step.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip], and eps taken from it.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a step starts at the image, or arrives where nothing is left of it or at more noise than
        the next one starts from; or the model predicts eps and nothing is left of the image where a
        step starts.
    """
    needs_noise(path)
    b, r = path.next_signal, path.next_sigma
    signal, sigma = np.append(path.signal[1:], b[-1]), np.append(path.sigma[1:], r[-1])  # a', s'
    if not (b > 0).all() or not (signal > 0).all():
        raise ValueError(
            "a step arrives where nothing is left of the image, which no noise takes further; "
            "pass arrivals of less noise"
        )
    ratio, start = r / b, sigma / signal
    if (ratio > start).any():
        raise ValueError(
            "a step arrives at more noise than the next one starts from, and noise is only added; "
            "pass arrivals of less noise, such as those of tcd_arrivals"
        )
    rows = blank(path, prediction, clip)
    rows[:, KEEP_X] = r / path.sigma
    rows[:, KEEP_X0] = b - path.signal * r / path.sigma
    rows[:, NEXT_KEEP] = signal / b
    rows[:, NEXT_NOISE] = signal * np.sqrt((start - ratio) * (start + ratio))
    return make(path, rows)


def tcd_arrivals(
    timesteps: npt.ArrayLike, *, gamma: float = GAMMA, end: float = -1.0, rounded: bool = True
) -> Array:
    """Return the timesteps where the steps of `tcd` arrive: (1 - gamma) t' for the next t'.

    Parameters
    ----------
    timesteps : array-like of shape (S,)
        Timesteps where the steps start, or sigmas of flow matching.
    gamma : float
        From 0 (no noise) to 1 (through the image in every step).
    end : float
        Where the last step arrives; timestep -1 is the image, and so is sigma 0.
    rounded : bool
        Whether to round down to whole timesteps.

    Returns
    -------
    ndarray of shape (S,)

    Raises
    ------
    ValueError
        If gamma is not within 0 and 1.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma={gamma} must lie between 0 (no noise) and 1 (all of it fresh)")
    between = (1 - gamma) * vector("timesteps", timesteps)[1:]
    if rounded:
        between = np.floor(np.round(between, 9))  # 7 of 10 and 0.3, whatever the last bit says
    return np.append(between, end)

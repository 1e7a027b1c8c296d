"""Sampling of latent consistency models (Luo et al. 2023): boundary scalings, then fresh noise."""

import numpy as np

from unsup_fast.kernels.sampler_terms import KEEP_X, KEEP_X0, NEXT_KEEP, NEXT_NOISE
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table, make


def lcm(
    path: Path,
    *,
    sigma_data: float = 0.5,
    timestep_scaling: float = 10.0,
    prediction: str = "epsilon",
    clip: float | None = None,
) -> Table:
    """Return the table of a latent consistency model: next = a' (c_skip x + c_out x_0) + s' z.

    With tau = timestep_scaling t for the timestep t of a step and d = sigma_data,

        c_skip = d^2 / (tau^2 + d^2),    c_out = tau / sqrt(tau^2 + d^2),

    so that the model is the identity at t = 0 (Luo et al. 2023, section 4.1, with the scaling of
    their code). Above the first timesteps c_skip is nearly 0 and this is `consistency`. A step that
    arrives at the image draws no noise.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    sigma_data : float
        d, the standard deviation of the data.
    timestep_scaling : float
        Factor of the timesteps, in which they fall to 0 at the image.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a number is not above 0, or the model predicts eps and a step starts where nothing is
        left of the image.
    """
    for name, value in (("sigma_data", sigma_data), ("timestep_scaling", timestep_scaling)):
        if not value > 0:
            raise ValueError(f"{name}={value} must be above 0")
    rows = blank(path, prediction, clip)
    scaled = timestep_scaling * path.timesteps
    size = np.hypot(scaled, sigma_data)
    rows[:, KEEP_X], rows[:, KEEP_X0] = (sigma_data / size) ** 2, scaled / size
    rows[:, NEXT_KEEP], rows[:, NEXT_NOISE] = path.next_signal, path.next_sigma
    return make(path, rows)


def lcm_timesteps(n_steps: int, n_timesteps: int = 1000, *, original_steps: int = 50) -> Array:
    """Return timesteps among those of the distillation, evenly spaced, in falling order.

    Latent consistency models are distilled at the timesteps k - 1, 2k - 1, ... of
    `original_steps` steps of k = n_timesteps // original_steps timesteps each.

    Parameters
    ----------
    n_steps : int
        From 1 to `original_steps`.
    n_timesteps : int
        Length of the schedule of training.
    original_steps : int
        Number of timesteps of the distillation.

    Returns
    -------
    ndarray of shape (n_steps,)

    Raises
    ------
    ValueError
        If 1 <= n_steps <= original_steps <= n_timesteps does not hold.
    """
    if not 1 <= n_steps <= original_steps <= n_timesteps:
        raise ValueError(
            f"n_steps={n_steps}, original_steps={original_steps} and n_timesteps={n_timesteps} "
            "must satisfy 1 <= n_steps <= original_steps <= n_timesteps"
        )
    stride = n_timesteps // original_steps
    indices = np.arange(n_steps) * original_steps // n_steps
    return np.asarray((original_steps - indices) * stride - 1, np.float64)

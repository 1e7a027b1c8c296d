"""Ancestral sampling (Ho et al. 2020): a draw from the posterior of a step given x_0."""

import numpy as np

from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import decay, first_order
from unsup_fast.solvers.table import Table

VARIANCES = ("fixed_small", "fixed_large")


def ddpm(
    path: Path,
    *,
    variance: str = "fixed_small",
    prediction: str = "epsilon",
    clip: float | None = None,
    noise_at_end: bool = False,
) -> Table:
    """Return the table of ancestral sampling.

    The mean is a' x_0 + s' exp(-h) eps, that of q(x' | x, x_0).

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    variance : {"fixed_small", "fixed_large"}
        The variance of the posterior, s'^2 (1 - exp(-2h)), or of the forward step,
        s^2 (1 - exp(-2h)), which is beta_t for consecutive timesteps.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].
    noise_at_end : bool
        Whether the larger variance is also added in a step that arrives at the image, as diffusers
        does unless the last timestep is 0.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If an argument is not one of those named, or the path starts at the image.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance={variance!r} is unknown; pass one of {list(VARIANCES)}")
    q = decay(path)
    spread = np.sqrt(1 - q**2)
    std = path.next_sigma * spread
    if variance == "fixed_large":
        std = path.sigma * spread
        if not noise_at_end:
            std = np.where(path.next_sigma > 0, std, 0.0)
    return first_order(path, path.next_sigma * q, std, prediction, clip)

"""DDIM (Song et al. 2021): first order, from no noise (eta = 0) to ancestral sampling (1)."""

import numpy as np

from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import decay, first_order
from unsup_fast.solvers.table import Table


def ddim(
    path: Path,
    *,
    eta: float = 0.0,
    prediction: str = "epsilon",
    clip: float | None = None,
    clipped_noise: bool = True,
) -> Table:
    """Return the table of DDIM: next = a' x_0 + sqrt(s'^2 - v) eps + sqrt(v) z.

    Here v = eta^2 s'^2 (1 - exp(-2h)). With eta = 0 the path may also run to higher noise, which is
    inversion.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    eta : float
        0 draws no noise, 1 is `ddpm` with the small variance.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].
    clipped_noise : bool
        Whether eps is computed from the clipped x_0. False takes it from the model's output, as
        diffusers does without `use_clipped_model_output`; it also matters with dynamic
        thresholding.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If eta is not within 0 and 1, or above 0 on a path that runs to higher noise.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta} must lie between 0 and 1")
    if eta == 0:
        weight, std = path.next_sigma, np.zeros_like(path.sigma)
    else:
        q = decay(path)
        std = eta * path.next_sigma * np.sqrt(1 - q**2)
        weight = path.next_sigma * np.sqrt(1 - eta**2 * (1 - q**2))
    return first_order(path, weight, std, prediction, clip, clipped_noise=clipped_noise)

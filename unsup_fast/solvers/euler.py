"""Euler's method on the probability-flow equation of x / a over s / a (Karras et al. 2022)."""

import numpy as np

from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import decay, first_order
from unsup_fast.solvers.table import Table


def euler(path: Path, *, prediction: str = "epsilon", clip: float | None = None) -> Table:
    """Return the table of Euler's method: next = a' x_0 + s' eps.

    On a variance-exploding path this is x + (s' - s) (x - x_0) / s, on one of flow matching
    x + (s' - s) v for the flow v; on any path it is DDIM without noise.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].

    Returns
    -------
    Table
    """
    return first_order(path, path.next_sigma, np.zeros_like(path.sigma), prediction, clip)


def euler_ancestral(path: Path, *, prediction: str = "epsilon", clip: float | None = None) -> Table:
    """Return the table of Euler steps to less noise than the next level, plus fresh noise.

    The step goes to s' q, q = exp(-h), and adds s' sqrt(1 - q^2) z: the posterior's variance.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
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
        If the path runs to higher noise.
    """
    q = decay(path)
    return first_order(
        path, path.next_sigma * q, path.next_sigma * np.sqrt(1 - q**2), prediction, clip
    )

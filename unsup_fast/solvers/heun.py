"""Heun's method on the probability-flow equation of x / a over s / a (Karras et al. 2022)."""

import numpy as np

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_KEEP,
    ANCHOR_X,
    KEEP_X,
    KEEP_X0,
    NEXT_ANCHOR,
    NEXT_KEEP,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, image, keep_noise, needs_signal
from unsup_fast.solvers.table import Table, levels_of


def heun(path: Path, *, prediction: str = "epsilon", clip: float | None = None) -> Table:
    """Return the table of Heun's method: two rows a step, except for the last.

    With k = s / a, the first row computes x' / a' = x / a + (k' - k) eps, and the anchor
    x / a + (k' - k) eps / 2; the second adds (k' - k) eps' / 2 to that, for the noise eps' at x'.
    The last step, which mostly arrives at the image, is an Euler step.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive; each step starts where the one before arrives.
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
        If image or noise vanish where a step starts.
    """
    needs_signal(path, "Heun's method")
    n_steps = path.timesteps.size
    stride = path.next_signal * (path.next_sigma / path.next_signal - path.sigma / path.signal)
    ratio = path.next_signal / path.signal
    rows = np.repeat(blank(path, prediction, clip), 2, axis=0)  # [2 S, N_TERMS]
    first, second = rows[::2], rows[1:-1:2]
    keep_noise(first, path)
    first[:, NEXT_X], first[:, NEXT_KEEP] = ratio, stride
    first[:-1, ANCHOR_X], first[:-1, ANCHOR_KEEP] = ratio[:-1], stride[:-1] / 2
    at = path.next_signal[:-1], path.next_sigma[:-1]
    second[:, X0_X], second[:, X0_OUTPUT] = image(prediction, *at)
    second[:, KEEP_X], second[:, KEEP_X0] = 1 / at[1], -at[0] / at[1]
    second[:, NEXT_ANCHOR], second[:, NEXT_KEEP] = 1.0, stride[:-1] / 2
    order = np.repeat(np.arange(n_steps), 2)[1:]  # the step whose level each row is at
    return Table(
        path.timesteps[order],
        path.scales[order],
        np.ascontiguousarray(rows[:-1]),
        levels_of(path)[order],
        history=0,
        anchor=True,
        direct=False,
        init_noise_sigma=path.init_noise_sigma,
        signal=float(path.signal[0]),
        sigma=float(path.sigma[0]),
    )

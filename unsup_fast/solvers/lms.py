"""The linear multistep method (Adams-Bashforth) in s / a on the predicted noise."""

import numpy as np

from unsup_fast.kernels.sampler_terms import NEXT_HISTORY, NEXT_KEEP, NEXT_X
from unsup_fast.solvers.multistep import (
    check_order,
    distinct_outputs,
    nodes,
    stationary,
    weights,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, keep_noise, needs_signal
from unsup_fast.solvers.table import Table, make


def lms(
    path: Path,
    *,
    order: int = 4,
    prediction: str = "epsilon",
    clip: float | None = None,
) -> Table:
    """Return the table of the linear multistep method, as in k-diffusion.

    With k = s / a and p the polynomial in k through the last noises, it is

        next / a' = x / a + (integral of p from k to k')

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    order : {1, 2, 3, 4}
        1 is Euler's method.
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
        If the order is out of range, or image or noise vanish where a step starts.
    """
    check_order(order, 4)
    needs_signal(path, "the linear multistep method")
    rows = blank(path, prediction, clip)
    keep_noise(rows, path)
    levels, ends = path.sigma / path.signal, path.next_sigma / path.next_signal
    rows[:, NEXT_X] = path.next_signal / path.signal
    known, still = distinct_outputs(path), stationary(path)
    for step in np.flatnonzero(~still).tolist():
        step_order = min(order, known[step])
        shape = weights(nodes(levels, ends[step], step, step_order), 0.0)
        shape *= path.next_signal[step] * (ends[step] - levels[step])
        rows[step, NEXT_KEEP] = shape[0]
        rows[step, NEXT_HISTORY : NEXT_HISTORY + step_order - 1] = shape[1:]
    return make(path, rows, history=min(order, path.timesteps.size) - 1)

"""DEIS (Zhang and Chen 2023): multistep methods in log(a / s) on the predicted noise."""

from unsup_fast.kernels.sampler_terms import NEXT_HISTORY, NEXT_KEEP, NEXT_X
from unsup_fast.solvers.multistep import (
    check_order,
    half_logs,
    nodes,
    step_orders,
    weights,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, keep_noise, needs_signal
from unsup_fast.solvers.table import Table, make


def deis(
    path: Path,
    *,
    order: int = 2,
    prediction: str = "epsilon",
    clip: float | None = None,
    lower_order_final: bool | None = None,
) -> Table:
    """Return the table of DEIS, its polynomials being in the logarithm of s / a.

    With h the step in log(a / s) and p the polynomial through the last noises, it is

        next = a'/a x - s' (integral of exp(h (1 - t)) h p(t) over 0..1)

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    order : {1, 2, 3, 4}
        1 is DDIM.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip], and eps taken from it.
    lower_order_final : bool, optional
        Whether the last step is of first order and the one before of second; by default in tables
        of fewer than 15 steps. A step that arrives at the image always is of first order.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the order is out of range, or image or noise vanish where a step starts.
    """
    check_order(order, 4)
    needs_signal(path, "DEIS")
    rows = blank(path, prediction, clip)
    keep_noise(rows, path)
    levels, ends = half_logs(path)
    ratio = path.next_signal / path.signal
    rows[:, NEXT_X] = ratio
    for step, step_order in enumerate(step_orders(path, order, lower_order_final)):
        if step_order == 1:
            rows[step, NEXT_KEEP] = path.next_sigma[step] - ratio[step] * path.sigma[step]
            continue
        h = ends[step] - levels[step]
        shape = -path.next_sigma[step] * h * weights(nodes(levels, ends[step], step, step_order), h)
        rows[step, NEXT_KEEP] = shape[0]
        rows[step, NEXT_HISTORY : NEXT_HISTORY + step_order - 1] = shape[1:]
    return make(path, rows, history=min(order, path.timesteps.size) - 1)

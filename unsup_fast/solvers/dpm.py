"""DPM-Solver++ (Lu et al. 2022): multistep methods in log(a / s) on the predicted image."""

import numpy as np

from unsup_fast.kernels.sampler_terms import NEXT_HISTORY, NEXT_KEEP, NEXT_NOISE, NEXT_X
from unsup_fast.solvers.multistep import (
    check_order,
    half_logs,
    nodes,
    phi,
    step_orders,
    weights,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, decay, keep_image
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table, make

KINDS = ("midpoint", "heun", "adams")


def dpm_solver(
    path: Path,
    *,
    order: int = 2,
    stochastic: bool = False,
    kind: str | None = None,
    prediction: str = "epsilon",
    clip: float | None = None,
    lower_order_final: bool | None = None,
) -> Table:
    """Return the table of DPM-Solver++: 2M, and with noise 2M SDE and 3M SDE.

    With h the step in log(a / s) and p the polynomial through the last outputs, it is

        next = s'/s x + a' (integral of exp(-h (1 - t)) h p(t) over 0..1)

    and with noise h is doubled under the integral, x is weighted by exp(-h) once more, and
    s' sqrt(1 - exp(-2h)) z is added.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive.
    order : {1, 2, 3}
        1 is DDIM, with eta = 0 or 1.
    stochastic : bool
        Whether noise is added in each step.
    kind : {"midpoint", "heun", "adams"}, optional
        "adams" computes the integral exactly. "midpoint" and "heun" are the second-order formulas
        of that name, where "heun" equals "adams"; for order 3 both are the formula in common use,
        whose second difference has half of the correct weight (with noise, a wrong one). By default
        "midpoint" for order 2 and "adams" for order 3.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].
    lower_order_final : bool, optional
        Whether the last step is of first order and the one before of second; by default in tables
        of fewer than 15 steps. A step that arrives at the image always is of first order.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If an argument is not one of those named, or a step starts at the image.
    """
    check_order(order, 3)
    if kind is None:
        kind = "adams" if order == 3 else "midpoint"
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; pass one of {list(KINDS)}")
    rows = blank(path, prediction, clip)
    keep_image(rows)
    levels, ends = half_logs(path)
    rows[:, NEXT_X] = path.next_sigma / path.sigma
    if stochastic:
        q = decay(path)
        rows[:, NEXT_X] *= q
        rows[:, NEXT_NOISE] = path.next_sigma * np.sqrt(1 - q**2)
    for step, step_order in enumerate(step_orders(path, order, lower_order_final)):
        shape = _weights(levels, ends[step], step, step_order, kind, stochastic)
        shape *= path.next_signal[step]
        rows[step, NEXT_KEEP] = shape[0]
        rows[step, NEXT_HISTORY : NEXT_HISTORY + step_order - 1] = shape[1:]
    return make(path, rows, history=min(order, path.timesteps.size) - 1)


def _weights(
    levels: Array, end: float, step: int, order: int, kind: str, stochastic: bool
) -> Array:
    """Return the weights of the last outputs, newest first, without the factor a': [order]."""
    h = (end - levels[step]) * (2 if stochastic else 1)
    if order == 1:
        return np.array([-np.expm1(-h)])
    at = nodes(levels, end, step, order)
    if kind == "adams" or (order == 2 and kind == "heun"):
        return np.asarray(h * weights(at, -h))
    if order == 2:
        slope = np.array([1.0, -1.0]) / -at[1]
        return np.asarray(-np.expm1(-h) * (np.array([1.0, 0.0]) + slope / 2))
    newer = np.array([1.0, -1.0, 0.0]) / -at[1]
    older = np.array([0.0, 1.0, -1.0]) / (at[1] - at[2])
    bend = (newer - older) / -at[2]
    slope = newer - at[1] * bend
    last = -phi(2, -h) - 0.5 if stochastic else h * phi(3, -h)
    combined = h * phi(1, -h) * np.array([1.0, 0.0, 0.0]) + h * phi(2, -h) * slope + last * bend
    return np.asarray(combined)

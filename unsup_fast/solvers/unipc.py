"""UniPC (Zhao et al. 2023): multistep prediction, corrected by the output where it arrives."""

from math import factorial

import numpy as np

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_X,
)
from unsup_fast.solvers.multistep import (
    check_order,
    distinct_outputs,
    half_logs,
    nodes,
    phi,
    stationary,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, keep_image, keep_noise, needs_signal
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table, make

KINDS = ("bh1", "bh2")


def unipc(
    path: Path,
    *,
    order: int = 2,
    kind: str = "bh2",
    predict_image: bool = True,
    prediction: str = "epsilon",
    clip: float | None = None,
    lower_order_final: bool = True,
    uncorrected: tuple[int, ...] = (),
) -> Table:
    """Return the table of UniPC: a row corrects its sample, then predicts the next.

    The corrected sample is the anchor; the correction has one order more than the prediction.

    Parameters
    ----------
    path : Path
        Levels where the steps start and arrive; each step starts where the one before arrives.
    order : {1, 2, 3}
        Order of the prediction.
    kind : {"bh1", "bh2"}
        B(h) = h or exp(h) - 1.
    predict_image : bool
        Whether the polynomials go through images, or noises.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    clip : float, optional
        x_0 is clipped to [-clip, clip].
    lower_order_final : bool
        Whether the order falls to 1 towards the end; a step that arrives at the image always is of
        first order.
    uncorrected : tuple of int
        Steps whose arrival is not corrected.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If an argument is not one of those named, or image or noise vanish where a step starts.
    """
    check_order(order, 3)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; pass one of {list(KINDS)}")
    needs_signal(path, "UniPC")
    rows = blank(path, prediction, clip)
    if predict_image:
        keep_image(rows)
    else:
        keep_noise(rows, path)
    n_steps = path.timesteps.size
    known, still = distinct_outputs(path), stationary(path)
    previous_order = 1
    for step in range(n_steps):
        most = min(order, n_steps - step) if lower_order_final else order
        step_order = 1 if path.next_sigma[step] == 0 else min(most, known[step])
        of_x, predictor = _update(path, step, step_order, kind, predict_image, corrector=False)
        rows[step, NEXT_HISTORY : NEXT_HISTORY + step_order - 1] = predictor[1:]
        if step == 0 or step - 1 in uncorrected or still[step - 1]:
            rows[step, ANCHOR_X] = 1.0
            rows[step, NEXT_X], rows[step, NEXT_KEEP] = of_x, predictor[0]
        else:
            of_anchor, corrector = _update(
                path, step - 1, previous_order, kind, predict_image, corrector=True
            )
            present, past = corrector[-1], corrector[:-1]
            rows[step, ANCHOR_ANCHOR], rows[step, ANCHOR_KEEP] = of_anchor, present
            rows[step, ANCHOR_HISTORY : ANCHOR_HISTORY + previous_order] = past
            rows[step, NEXT_ANCHOR] = of_x * of_anchor
            rows[step, NEXT_KEEP] = of_x * present + predictor[0]
            rows[step, NEXT_HISTORY : NEXT_HISTORY + previous_order] += of_x * past
        previous_order = step_order
    return make(path, rows, history=min(order, n_steps - 1))._replace(anchor=True)


def _update(
    path: Path, step: int, order: int, kind: str, predict_image: bool, *, corrector: bool
) -> tuple[float, Array]:
    """Return the weights of x and of the last outputs, newest first, in one step.

    A corrector has one more weight at the end, of the output where the step arrives.
    """
    levels, ends = half_logs(path)
    h = ends[step] - levels[step]
    a, s = path.next_signal[step], path.next_sigma[step]
    if predict_image:
        z, scale, of_x = -h, a, s / path.sigma[step]
    else:
        z, scale, of_x = h, s, a / path.signal[step]
    shape = np.zeros(order + corrector)
    shape[0] = a - of_x * path.signal[step] if predict_image else s - of_x * path.sigma[step]
    if shape.size == 1:
        return of_x, shape
    b = z if kind == "bh1" else float(np.expm1(z))
    at = nodes(levels, ends[step], step, order)[1:]
    if corrector:
        at = np.append(at, 1.0)
    if at.size == 1:
        rho = np.array([0.5])
    else:
        powers = np.vander(at, increasing=True).T  # [k, k]
        sides = [factorial(i) * z * phi(i + 1, z) / b for i in range(1, at.size + 1)]
        rho = np.linalg.solve(powers, np.array(sides))
    change = -scale * b * rho / at
    shape[1:] = change
    shape[0] -= change.sum()
    return of_x, shape

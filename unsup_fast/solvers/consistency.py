"""Multistep consistency sampling (Song et al. 2023): x_0 at each level, then fresh noise."""

from unsup_fast.kernels.sampler_terms import NEXT_KEEP, NEXT_NOISE
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import blank, keep_image
from unsup_fast.solvers.table import Table, make


def consistency(path: Path, *, prediction: str = "epsilon", clip: float | None = None) -> Table:
    """Return the table of multistep consistency sampling: next = a' x_0 + s' z.

    This is algorithm 1 of Song et al. (2023) on any path: the model maps each level to x_0, and
    noise takes that to the next level. x_0 is that of the prediction, with no weights c_skip and
    c_out on top: at sigma = 0 it is x itself for every prediction but "sample", which is the
    boundary condition of a consistency model. A step that arrives at the image draws no noise, so
    a path of one step returns x_0 of one call of the model.

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
        If the model predicts eps and a step starts where nothing is left of the image.
    """
    rows = blank(path, prediction, clip)
    keep_image(rows)
    rows[:, NEXT_KEEP], rows[:, NEXT_NOISE] = path.next_signal, path.next_sigma
    return make(path, rows)

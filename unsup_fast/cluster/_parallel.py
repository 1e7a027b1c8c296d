"""k-means||: starting rows from a few passes, each of which draws many at once."""

from collections.abc import Callable

import numpy as np

from unsup_fast._rows.host_rows import dense
from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus

OVERSAMPLING, ROUNDS = 2.0, 5


def oversample(
    rows: Rows,
    wanted: float,
    n_rounds: int,
    random_state: np.random.RandomState,
    progress: Callable[[int], None] | None = None,
) -> tuple[Array, Array]:
    """Draw about `wanted` rows a round and weigh each by the rows nearest to it.

    With closest_i the squared distance of row i to the nearest row drawn so far, and w its weight,
    a round draws each row by itself with probability
    ``min(1, wanted * w_i * closest_i / sum_j w_j closest_j)``.

    Parameters
    ----------
    rows : Rows
    wanted : float
        Expected draws of a round.
    n_rounds : int
    random_state : RandomState
        One ``choice``, then one ``uniform(size=N)`` a round.
    progress : callable, optional
        Called after each round with the number of rounds done.

    Returns
    -------
    indices : ndarray of shape (M,), int64
        In the order drawn; no row twice.
    weights : ndarray of shape (M,), float64
        Total weight of the rows nearest to each.

    References
    ----------
    Bahmani, Moseley, Vattani, Kumar & Vassilvitskii, "Scalable k-means++", VLDB 2012, algorithm 2.
    """
    weight = rows.to_host(rows.sample_weight)
    w: Array = np.ones(rows.n_rows) if weight is None else weight.astype(np.float64)  # [N]
    indices = np.array([random_state.choice(rows.n_rows, p=w / w.sum())])  # [M]
    labels, closest = _nearest(rows, dense(rows.take(indices)))  # [N], [N]
    for number in range(1, n_rounds + 1):
        mass = w * closest  # [N] float64
        drawn = np.flatnonzero(random_state.uniform(size=rows.n_rows) * mass.sum() < wanted * mass)
        if len(drawn):
            nearest, squared = _nearest(rows, dense(rows.take(drawn)))
            nearer = squared < closest
            labels = np.where(nearer, nearest + len(indices), labels)
            closest = np.minimum(closest, squared)
            indices = np.concatenate([indices, drawn])
        if progress is not None:
            progress(number)
    return indices, np.bincount(labels, weights=w, minlength=len(indices))


def parallel(
    rows: Rows,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    oversampling_factor: float = OVERSAMPLING,
    n_rounds: int = ROUNDS,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Choose rows by k-means||: `oversample`, then weighted greedy k-means++ among the drawn.

    If no more than `n_clusters` were drawn, all are chosen and the rest are other rows at random,
    those without weight last.

    Parameters
    ----------
    rows : Rows
    n_clusters : int
    random_state : RandomState
    oversampling_factor : float
        Expected draws of a round, as a multiple of `n_clusters`.
    n_rounds : int
    progress : callable, optional
        Called with the work done so far and the total.

    Returns
    -------
    ndarray of shape (n_clusters,), int64
        Indices of the chosen rows.
    """
    report = None
    if progress is not None:
        # Rounds of either kind count as half of the work.
        def report(done: int) -> None:
            progress(done * n_clusters // n_rounds, 2 * n_clusters)

    drawn, weights = oversample(
        rows, oversampling_factor * n_clusters, n_rounds, random_state, report
    )
    if len(drawn) <= n_clusters:
        others = random_state.permutation(np.setdiff1d(np.arange(rows.n_rows), drawn))
        weight = rows.to_host(rows.sample_weight)
        if weight is not None:
            others = others[np.argsort(weight[others] == 0, kind="stable")]
        return np.concatenate([drawn, others[: n_clusters - len(drawn)]])
    taken = rows.take(drawn)
    chosen: Array = kmeans_plusplus(
        taken,
        n_clusters,
        random_state,
        sample_weight=weights.astype(taken.dtype),
        n_threads=rows.n_threads,
        progress=progress and (lambda done, total: progress(total + done, 2 * total)),
    )
    return drawn[chosen]


def _nearest(rows: Rows, centers: Array) -> tuple[Array, Array]:
    """Return each row's nearest center, [N] int32, and its squared distance [N]."""
    assigned = rows.assign(rows.to_device(centers), update=False, return_distances=True)
    return rows.to_host(assigned.labels), rows.to_host(assigned.distances)

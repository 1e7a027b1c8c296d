"""k-means||: starting rows from a few passes, each of which draws many at once."""

from collections.abc import Callable

import numpy as np

from unsup_fast._rows.draws import EqualMasses, draw, draw_others
from unsup_fast._rows.host_rows import dense
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._candidates import Candidates, HostCandidates
from unsup_fast.cluster._fleet_candidates import FleetCandidates
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus

OVERSAMPLING, ROUNDS = 2.0, 5
BITS = 40  # of the weights of candidates, whose products with distances must not overflow


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
        One row is drawn as by ``choice``, then a key for the numbers of all rounds.
    progress : callable, optional
        Called after each round with the number of rounds done.

    Returns
    -------
    indices : ndarray of shape (M,), int64
        In the order drawn; no row twice.
    weights : ndarray of shape (M,), float64
        Total weight of the rows nearest to each, up to a common factor.

    References
    ----------
    Bahmani, Moseley, Vattani, Kumar & Vassilvitskii, "Scalable k-means++", VLDB 2012, algorithm 2.
    """
    candidates: Candidates
    if isinstance(rows, FleetRows):
        candidates = FleetCandidates(rows)
    else:
        candidates = HostCandidates(rows, 0, rows.masses)
    indices = draw(rows.masses, 1, random_state)  # [M]
    key = int(random_state.randint(1 << 32, dtype=np.uint64))
    total = candidates.add(dense(rows.take(indices)))
    for number in range(1, n_rounds + 1):
        drawn = candidates.draw(key << 32 | number, wanted / total) if total > 0 else indices[:0]
        if len(drawn):
            total = candidates.add(dense(rows.take(drawn)))
            indices = np.concatenate([indices, drawn])
        if progress is not None:
            progress(number)
    masses = candidates.masses()
    excess = max(0, int(masses.max()).bit_length() - BITS)
    return indices, np.ldexp(masses.astype(np.float64), -excess)


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
        for masses in (rows.masses, EqualMasses(rows.n_rows)):
            others = draw_others(masses, n_clusters - len(drawn), random_state, drawn)
            drawn = np.concatenate([drawn, others])
        return drawn
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

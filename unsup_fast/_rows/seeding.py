"""Starting rows chosen from blocks by greedy k-means++."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from unsup_fast._rows.draws import draw, masses_of
from unsup_fast.blocks import Source
from unsup_fast.kernels.kmeans_plusplus import candidate_potentials, pow2_scale

Array = npt.NDArray[Any]
Blocks = Callable[[], Iterator[tuple[slice, Array]]]
Shorter = list[tuple[int, Array, Array]]
"""First row of a block, rows of the block, and their distances to a candidate."""

IMPROVED = 128 << 20  # bytes of a round's shorter distances that are cached, to save a second pass


def parts(X: Source) -> Iterator[tuple[slice, Any]]:
    """Yield the blocks of a source, each with the slice of its rows."""
    with closing(X.blocks()) as blocks:
        for row, block in blocks:
            yield slice(row, row + len(block)), block


def kmeans_plusplus(
    X: Source,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    sample_weight: Array | None,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Choose rows of a source by greedy k-means++, in one pass over the blocks a round.

    Draws and candidates are those of `kernels.kmeans_plusplus`; distances are too, up to a power of
    two. Memory holds two numbers a row, and the distances that a candidate of the round would
    shorten, up to 128 MiB of them; if there are more, as in the first rounds on much data, the
    round takes a second pass.

    Parameters
    ----------
    X : Source
    n_clusters : int
    random_state : RandomState
    sample_weight : ndarray of shape (N,), type of X, or None
    n_local_trials : int, optional
        Candidates T of a round; None takes ``2 + int(log(n_clusters))``.
    n_threads : int, optional
    progress : callable, optional
        Called after each round with the number of rows chosen and `n_clusters`.

    Returns
    -------
    ndarray of shape (n_clusters,), int64
    """
    closest = BlockDistances(
        blocks=partial(parts, X),
        n_rows=X.n_rows,
        dtype=X.dtype,
        sample_weight=sample_weight,
        n_threads=n_threads,
    )
    first = draw(masses_of(sample_weight, X.n_rows), 1, random_state)
    row = X.take(first)  # [1, D]
    closest.scale = float(pow2_scale(X.moments.max_abs_about(row).max(), X.dtype))
    return greedy(
        closest,
        int(first[0]),
        row,
        n_clusters,
        random_state,
        take=X.take,
        n_local_trials=n_local_trials,
        progress=progress,
    )


class Shortened(NamedTuple):
    """Sums of the distances of each block after a row was chosen."""

    potentials: list[float]
    """As the kernel adds up."""
    masses: list[float]
    """As running sums end."""


class Distances(Protocol):
    """The squared distance of each row to the nearest row chosen, by block, wherever rows are."""

    def shorten(self, row: Array, best: int | None) -> Shortened:
        """Choose a row [1, D], candidate number `best` of the round, if any."""

    def compare(self, candidates: Array) -> list[Array]:
        """Return what the sum of each block would be with each of the candidates, [T]."""

    def locate(self, wanted: Mapping[int, Sequence[float]]) -> dict[int, Array]:
        """Return the rows of blocks, by number among all, where running sums pass targets."""


def greedy(
    closest: Distances,
    first: int,
    row: Array,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    take: Callable[[Array], Array],
    n_local_trials: int | None,
    progress: Callable[[int, int], None] | None,
) -> Array:
    """Choose rows by greedy k-means++.

    Sums are those of blocks, added in their order, so the rows do not depend on where blocks are.

    Parameters
    ----------
    closest : Distances
    first : int
        The first row chosen.
    row : ndarray of shape (1, D)
        Its values.
    n_clusters, random_state, n_local_trials, progress
        As in `kmeans_plusplus`.
    take : callable
        Returns rows [M, D].
    """
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    chosen = np.empty(n_clusters, dtype=np.int64)
    chosen[0] = first
    shortened = closest.shorten(row, None)
    potential = sum(shortened.potentials)
    if progress is not None:
        progress(1, n_clusters)
    for k in range(1, n_clusters):
        draws = random_state.uniform(size=trials) * potential
        candidates = _located(closest, shortened.masses, draws)  # [T]
        rows = take(candidates)  # [T, D]
        potentials = sum(closest.compare(rows), np.zeros(trials))
        best = int(potentials.argmin())
        chosen[k], potential = candidates[best], float(potentials[best])
        shortened = closest.shorten(rows[best : best + 1], best)
        if progress is not None:
            progress(k + 1, n_clusters)
    return chosen


def _located(closest: Distances, masses: list[float], draws: Array) -> Array:
    """Return the rows [T] at which the running sum of all distances passes the draws."""
    ends = np.cumsum(masses)  # [B]
    numbers = np.minimum(np.searchsorted(ends, draws), len(ends) - 1)  # [T]
    before = np.append(0.0, ends)[numbers]
    chosen = {int(block): np.flatnonzero(numbers == block) for block in np.unique(numbers)}
    rows = closest.locate({block: (draws - before)[t].tolist() for block, t in chosen.items()})
    located = np.empty(len(draws), dtype=np.int64)
    for block, t in chosen.items():
        located[t] = rows[block]
    return located


class BlockDistances:
    """Those of rows that are read block by block.

    Parameters
    ----------
    blocks : callable
        Returns an iterator of the slices of blocks and their rows.
    n_rows : int
    dtype : dtype
    sample_weight : ndarray of shape (N,), type of the rows, or None
    n_threads : int or None
    scale : float
        What rows are multiplied by before squaring.
    """

    def __init__(
        self,
        *,
        blocks: Blocks,
        n_rows: int,
        dtype: Any,
        sample_weight: Array | None,
        n_threads: int | None,
        scale: float = 1.0,
    ) -> None:
        self._blocks, self._weight, self._n_threads = blocks, sample_weight, n_threads
        self.scale = scale
        self._closest = np.full(n_rows, np.inf, dtype)
        self._slices: list[slice] = []
        self._shorter: list[Shorter] | None = None

    def shorten(self, row: Array, best: int | None) -> Shortened:
        """Choose a row [1, D]; see `Distances`."""
        potentials = []
        if best is None or self._shorter is None:
            self._slices = []
            for part, distances, sums in self._measured(row):
                self._closest[part] = distances[0]
                self._slices.append(part)
                potentials.append(float(sums[0]))
        else:
            for start, where, distances in self._shorter[best]:
                self._closest[start + where] = distances
        self._shorter = None
        masses = [float(self._cumulated(part)[-1]) for part in self._slices]
        return Shortened(potentials=potentials, masses=masses)

    def compare(self, candidates: Array) -> list[Array]:
        """Return the sums of each block with each candidate; see `Distances`."""
        potentials: list[Array] = []
        shorter: list[Shorter] | None = [[] for _ in candidates]
        room = IMPROVED
        for part, distances, sums in self._measured(candidates):
            potentials.append(sums)
            for t, row in enumerate(distances):
                if shorter is None:
                    break
                where = np.flatnonzero(row < self._closest[part]).astype(np.int32)
                room -= where.nbytes + where.size * row.itemsize
                shorter[t].append((part.start, where, row[where]))
                if room < 0:
                    shorter = None
        self._shorter = shorter
        return potentials

    def locate(self, wanted: Mapping[int, Sequence[float]]) -> dict[int, Array]:
        """Return rows of blocks where running sums pass targets; see `Distances`."""
        located = {}
        for block, targets in wanted.items():
            part = self._slices[block]
            rows = np.searchsorted(self._cumulated(part), targets)
            located[block] = part.start + np.minimum(rows, part.stop - part.start - 1)
        return located

    def _measured(self, candidates: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Yield each block's slice, its distances [T, B] with each candidate, and sums [T]."""
        for part, block in self._blocks():
            yield (
                part,
                *candidate_potentials(
                    block,
                    candidates,
                    self._closest[part],
                    None if self._weight is None else self._weight[part],
                    scale=self.scale,
                    n_threads=self._n_threads,
                ),
            )

    def _cumulated(self, part: slice) -> Array:
        """Return the running sum of the weighted distances of a block, float64."""
        closest = self._closest[part]
        weighted = closest if self._weight is None else self._weight[part] * closest
        return np.cumsum(weighted, dtype=np.float64)

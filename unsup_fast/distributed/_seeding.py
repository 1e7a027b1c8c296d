"""k-means++ on rows that the processes of a fleet have between them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from unsup_fast._rows.draws import draw
from unsup_fast._rows.seeding import Shortened, greedy
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import pow2_scale


def kmeans_plusplus(
    rows: FleetRows,
    n_clusters: int,
    random_state: np.random.RandomState,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Choose rows by greedy k-means++, two passes over all rows a round.

    Parameters
    ----------
    rows : FleetRows
    n_clusters : int
    random_state : RandomState
    progress : callable, optional
        Called after each round with the number of rows chosen and `n_clusters`.

    Returns
    -------
    ndarray of shape (n_clusters,), int64
        Those that `_rows.seeding.kmeans_plusplus` chooses from the same blocks.
    """
    first = draw(rows.masses, 1, random_state)
    row = rows.take(first)  # [1, D]
    closest = FleetDistances(
        rows, float(pow2_scale(rows.moments.max_abs_about(row).max(), rows.dtype))
    )
    try:
        return greedy(
            closest,
            int(first[0]),
            row,
            n_clusters,
            random_state,
            take=rows.take,
            n_local_trials=None,
            progress=progress,
        )
    finally:
        closest.forget()


class FleetDistances:
    """Distances of the rows of all holders; see `seeding.Distances`.

    Parameters
    ----------
    rows : FleetRows
    scale : float
        What rows are multiplied by before squaring.
    """

    def __init__(self, rows: FleetRows, scale: float) -> None:
        self._rows, self._fleet = rows, rows.fleet
        self._recorded = ["distances"]
        self._blocks: dict[int, int] = {}  # of each part
        self._fleet.set_up("distances", "begin_distances", rows.version, scale)

    def shorten(self, row: Array, best: int | None) -> Shortened:
        """Choose a row [1, D]; holders that replace lost ones do so again."""
        self._recorded.append(f"distances {len(self._recorded)}")
        parts = _by_part(self._fleet.set_up(self._recorded[-1], "shorten_distances", row))
        self._blocks = {index: len(part.masses) for index, part in parts.items()}
        return Shortened(
            potentials=[value for part in parts.values() for value in part.potentials],
            masses=[value for part in parts.values() for value in part.masses],
        )

    def compare(self, candidates: Array) -> list[Array]:
        """Return the sums of each block with each of the candidates [T, D]."""
        parts = _by_part(self._fleet.call("compare_distances", candidates))
        return [sums for part in parts.values() for sums in part]

    def locate(self, wanted: Mapping[int, Sequence[float]]) -> dict[int, Array]:
        """Return rows of blocks, by number among all, where running sums pass targets."""
        firsts = np.cumsum([0, *self._blocks.values()])  # of the parts
        indices, starts = list(self._blocks), self._rows.layout.first_of()
        own: dict[int, dict[int, Sequence[float]]] = {}
        for block, targets in wanted.items():
            part = int(np.searchsorted(firsts, block, side="right")) - 1
            own.setdefault(indices[part], {})[block - int(firsts[part])] = targets
        replies = _by_part(self._fleet.call("locate_distances", own))
        first_block = dict(zip(indices, firsts.tolist(), strict=False))
        return {
            first_block[index] + block: rows + starts[index]
            for index, part in replies.items()
            for block, rows in part.items()
        }

    def forget(self) -> None:
        """Free what holders remember of each row."""
        for key in self._recorded:
            self._fleet.forget(key)
        self._fleet.call("end_distances")


def _by_part(replies: Sequence[Mapping[int, Any]]) -> dict[int, Any]:
    """Return the replies for each part, in the order of the rows."""
    parts = {index: part for reply in replies for index, part in reply.items()}
    return {index: parts[index] for index in sorted(parts)}

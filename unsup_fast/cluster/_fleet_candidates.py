"""What k-means|| remembers of rows that the processes of a fleet have between them."""

import numpy as np

from unsup_fast.cluster._holder import in_order
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array


class FleetCandidates:
    """Candidates of all holders; see `Candidates`.

    Parameters
    ----------
    rows : FleetRows
    """

    def __init__(self, rows: FleetRows) -> None:
        self._rows, self._fleet = rows, rows.fleet
        self._recorded, self._count = ["seed"], 0
        self._fleet.set_up("seed", "seed", rows.version, rows.scale)

    def add(self, rows: Array) -> float:
        """Draw rows [M, D]; return the sum of weights times squared distances to the nearest."""
        self._recorded.append(f"candidates {len(self._recorded)}")
        replies = self._fleet.set_up(self._recorded[-1], "add_candidates", rows)
        self._count += len(rows)
        return in_order({index: part for reply in replies for index, part in reply.items()})

    def draw(self, key: int, share: float) -> Array:
        """Return the rows [M], ascending, that a round draws by themselves."""
        replies = self._fleet.call("draw_candidates", key, share)
        return np.sort(np.concatenate([part for reply in replies for part in reply.values()]))

    def masses(self) -> Array:
        """Return the total mass, int64 [M], of the rows nearest to each row drawn."""
        masses: Array = np.sum(self._fleet.call("weigh_candidates", self._count), axis=0)
        for key in self._recorded:
            self._fleet.forget(key)
        self._fleet.call("end_seeding")
        return masses

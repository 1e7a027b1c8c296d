"""Known responsibilities of the components for rows, from which a mixture starts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array
from unsup_fast.kernels.assign import assign

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


class Responsibilities(NamedTuple):
    """Responsibilities of the components for some rows, where the rows are: one of the two."""

    resp: "ArrayOrTensor | None" = None
    """[N, K], type of the rows"""
    labels: "ArrayOrTensor | None" = None
    """[N] int32: the component whose responsibility is one"""


def only_one(rows: Rows, block: "ArrayOrTensor") -> Responsibilities:
    """Return the responsibilities of the first component: one for each row of a block."""
    return Responsibilities(labels=rows.to_device(np.zeros(len(block), dtype=np.int32)))


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """A cluster for each component: that of the nearest centroid."""

    centers: Array
    """[K, D], type of the rows"""
    shift: Array
    """[D]: what the kernel subtracts"""

    def __call__(self, rows: Rows, block: "ArrayOrTensor") -> Responsibilities:
        """Return the labels of a block [B, D]."""
        assigned = assign(
            block,
            rows.to_device(self.centers),
            shift=rows.to_device(self.shift),
            n_threads=rows.n_threads,
            update=False,
            return_inertia=False,
        )
        return Responsibilities(labels=assigned.labels)

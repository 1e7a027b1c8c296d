"""The portable operations on totals: the same whole numbers."""

from typing import TYPE_CHECKING

import numpy as np

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import assign

if TYPE_CHECKING:
    from unsup_fast.kernels.totals import Totals

SMALL = 1 << 17  # values of rows that one thread moves


def move(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    *,
    totals: "Totals",
    n_threads: int,
) -> int:
    """Compute the labels of `assign` and move rows between sums; return the labels that changed."""
    n_clusters, width = totals.sums.shape
    if (n_clusters, width) != (len(centers), len(totals.quanta)) or width < X.shape[1]:
        raise ValueError(f"totals: wrong size {totals.sums.shape} for centers {centers.shape}")
    if len(labels) and not -1 <= labels.min() <= labels.max() < n_clusters:
        raise ValueError(
            f"a label is not a centroid: labels run from {labels.min()} to {labels.max()}; they "
            f"must be from -1 to {n_clusters - 1}"
        )
    before = labels.copy()
    try:
        assigned = assign(
            X,
            centers,
            shift=shift,
            labels=labels,
            update=False,
            return_inertia=False,
            n_threads=n_threads,
        )
    finally:  # also after Ctrl-C: sums and labels must fit each other
        parts = n_threads if X.size > SMALL else 1

        def work(part: int) -> None:
            _move(
                X,
                shift,
                before,
                labels,
                totals.quanta,
                totals.sums,
                totals.counts,
                part,
                parts,
            )

        _chunks.run(work, parts, parts)
    return int(assigned.n_changed)


@jit()
def _move(
    X: Array,
    shift: Array,
    before: Array,
    labels: Array,
    quanta: Array,
    sums: Array,
    counts: Array,
    part: int,
    parts: int,
) -> None:
    """Move rows that enter or leave clusters k with k % parts = part, which one thread owns."""
    for i in range(len(labels)):
        old, new = before[i], labels[i]
        if old == new:
            continue
        if old >= 0 and old % parts == part:
            _add(X[i], shift, quanta, sums[old], -1)
            counts[old] -= 1
        if new % parts == part:
            _add(X[i], shift, quanta, sums[new], 1)
            counts[new] += 1


@jit()
def _add(row: Array, shift: Array, quanta: Array, sums: Array, sign: int) -> None:
    for j in range(len(row)):
        sums[j] += sign * np.int64(np.rint((row[j] - shift[j]) * quanta[j]))

"""`totals`: sums of clusters that rows enter and leave: exact, whatever the order.

A row counts as whole numbers, ``rint((x_ij - s_j) quanta_j)``. Whole numbers are added exactly, so
the sums depend on the labels alone: not on the threads, nor on how the rows came to have their
labels. A pass touches only the rows whose label is new. The numbers of `MOST_ROWS` rows fit in 64
bits; of more rows they are carried over into a second number after as many.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import is_native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.totals import native

if TYPE_CHECKING:
    from unsup_fast.kernels import _native

__all__ = ["Means", "Totals", "empty", "means", "move", "quanta"]

LANES = 8  # columns of the sums are filled up to a multiple of this
BITS = 50  # of a row's whole numbers: what a double can be rounded to by adding 1.5 * 2^52
MOST_ROWS = (1 << 31) - 1  # of a pass between two calls of `Totals.carry`
CARRY = 32  # bits that stay in the first number
FINE = 2.0**-26  # of the typical length of a row less the shift: as much may be lost by rounding


@dataclass(kw_only=True)
class Totals:
    """Sums and counts of the rows of each cluster, in arrays that change in place."""

    quanta: Array
    """[S] float64: powers of two, how many whole numbers a unit of each column has; 0 past D."""
    sums: Array
    """[K, S] int64."""
    counts: Array
    """[K] int64."""
    carried: Array | None = None
    """[K, S] int64: multiples of 2^32 that count besides `sums`; None up to `MOST_ROWS` rows."""

    @cached_property
    def bound(self) -> "_native.Totals":
        """The arrays as the compiled operations take them, without a copy."""
        return native.bound(self)

    def carry(self) -> None:
        """Make room in `sums` for `MOST_ROWS` more rows."""
        if self.carried is not None:
            multiples = self.sums >> CARRY
            self.carried += multiples
            self.sums -= multiples << CARRY

    def values(self, n_columns: int) -> Array:
        """Return the sums of rows less the shift, [K, D] float64."""
        unit = np.zeros(n_columns)
        np.divide(1.0, self.quanta[:n_columns], out=unit, where=self.quanta[:n_columns] > 0)
        numbers = self.sums[:, :n_columns].astype(np.float64)
        if self.carried is not None:
            numbers += self.carried[:, :n_columns] * 2.0**CARRY
        values: Array = numbers * unit
        return values


def quanta(max_abs: Array, n_rows: int, sample: Array) -> Array | None:
    """Return the whole numbers per unit of each column, or None if rounding would lose too much.

    The exponent leaves room for the sum of N rows, or `MOST_ROWS`, in 63 bits, and for one row in
    50. At least as many rows' bits are lost of those, so columns whose outliers exceed 2^20 times
    the rows' usual length are refused.

    Parameters
    ----------
    max_abs : ndarray of shape (D,), float64
        Largest magnitude of each column of the rows less the shift.
    n_rows : int
    sample : ndarray of shape (M, D)
        Some rows less the shift.
    """
    bits = min(BITS, 61 - min(n_rows, MOST_ROWS).bit_length())
    n_columns = len(max_abs)
    powers = np.zeros(-(-n_columns // LANES) * LANES)
    exponent = bits - np.frexp(max_abs)[1]  # [D]
    if not (max_abs < 1e154).all() or exponent.max(initial=0) > 1000:  # squares must not overflow
        return None
    powers[:n_columns] = np.where(max_abs > 0, np.ldexp(1.0, exponent), 0.0)
    lost = np.sqrt((np.ldexp(1.0, -exponent)[max_abs > 0] ** 2).sum())
    typical = float(np.median(np.linalg.norm(sample.astype(np.float64), axis=1)))
    return powers if lost <= FINE * typical else None


def empty(quanta: Array, n_clusters: int, n_rows: int = 0) -> Totals:
    """Return totals without rows, all zero, with room for `n_rows`."""
    sums = np.zeros((n_clusters, len(quanta)), dtype=np.int64)
    return Totals(
        quanta=quanta,
        sums=sums,
        counts=np.zeros(n_clusters, dtype=np.int64),
        carried=np.zeros_like(sums) if n_rows > MOST_ROWS else None,
    )


def move(
    X: Array, centers: Array, shift: Array, labels: Array, *, totals: Totals, n_threads: int
) -> int:
    """Compute the labels of `assign` and move rows between sums; return the labels that changed."""
    if is_native():
        return native.move(X, centers, shift, labels, totals=totals, n_threads=n_threads)
    from unsup_fast.kernels.totals import numba_

    return numba_.move(X, centers, shift, labels, totals=totals, n_threads=n_threads)


class Means(NamedTuple):
    """New centroids, and statistics of the pass that led to them."""

    centers: Array
    """[K, D], type of the centroids: means of the clusters; as before where there are no rows."""
    movement: float
    """Sum over the centroids of their squared movement."""
    inertia: float
    """Inertia about the centroids before, less the squared length of all rows about the shift."""


def means(totals: Totals, centers: Array, shift: Array, n_threads: int | None = None) -> Means:
    """Return the means of the clusters that rows were assigned to from `centers` [K, D]."""
    if totals.carried is not None or not is_native():
        return _means(totals, centers, shift)
    centers_new, moved, cross, own = native.means(
        centers, shift, totals=totals, n_threads=threads.effective(n_threads)
    )
    return Means(
        centers=centers_new,
        movement=float(moved.sum()),
        inertia=float(own.sum() - 2 * cross.sum()),
    )


def _means(totals: Totals, centers: Array, shift: Array) -> Means:
    """Return what `means` does, portably, and from totals of more than `MOST_ROWS` rows."""
    origin, before = shift.astype(np.float64), centers.astype(np.float64)
    values, counts = totals.values(centers.shape[1]), totals.counts[:, None]
    filled = counts > 0
    centers_new = np.where(filled, origin + values / np.where(filled, counts, 1), before)
    centers_new = centers_new.astype(centers.dtype)
    gap = before - origin
    return Means(
        centers=centers_new,
        movement=float(((centers_new - before) ** 2).sum()),
        inertia=float((counts * gap**2).sum() - 2 * (gap * values).sum()),
    )

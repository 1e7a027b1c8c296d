"""Random rows, drawn by weight: the same however the rows are divided into parts.

Weights count as whole numbers, which are added exactly, and the uniform number of a row is a
function of its number alone (Philox: Salmon, Moraes, Dror & Shaw, SC 2011).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from unsup_fast.kernels._types import Array

BITS = 61  # of the sum of all masses
LOW = 26  # bits that are added up separately, so that doubles hold either sum


class Masses(Protocol):
    """What each row weighs, in whole numbers, wherever the rows are."""

    def total(self, excluded: Array) -> int:
        """Return the sum over all rows but some."""

    def locate(self, targets: Sequence[int], excluded: Array) -> Array:
        """Return the rows [M] at which the running sum over all but some first exceeds targets."""

    def by_label(self, labels: Array, count: int) -> Array:
        """Return the sums of the rows of each label, int64 [count]."""


class EqualMasses:
    """One for each row.

    Parameters
    ----------
    n_rows : int
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows

    def total(self, excluded: Array) -> int:
        """Return the number of rows but some."""
        return self._n_rows - len(excluded)

    def locate(self, targets: Sequence[int], excluded: Array) -> Array:
        """Return the rows that have as many others before them."""
        ascending = np.sort(excluded)
        before = ascending - np.arange(len(ascending))  # rows before each that are not excluded
        numbers = np.array(targets, dtype=np.int64)
        rows: Array = numbers + np.searchsorted(before, numbers, side="right")
        return rows

    def by_label(self, labels: Array, count: int) -> Array:
        """Return the number of rows of each label, int64 [count]."""
        return np.bincount(labels, minlength=count).astype(np.int64, copy=False)


class WholeMasses:
    """Those of an array.

    Parameters
    ----------
    masses : ndarray of shape (N,), int64
        As `whole` returns them.
    """

    def __init__(self, masses: Array) -> None:
        self._masses = masses

    def total(self, excluded: Array) -> int:
        """Return the sum over all rows but some."""
        return int(self._masses.sum()) - int(self._masses[excluded].sum())

    def locate(self, targets: Sequence[int], excluded: Array) -> Array:
        """Return the rows at which the running sum over all but some first exceeds targets."""
        masses = self._masses.copy()
        masses[excluded] = 0
        rows: Array = np.cumsum(masses, out=masses).searchsorted(
            np.array(targets, dtype=np.int64), side="right"
        )
        return rows

    def by_label(self, labels: Array, count: int) -> Array:
        """Return the sums of the rows of each label, int64 [count]."""
        sums = np.zeros(count, dtype=np.int64)
        for start in range(0, len(labels), 1 << LOW):
            part = slice(start, start + (1 << LOW))
            here, masses = labels[part], self._masses[part]
            high = np.bincount(here, weights=masses >> LOW, minlength=count)
            low = np.bincount(here, weights=masses & (1 << LOW) - 1, minlength=count)
            sums += (high.astype(np.int64) << LOW) + low.astype(np.int64)
        return sums


def masses_of(sample_weight: Array | None, n_rows: int) -> Masses:
    """Return the masses of weights [N], or equal ones."""
    if sample_weight is None:
        return EqualMasses(n_rows)
    return WholeMasses(whole(sample_weight, scale_of(float(sample_weight.max()), n_rows)))


def scale_of(largest: float, n_rows: int) -> float:
    """Return the power of two that makes whole numbers of weights up to `largest` of N rows."""
    return float(2.0 ** (BITS - n_rows.bit_length() - int(np.frexp(largest)[1])))


def whole(sample_weight: Array, scale: float) -> Array:
    """Return weights [N] as whole numbers, int64; at least 1 unless a weight is zero."""
    weight = sample_weight.astype(np.float64)
    masses: Array = np.maximum(np.rint(weight * scale), weight > 0).astype(np.int64)
    return masses


def draw(masses: Masses, size: int, random_state: np.random.RandomState) -> Array:
    """Draw different rows by mass, as ``random_state.choice`` does without replacement.

    Parameters
    ----------
    masses : Masses
    size : int
        How many rows; at least as many must have mass.
    random_state : RandomState

    Returns
    -------
    ndarray of shape (size,), int64
    """
    rows = draw_others(masses, size, random_state, np.empty(0, dtype=np.int64))
    if len(rows) < size:
        raise ValueError(f"only {len(rows)} rows have weight; {size} are to be drawn")
    return rows


def draw_others(
    masses: Masses, size: int, random_state: np.random.RandomState, excluded: Array
) -> Array:
    """Draw up to `size` rows other than some: fewer if fewer have mass."""
    drawn = excluded
    while len(drawn) < size + len(excluded):
        total = masses.total(drawn)
        if total == 0:
            break
        draws = random_state.random_sample(size + len(excluded) - len(drawn))
        targets = [int(number * 2.0**53) * total >> 53 for number in draws]  # floor(number total)
        new = masses.locate(targets, drawn)
        drawn = np.append(drawn, new[np.sort(np.unique(new, return_index=True)[1])])
    return drawn[len(excluded) :]


def uniform(key: int, first: int, count: int) -> Array:
    """Return a number in [0, 1) for each of the rows from `first` on, float64 [count]."""
    generator = np.random.Philox(key=key)
    generator.advance(first // 4)  # which makes four numbers at a time
    skipped = first % 4
    return np.random.Generator(generator).random(skipped + count)[skipped:]

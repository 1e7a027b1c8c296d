"""Which rows SemDeDup keeps of near-duplicates.

Abbas, Tirumala, Simig, Ganguli & Morcos, "SemDeDup: data-efficient learning at web-scale through
semantic deduplication", 2023, with the rule of their code: rows of a cluster are put into an order,
and a row is removed if any row before it is as near as the threshold, itself removed or not.
"""

from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.cluster import Pairs

LEVELS = 10  # thresholds from the chosen one to equal rows, without the latter


class Level(NamedTuple):
    """What another threshold would do."""

    threshold: float
    pairs: int
    removed: int


def ranks(distances: Array, keep: str, seed: int) -> Array:
    """Return the position [N] of each row in the order of keeping, the first of equals first.

    Parameters
    ----------
    distances : ndarray of shape (N,)
        From each row to its centroid.
    keep : {"hard", "easy", "random"}
        The farthest, the nearest or a random row first.
    seed : int
        Of the random order.
    """
    n_rows = len(distances)
    if keep == "random":
        return np.random.default_rng(seed).permutation(n_rows)
    order = np.argsort(-distances if keep == "hard" else distances, kind="stable")
    rank = np.empty(n_rows, np.int64)
    rank[order] = np.arange(n_rows)
    return rank


class Removal:
    """Which rows have a near-duplicate before them, from pairs that come in parts.

    Parameters
    ----------
    rank : ndarray of int, shape (N,)
        Position of each row in the order of keeping.
    threshold : float
    metric : {"cosine", "euclidean"}

    Attributes
    ----------
    nearest : ndarray of shape (N,), float64
        Value of the nearest pair of a row with a row before it; infinitely far if there is no pair.
    thresholds : ndarray of shape (LEVELS + 1,), or (1,) for equal rows alone
        From the chosen one to that of equal rows.
    """

    def __init__(self, rank: Array, threshold: float, metric: str) -> None:
        self._rank = rank
        self._sign = -1.0 if metric == "cosine" else 1.0  # times a value: the less, the nearer
        self.nearest = np.full(len(rank), self._sign * np.inf)
        equal = 1.0 if metric == "cosine" else 0.0
        shares = np.arange(1, LEVELS + 1) / LEVELS if threshold != equal else np.empty(0)
        others = np.round(threshold + (equal - threshold) * shares, 12)
        self.thresholds = np.concatenate([[threshold], others])
        self._pairs = np.zeros(len(self.thresholds), np.int64)

    def add(self, pairs: Pairs) -> None:
        """Take note of some pairs."""
        rank, nearer = self._rank, np.maximum if self._sign < 0 else np.minimum
        later = np.where(rank[pairs.i] > rank[pairs.j], pairs.i, pairs.j)
        nearer.at(self.nearest, later, pairs.values)
        self._pairs += self._within(pairs.values)

    def bands(self, values: Array) -> Array:
        """Return between which thresholds values lie: 0 for the chosen one and the next."""
        edges = self._sign * self.thresholds[::-1]  # ascending
        return len(edges) - 1 - np.searchsorted(edges, self._sign * values, side="left")

    def keep(self) -> Array:
        """Return which rows [N] to keep."""
        alone: Array = np.isinf(self.nearest)
        return alone

    def levels(self) -> list[Level]:
        """Return the pairs and removed rows of each of the thresholds."""
        removed = self._within(self.nearest)
        rows = zip(self.thresholds.tolist(), self._pairs.tolist(), removed.tolist(), strict=True)
        return [Level(threshold, pairs, rows) for threshold, pairs, rows in rows]

    def _within(self, values: Array) -> Array:
        """Return how many values are as near as each of the thresholds."""
        ascending = np.sort(self._sign * values)
        return np.searchsorted(ascending, self._sign * self.thresholds, side="right")

"""Mean and covariance of features that come block by block, or a factor for few rows."""

from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.kernels.covariance import Covariance, covariance, merge, natural

ROWS = 1024  # the fewest rows that are summed up at a time


class Gaussian(NamedTuple):
    """Mean and covariance of N rows; the covariance is dense or a factor."""

    n_rows: int | None
    """N; None if not known"""
    mean: Array
    """[D]"""
    rows: Array | None
    """[N, D]: A with covariance A^T A, the centred rows over sqrt(N - 1)"""
    covariance: Array | None
    """[D, D], divided by N - 1"""

    def dense(self) -> Array:
        """Return the covariance [D, D]."""
        if self.covariance is not None:
            return self.covariance
        assert self.rows is not None
        return self.rows.T @ self.rows


class Accumulator:
    """Rows in order: sums over every max(D, 1024) rows, and the remaining rows themselves.

    Where sums end does not depend on how the rows were divided into blocks, so neither does a
    result. With fewer rows than columns there are no sums, and the rows take less memory.
    """

    def __init__(self, n_columns: int, sums: Covariance | None = None) -> None:
        if sums is None:
            sums = Covariance(0, np.zeros(n_columns), np.zeros((0, 0)), None)
        self.sums = sums
        self.left: list[Array] = []

    @property
    def n_rows(self) -> int:
        """Return the number of rows added."""
        return self.sums.n_rows + sum(map(len, self.left))

    def add(self, rows: Array, n_threads: int | None) -> None:
        """Add rows [M, D], float32 or float64, finite."""
        step = max(len(self.sums.mean), ROWS)
        room = step - sum(map(len, self.left))
        while len(rows) >= room:
            parts = [*self.left, rows[:room]]
            self.sums = natural(merge(self.sums, self._summed(parts, n_threads)))
            self.left, rows, room = [], rows[room:], step
        if len(rows):
            self.left.append(rows.copy())

    def merge(self, other: "Accumulator", n_threads: int | None) -> None:
        """Append the rows of another accumulator."""
        if other.sums.n_rows:
            self.sums = natural(merge(self.sums, other.sums))
        for rows in list(other.left):  # which may be this one
            self.add(rows, n_threads)

    def compute(self, n_threads: int | None) -> Gaussian:
        """Return the mean and covariance of at least two rows."""
        n_rows = self.n_rows
        if not self.sums.n_rows:
            rows = np.concatenate(self.left, dtype=np.float64)
            mean = rows.mean(axis=0)
            rows -= mean
            # The mean's rounding error, which matters far from zero.
            residual = rows.mean(axis=0)
            rows -= residual
            rows /= np.sqrt(n_rows - 1)
            return Gaussian(n_rows, mean + residual, rows, None)
        total = self.sums
        if self.left:
            total = natural(merge(total, self._summed(self.left, n_threads)))
        return Gaussian(n_rows, total.mean, None, total.scatter / (n_rows - 1))

    def _summed(self, parts: list[Array], n_threads: int | None) -> Covariance:
        # In float64: rounding to float32 would turn a singular covariance into a regular one.
        rows = np.concatenate(parts, dtype=np.float64)
        return covariance(rows, n_threads=n_threads)

"""What makes a pair of rows near, by cosine similarity and by Euclidean distance.

A value is a function of its two rows alone, summed up in float64, so it depends neither on threads
nor on which rows were computed with together. To rule pairs out, both measures are distances
between points: with u = x / |x| and v = y / |y| ::

    cos(x, y) >= t    where    |u - v|^2 = 2 - 2 cos(x, y) <= 2 - 2 t
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unsup_fast._rows.products import squared_lengths
from unsup_fast._types import Array

EPS = float(np.finfo(np.float64).eps)
# Between these, neither the fourth power of a float64 nor a sum of these leaves its range.
SMALLEST, LARGEST = 1e-70, 1e70
DIRECT = 1 << 16  # elements that values are computed from at a time: 512 KiB


@dataclass(frozen=True)
class Cosine:
    """Pairs whose cosine similarity is at least `threshold`."""

    threshold: float

    name: ClassVar[str] = "cosine similarity"

    def scaled(self, X: Array) -> Array:
        """Return rows [N, D] whose squares stay in range, each times a power of two."""
        if X.dtype == np.float32:
            return X
        largest = np.abs(X).max(axis=1)
        rare = np.flatnonzero(~((largest > SMALLEST) & (largest < LARGEST)))
        if len(rare) == 0:
            return X
        exponents = np.zeros(len(X), np.int64)
        exponents[rare] = np.frexp(largest[rare])[1]
        return np.ldexp(X, -np.clip(exponents, -1000, 1000)[:, None])

    def points(self, X: Array) -> Array:
        """Return scaled rows at unit length, float64; a zero row becomes NaN."""
        wide = X.astype(np.float64, copy=False)
        with np.errstate(invalid="ignore"):
            unit: Array = wide / np.sqrt(squared_lengths(wide))[:, None]
        return unit

    def limit(self, n_columns: int) -> float:
        """Return a distance of points that no near pair exceeds.

        A value and a point have relative errors of at most 2 D + 8 and D / 2 + 4 roundings.
        """
        return float(np.sqrt(2 - 2 * self.threshold + 16 * (n_columns + 8) * EPS)) * (1 + 4 * EPS)

    def values(self, x: Array, y: Array) -> Array:
        """Return the similarities [M] of scaled rows [M, D], float64; 1 for equal rows."""
        lengths = np.sqrt(squared_lengths(x) * squared_lengths(y))
        similarity: Array = np.einsum("ij,ij->i", x, y) / lengths
        return np.clip(similarity, -1, 1, out=similarity)

    def is_near(self, values: Array) -> Array:
        """Return which values are those of near pairs."""
        near: Array = values >= self.threshold
        return near


@dataclass(frozen=True)
class Euclidean:
    """Pairs whose Euclidean distance is at most `threshold`."""

    threshold: float

    name: ClassVar[str] = "Euclidean distance"

    def scaled(self, X: Array) -> Array:
        """Return the rows."""
        return X

    def points(self, X: Array) -> Array:
        """Return the rows in float64."""
        return X.astype(np.float64, copy=False)

    def limit(self, n_columns: int) -> float:
        """Return a distance of points that no near pair exceeds.

        A value has a relative error of at most D / 2 + 4 roundings.
        """
        return self.threshold * (1 + 2 * (n_columns + 8) * EPS)

    def values(self, x: Array, y: Array) -> Array:
        """Return the distances [M] of rows [M, D], float64, from their differences."""
        differences = x - y
        largest = np.abs(differences).max(axis=1)
        rare = (largest > 0) & ~((largest > SMALLEST) & (largest < LARGEST))
        if not rare.any():
            return np.sqrt(squared_lengths(differences))
        exponents = np.clip(np.where(rare, np.frexp(largest)[1], 0), -1000, 1000)
        scaled = np.ldexp(differences, -exponents[:, None])
        distances: Array = np.ldexp(np.sqrt(squared_lengths(scaled)), exponents)
        return distances

    def is_near(self, values: Array) -> Array:
        """Return which values are those of near pairs."""
        near: Array = values <= self.threshold
        return near


Measure = Cosine | Euclidean


def values_of(measure: Measure, X: Array, i: Array, Y: Array, j: Array) -> Array:
    """Return the values [M] of the pairs of rows i of X and j of Y, a few at a time."""
    values = np.empty(len(i))
    step = max(1, DIRECT // X.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        x, y = (A[k[part]].astype(np.float64, copy=False) for A, k in ((X, i), (Y, j)))
        values[part] = measure.values(x, y)
    return values

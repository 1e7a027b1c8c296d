"""The records of `prune`: a basis, rows as they are scored, and bounds."""

from dataclasses import dataclass, replace

from unsup_fast.kernels._types import Array

NEAR = 16
"""Centroids of a group, as in csrc/prune."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """Directions in which rows differ most, in order."""

    directions: Array
    """[R, D], type of X, orthonormal up to `defect`."""
    defect: float
    """How far the directions are from orthonormal: |Q Q^T - I| in the Frobenius norm."""
    shift: Array
    """[D], type of X: subtracted from rows and centroids."""
    scale: float
    """Power of two that rows less the shift are multiplied by, so that they are near one."""

    coded: bool = False
    """Whether rows are scored as bytes: in the directions, or in all columns if there are none."""

    @property
    def width(self) -> int:
        """Return R, or D of the basis that has no directions."""
        return len(self.directions) or len(self.shift)

    def first(self, count: int, *, coded: bool = False) -> "Basis":
        """Return the basis of the first `count` directions; without any, rows are coded."""
        return replace(self, directions=self.directions[:count], coded=coded or count == 0)


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows as they are scored: y in the columns of a basis, or bytes, y = (unit * codes, tail)."""

    projected: Array | None = None
    """[N, R + 1], type of X: the rows in the columns of the basis, and their tail."""
    codes: Array | None = None
    """[N, C] int8: the rows in the directions, or in all columns; C is R or D rounded up to a
    multiple of 4."""
    unit: Array | None = None
    """[N], type of X."""
    sums: Array | None = None
    """[N] int32, of the codes."""
    tail: Array | None = None
    """[N], type of X: what is outside the directions; None with codes of all columns."""
    largest: int = 0
    """Largest size that codes may have, which depends on the instructions in use."""
    fine: "ScoredRows | None" = None
    """Codes of all columns, which score the centroids that codes of directions leave."""
    squares: Array
    """[N] float64: |y|^2."""
    slack: Array
    """[N] float64: how far y may be from the truth."""


@dataclass(kw_only=True)
class Bounds:
    """Bounds of distances between rows and centroids, from pass to pass; see csrc/prune."""

    basis: Basis
    span: int
    """Groups of `NEAR` slots to a bound."""
    cluster: Array
    """[K] int32: the centroid in each slot."""
    rows: ScoredRows
    upper: Array
    """[N], type of X: distance that a centroid must keep so as not to be nearest."""
    tight: Array
    """[N] uint8: whether the row's own centroid has not moved since `upper` was computed."""
    lower: Array
    """[N, W], type of X: distance of the nearest other centroid of each bound, plus `moved`; W is B
    rounded up to a multiple of `NEAR`, with infinity past B."""
    moved: Array
    """[B] float64: how far the centroids of each bound have moved."""
    max_norm: Array
    """[1] float64: upper bound of the norms of the centroids."""
    before: Array | None = None
    """[K, D]: centroids of the pass before; None if no bounds are known yet."""
    guess: Array | None = None
    """[N] int32: a near centroid of each row, or -1, from which the first pass starts; None if none
    is known. It changes no result."""
    work: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of the last pass: rows whose distance to their own centroid was computed, pairs of a row and
    a group scored in the columns of the basis, pairs of a row and a centroid scored by fine codes,
    and such pairs whose distance was computed."""

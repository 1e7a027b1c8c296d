"""Exact bounds for `kmeans_plusplus`: how projected rows rule out most pairs of row and candidate.

The bounds are those of `kernels.prune`: the distance in a few columns of an orthonormal
basis and of the lengths of the rest. A first bound takes the leading columns of all rows, in
tiles; what it leaves is tried in all projected columns, and what is left then is computed. How
many columns either takes has no effect on the result (csrc/kmeans_plusplus).
"""

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.origin import origin
from unsup_fast.kernels.prune.choice import COUNTS
from unsup_fast.kernels.prune.columns import basis, project_rows
from unsup_fast.kernels.prune.records import Basis

SAMPLE = 512  # rows on which survivors are counted
CANDIDATES = 32  # candidates that they are counted for
# Nanoseconds on two threads, measured on MNIST and sentence embeddings: a column of a row that
# comes from memory; a column of a pair that is computed; a leading column of a row and eight
# candidates; a column of a pair's second bound, and the fixed cost of the pair.
FETCHED, COMPUTED, LEADING, REFINED, PAIR = 0.12, 0.007, 0.1, 0.06, 3.0
PROJECTED = 0.02  # a column of a row in one direction
BASIS = 4e8  # fixed cost of a basis, for all rows
ROOM = 0.75  # projected columns that may be stored, as a share of the data's


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Rows in few columns."""

    basis: Basis
    """Its scale is that of the seeding."""
    rows: Array
    """[N, R + 1], type of X."""
    slack: Array
    """[N] float64: how far a projected row may be from the truth."""
    leading: int
    """Columns of the first bound."""


def may_pay(n_rows: int, n_columns: int, trials: int, rounds: int) -> bool:
    """Return whether bounds could pay for themselves if nearly nothing survived."""
    if (2 * COUNTS[0] + 2) > ROOM * n_columns:
        return False
    saved = _dense(n_columns, trials) - LEADING * (COUNTS[0] + 1) * _groups(trials)
    return rounds * saved * n_rows > BASIS


def choose(
    X: Array,
    closest: Array,
    scale: float,
    trials: int,
    rounds: int,
    bounds: Bounds | None,
    n_threads: int,
) -> Bounds | None:
    """Return the bounds that are cheapest at present, or None if computing all pairs is.

    Survivors are counted on evenly spaced rows, for candidates spread over the distribution from
    which they are drawn.

    Parameters
    ----------
    X : ndarray of shape (N, D)
    closest : ndarray of shape (N,)
        Squared distances to the rows chosen so far, times `scale` squared.
    scale : float
        Power of two that brings differences of rows near one.
    trials, rounds : int
        Candidates of a round, and rounds ahead.
    bounds : Bounds or None
        Bounds of earlier rounds: their projection is reused, and bounds that paid once stay.
    n_threads : int
    """
    n_columns = X.shape[1]
    # One thread: several gain little here, and lose seconds where other work holds the cores.
    with threadpool_limits(1, user_api="blas"):
        data_basis = _basis(X, scale) if bounds is None else bounds.basis
        left = _left(X, closest, data_basis, trials)
    best, cheapest = None, _dense(n_columns, trials) if bounds is None else np.inf
    for total in left if bounds is None else [len(data_basis.directions)]:
        pairs, rows = left[total]
        last = rows * FETCHED * n_columns + pairs * trials * (COMPUTED * n_columns + PAIR)
        if bounds is None:
            last += PROJECTED * n_columns * total / rounds
        for leading in [count for count in left if count <= total]:
            if leading + total + 2 > ROOM * n_columns:
                continue
            cost = last + LEADING * (leading + 1) * _groups(trials)
            if leading < total:
                cost += left[leading][0] * trials * (REFINED * (total + 1) + PAIR)
            if cost < cheapest:
                best, cheapest = (total, leading), cost
    if best is None:
        return None
    total, leading = best
    if bounds is not None:
        return replace(bounds, leading=leading + 1)
    leading_basis = data_basis.first(total)
    projected, _, slack = project_rows(X, leading_basis, n_threads)
    return Bounds(basis=leading_basis, rows=projected, slack=slack, leading=leading + 1)


def _basis(X: Array, scale: float) -> Basis:
    return replace(basis(X, origin(X)), scale=scale)


def _left(X: Array, closest: Array, basis: Basis, trials: int) -> dict[int, tuple[float, float]]:
    """Return the share of pairs, and of rows in a round, that bounds of each width leave."""
    every = max(1, len(X) // SAMPLE)
    cumulated = np.cumsum(closest, dtype=np.float64)
    at = (np.arange(CANDIDATES) + 0.5) / CANDIDATES * cumulated[-1]
    candidates = X[np.minimum(np.searchsorted(cumulated, at), len(X) - 1)]  # [C, D]
    y, y_squares, _ = project_rows(np.ascontiguousarray(X[::every]), basis, 1)
    c, c_squares, _ = project_rows(candidates, basis, 1)
    known = closest[::every].astype(np.float64)[:, None]  # [M, 1]
    rounds = max(1, CANDIDATES // trials)
    left = {}
    for count in [count for count in COUNTS if count <= len(basis.directions)]:
        z, v = y[:, :count].astype(np.float64), c[:, :count].astype(np.float64)
        tail = np.sqrt(np.maximum(y_squares - (z**2).sum(axis=1), 0))  # [M]
        c_tail = np.sqrt(np.maximum(c_squares - (v**2).sum(axis=1), 0))  # [C]
        bound = y_squares[:, None] + c_squares - 2 * (z @ v.T + np.outer(tail, c_tail))  # [M, C]
        parts = np.array_split(bound < known, rounds, axis=1)
        rows = float(np.mean([part.any(axis=1).mean() for part in parts]))
        left[count] = float((bound < known).mean()), rows
    return left


def _groups(trials: int) -> int:
    return -(-trials // 8)


def _dense(n_columns: int, trials: int) -> float:
    return n_columns * (FETCHED + COMPUTED * trials)

"""Precision, recall, density and coverage of samples among data, by nearest neighbours.

Kynkaanniemi, Karras, Laine, Lehtinen & Aila, "Improved Precision and Recall Metric for Assessing
Generative Models", NeurIPS 2019, eqs. 1 and 2; Naeem, Oh, Uh, Choi & Yoo, "Reliable Fidelity and
Diversity Metrics for Generative Models", ICML 2020, section 3.
"""

from contextlib import closing
from functools import partial
from typing import NamedTuple

import numpy as np

from unsup_fast._parallel import in_order
from unsup_fast._types import Array, ArrayLike
from unsup_fast.metrics._balls import Rows, inside, parts, prepared
from unsup_fast.metrics._features import (
    Callback,
    Extractor,
    StoredFeatures,
    check_columns,
    features,
    warn_of_few,
    whole,
)
from unsup_fast.metrics._neighbours import n_blocks, radii

FEW = 1000  # shares of fewer samples have standard errors of up to 1.6 % and more


class PRDCScores(NamedTuple):
    """Shares of N data x and M samples y; a ball's radius is the distance to the k-th neighbour."""

    precision: float
    """Samples in a ball about some datum."""
    recall: float
    """Data in a ball about some sample."""
    density: float
    """How many balls about data a sample is in, on average, over k: may be above 1."""
    coverage: float
    """Data with a sample in their ball."""


def prdc(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    k: int = 3,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> PRDCScores:
    """Return precision, recall, density and coverage of samples.

    A row is not a neighbour of itself; equal rows are of each other. Balls are closed for precision
    and recall (eq. 1 of 2019) and open for density and coverage (the authors' code of 2020), but
    always hold what equals their centre. Distances are compared as if all were summed up in float64
    from the differences of the rows, so nothing cancels far from the origin, and the result is the
    same for any number of threads. Memory is half of that of float64 rows, plus a few MB.

    Parameters
    ----------
    X, Y : array-like or tensor of shape (N, D), (M, D)
        Features of data and of samples; those on a GPU are copied to the host.
    k : int, default=3
        Rank of the neighbour; 5 is the default of the authors of density and coverage.
    n_threads : int, optional
        Threads to run; None for all.
    callback : callable, optional
        Called with the blocks of distances done and their number.

    Returns
    -------
    PRDCScores

    Warns
    -----
    FewSamplesWarning
        If X or Y has fewer than 1000 rows.

    Raises
    ------
    TypeError, ValueError
        If features are not finite numbers, or k is not less than N and M.

    Examples
    --------
    >>> import numpy as np, warnings
    >>> from unsup_fast.metrics import prdc
    >>> X = np.random.default_rng(0).random((1000, 2))
    >>> prdc(X, X)
    PRDCScores(precision=1.0, recall=1.0, density=1.0, coverage=1.0)
    """
    X, Y = _checked(X, Y, k)
    sizes = len(X), len(Y)
    tiles = [(rows, columns) for rows in parts(sizes[0]) for columns in parts(sizes[1])]
    total = sum(n_blocks(n, k) for n in sizes) + len(tiles)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if callback is not None:
            callback(done, total)

    P, Q = prepared(X, Y)
    limits = []
    for side in (P, Q):
        with closing(radii(side, k, n_threads)) as steps:
            for squared in steps:
                if squared is not None:
                    limits.append(squared)
                else:
                    step()
    precise, recalled, covered = (np.zeros(n, dtype=bool) for n in (sizes[1], sizes[0], sizes[0]))
    within = 0
    run = partial(_marks, P, Q, (limits[0], limits[1]))
    with closing(in_order(run, tiles, n_threads, "metrics", one_in_blas=True)) as results:
        for (rows, columns), marks in zip(tiles, results, strict=True):
            precise[columns] |= marks.precise
            recalled[rows] |= marks.recalled
            covered[rows] |= marks.covered
            within += marks.within
            step()
    return PRDCScores(
        float(precise.mean()),
        float(recalled.mean()),
        within / (k * sizes[1]),
        float(covered.mean()),
    )


class PRDC(StoredFeatures):
    """Precision, recall, density and coverage of samples that come block by block.

    Features are stored until these are computed, 8 KB for each sample of 2048 in float32.

    Parameters
    ----------
    extractor : callable, optional
        Receives what `update` receives, such as a batch of images, and returns features [N, D].
    k, n_threads
        As in `prdc`.
    """

    def __init__(
        self, extractor: Extractor | None = None, *, k: int = 3, n_threads: int | None = None
    ) -> None:
        super().__init__(extractor)
        self.k = k
        self.n_threads = n_threads

    def compute(self, *, callback: Callback | None = None) -> PRDCScores:
        """Return what `prdc` does of all samples.

        Raises
        ------
        TypeError, ValueError
            As `prdc`, or if there are no samples.
        """
        return prdc(*self._both(), k=self.k, n_threads=self.n_threads, callback=callback)


class Marks(NamedTuple):
    """The result of a block of pairs for its rows and columns."""

    precise: Array
    """bool [C]"""
    recalled: Array
    """bool [R]"""
    covered: Array
    """bool [R]"""
    within: int
    """Pairs in balls about rows."""


def _checked(X: ArrayLike, Y: ArrayLike, k: int) -> tuple[Array, Array]:
    k = whole("k", k)
    X, Y = features("X", X), features("Y", Y)
    check_columns(X, Y)
    for name, rows in (("X", X), ("Y", Y)):
        if k >= len(rows):
            raise ValueError(
                f"k={k} needs more than {k} rows, but {name} has {len(rows)}; pass k < {len(rows)}"
                if len(rows) > 1
                else f"{name} has {len(rows)} rows; at least 2 are needed"
            )
    if min(len(X), len(Y)) < FEW:
        warn_of_few(
            f"{len(X)} and {len(Y)} samples are few: precision, recall, density and coverage "
            f"depend on their numbers and say little; take at least {FEW} of each, as many of "
            "both, and compare equal numbers only"
        )
    wide = np.result_type(X, Y)
    return X.astype(wide, copy=False), Y.astype(wide, copy=False)


def _marks(P: Rows, Q: Rows, limits: tuple[Array, Array], tile: tuple[slice, slice]) -> Marks:
    (near_data, opened), (near_samples, _) = inside(P, tile[0], Q, tile[1], limits)
    precise, recalled, covered = (
        np.logical_or.reduce(mask, axis=axis)
        for mask, axis in ((near_data, 0), (near_samples, 1), (opened, 1))
    )
    return Marks(precise, recalled, covered, int(np.count_nonzero(opened)))

"""Mean and scatter of rows on the CPU, summed up block by block in a fixed tree."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from unsup_fast._rows import arrays
from unsup_fast._rows.tree import Tree
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance import Covariance, covariance, merge

Progress = Callable[[int, int | None], None]

SPARSE = 1 << 22  # elements of a dense block of sparse rows
# Bytes of rows in memory that are summed up in one call, unless fewer than so many times D rows:
# merging two scatters [D, D] then costs little.
AT_ONCE, MIN_ROWS_PER_COLUMN = 256 << 20, 8
EMPTY = Covariance(
    n_rows=0, mean=np.empty(0), scatter=np.empty((0, 0)), first_nonfinite=None, unit=1.0
)


def rows_at_once(n_columns: int, dtype: np.dtype[Any], *, sparse: bool) -> int:
    """Return how many rows in memory are summed up in one call."""
    if sparse:
        return max(1, SPARSE // n_columns)
    return max(AT_ONCE // (dtype.itemsize * n_columns), MIN_ROWS_PER_COLUMN * n_columns)


def merged_covariance(
    blocks: Iterable[Array],
    owner: str,
    before: Covariance,
    progress: Progress | None,
    *,
    n_rows: int | None,
    n_threads: int,
) -> Covariance:
    """Return mean and scatter of the rows of all blocks, merged with those of the rows `before`.

    Parameters are those of `covariance_tree`, and `before`.

    Raises
    ------
    ValueError, RangeError
        As `covariance_tree`.
    """
    tree = covariance_tree(blocks, owner, progress, n_rows=n_rows, n_threads=n_threads)
    return merge(before, tree.total())


def covariance_tree(
    blocks: Iterable[Array],
    owner: str,
    progress: Progress | None = None,
    *,
    n_rows: int | None = None,
    n_threads: int,
    first: int = 0,
) -> Tree[Covariance]:
    """Return the mean and scatter of runs of blocks.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (B, D)
        They are checked to be finite here.
    owner : str
        Class of the estimator, for the error message.
    progress : callable, optional
        Called after each block with how many rows are done, and `n_rows`.
    n_rows : int or None
        Rows of all blocks, if known.
    n_threads : int
    first : int
        Number of the first block among all.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    RangeError
        If a difference of two values overflows their type.
    """
    tree, done = Tree(merge, first), 0
    for block in blocks:
        part = covariance(block, n_threads=n_threads)
        if part.first_nonfinite is not None:
            row, column = part.first_nonfinite
            arrays.raise_bad(block[row, column], done + row, column, owner)
        tree.add(part)
        done += len(block)
        if progress is not None:
            progress(done, n_rows)
    return tree

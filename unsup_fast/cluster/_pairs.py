"""Near pairs of rows within clusters: exact, by tiles."""

from collections.abc import Callable, Generator
from contextlib import closing
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from unsup_fast import blocks as row_blocks
from unsup_fast._parallel import in_order
from unsup_fast._rows import arrays
from unsup_fast._rows.errors import ZeroRowError
from unsup_fast._rows.sources import source_of
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.blocks import DataError, Source
from unsup_fast.cluster._measures import Cosine, Euclidean, Measure
from unsup_fast.cluster._strips import (
    Center,
    Pairs,
    Strip,
    blocks,
    center,
    near_pairs,
    sorted_pairs,
    strip,
)
from unsup_fast.kernels.moments import merge, moments

SMALL = 4096  # rows of a cluster that one thread does alone
Callback = Callable[[int, int], None]


class Search(NamedTuple):
    """What the clusters are searched with."""

    source: Source
    measure: Measure
    n_threads: int | None
    most: int
    """Rows that are in memory as a strip."""


def pairs_above(
    X: RowsLike,
    labels: ArrayLike,
    threshold: float,
    *,
    metric: str = "cosine",
    n_threads: int | None = None,
    working_memory: int = 1024,
    callback: Callback | None = None,
) -> Pairs:
    """Return all pairs of rows of a cluster that are as near to each other as a threshold.

    The result is that of float64 brute force: a value is computed in float64 from its two rows
    alone, and no pair is left out. It does not depend on threads or memory. The order of work is
    N_c^2 D for a cluster of N_c rows, less where rows differ in their distance to its mean.

    Parameters
    ----------
    X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
    labels : array-like of int, shape (N,)
        Cluster of each row. Rows with a negative label belong to no cluster, and are in no pair.
    threshold : float
        Least cosine similarity of a pair, from -1 to 1; or, with the metric "euclidean", largest
        distance.
    metric : {"cosine", "euclidean"}, default="cosine"
    n_threads : int or None, default=None
        Threads to run; None for all.
    working_memory : int, default=1024
        MiB that the rows which are compared may take, besides X if it is in memory, and besides
        up to 4096 rows for each thread. A cluster may be larger: it is read in strips, each of
        them several times.
    callback : callable, optional
        Called with the pairs of rows compared or ruled out so far, and their number.

    Returns
    -------
    Pairs
        Rows i < j and their similarity or distance, sorted by (i, j).

    Raises
    ------
    TypeError, ValueError
        If X holds NaN or infinity, if the labels are not an int for each row, if the threshold is
        out of range, or if a row of a cluster is zero and the metric "cosine".

    See Also
    --------
    iter_pairs : The same pairs in parts, for more than memory holds.

    Notes
    -----
    Rows of a cluster are sorted by their distance r to its mean, and as |x - y| >= |r_x - r_y| most
    blocks of rows of wide clusters need not be compared. Cosines are compared as squared distances
    2 - 2 cos(x, y) of rows at unit length. Products in float32 rule out most other pairs, with a
    bound of their rounding; the values of the rest are computed in float64.

    References
    ----------
    Abbas, Tirumala, Simig, Ganguli & Morcos, "SemDeDup: data-efficient learning at web-scale
    through semantic deduplication", 2023: near-duplicates are looked for within clusters.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import pairs_above
    >>> X = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [3.0, 0.0]])
    >>> i, j, values = pairs_above(X, [0, 0, 0, 0], 0.95)
    >>> list(zip(i.tolist(), j.tolist(), values.round(4).tolist()))
    [(0, 1, 0.9988), (0, 3, 1.0), (1, 3, 0.9988)]
    """
    parts = iter_pairs(
        X,
        labels,
        threshold,
        metric=metric,
        n_threads=n_threads,
        working_memory=working_memory,
        callback=callback,
    )
    with closing(parts):
        return sorted_pairs(list(parts))


def iter_pairs(
    X: RowsLike,
    labels: ArrayLike,
    threshold: float,
    *,
    metric: str = "cosine",
    n_threads: int | None = None,
    working_memory: int = 1024,
    callback: Callback | None = None,
) -> Generator[Pairs, None, None]:
    """Yield the pairs of `pairs_above` in parts, for more of them than memory holds.

    Each pair is in one part, and clusters follow each other by label. How a cluster is cut into
    parts depends on `working_memory`. Arguments are checked at once; the search begins with the
    first part, and ends when the generator is closed.

    Parameters
    ----------
    X, labels, threshold, metric, n_threads, working_memory, callback
        As in `pairs_above`.

    Yields
    ------
    Pairs
        Sorted by (i, j); may be empty.

    Raises
    ------
    TypeError, ValueError
        As `pairs_above`.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import iter_pairs
    >>> X, keep = np.array([[0.0], [5.0], [0.1], [5.0]]), np.full(4, True)
    >>> for i, j, _ in iter_pairs(X, [0, 1, 0, 1], 0.5, metric="euclidean"):
    ...     keep[j] = False  # the first row of each pair stays
    >>> keep.tolist()
    [True, True, False, False]
    """
    measure = _measure(metric, threshold)
    if not isinstance(working_memory, Integral) or working_memory < 1:
        raise ValueError(
            f"working_memory={working_memory!r} is not a number of MiB; pass an int >= 1"
        )
    source = _source(X)
    order, sizes = _clusters(labels, source.n_rows)
    with np.errstate(over="ignore"):
        extent = float(source.moments.max_abs_deviation.max())  # all values are checked here
    if not np.isfinite(2 * extent):
        raise DataError(f"{source.name}: spans more than float64 can hold; divide by a constant")
    row_bytes = source.n_columns * (2 * source.dtype.itemsize + 12)  # read, sorted, and points
    search = Search(
        source=source,
        measure=measure,
        n_threads=n_threads,
        most=max(1, (int(working_memory) << 20) // (2 * row_bytes)),
    )
    return _search(search, order, sizes, callback)


def _measure(metric: str, threshold: float) -> Measure:
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric={metric!r} is not one of cosine, euclidean")
    low, high = (-1.0, 1.0) if metric == "cosine" else (0.0, float(np.finfo(np.float64).max))
    if not isinstance(threshold, Real) or not low <= threshold <= high:
        allowed = "from -1 to 1" if metric == "cosine" else ">= 0 and finite"
        raise ValueError(f"threshold={threshold!r} with metric={metric!r}; pass a number {allowed}")
    return Cosine(float(threshold)) if metric == "cosine" else Euclidean(float(threshold))


def _source(X: RowsLike) -> Source:
    """Return rows of any kind as a source."""
    X = arrays.to_numpy(X, "X")
    source = source_of(X)
    if source is None:
        source = row_blocks.source(np.asarray(X) if isinstance(X, list | tuple) else X)
    return source


def _clusters(labels: ArrayLike, n_rows: int) -> tuple[Array, list[int]]:
    """Return the rows of the clusters one after the other, and the size of each cluster."""
    values: Array = on_host(labels)
    if values.shape != (n_rows,):
        raise ValueError(f"labels have shape {values.shape}; pass one for each of {n_rows} rows")
    if values.dtype.kind not in "iu":
        raise TypeError(f"labels are {values.dtype}; pass integers, as labels_ or predict has them")
    order = np.argsort(values, kind="stable")
    order = order[np.searchsorted(values[order], 0) :]  # without negative labels
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order))).tolist()
    return order, sizes


def _search(
    search: Search, order: Array, sizes: list[int], callback: Callback | None
) -> Generator[Pairs, None, None]:
    done, total = 0, sum(_n_pairs(size) for size in sizes)
    row, least = 0, min(SMALL, search.most)
    position = 0
    while position < len(sizes):
        if sizes[position] > least:
            rows = order[row : row + sizes[position]]
            parts, position = _large(search, rows), position + 1
        else:
            n_clusters = _run(sizes, position, least, search.most)
            group = sizes[position : position + n_clusters]
            rows = order[row : row + sum(group)]
            parts, position = _small(search, rows, group), position + n_clusters
        row += len(rows)
        with closing(parts):
            for pairs, compared in parts:
                done += compared
                if callback is not None and compared:
                    callback(done, total)
                yield pairs


def _n_pairs(n: int) -> int:
    return n * (n - 1) // 2


def _run(sizes: list[int], position: int, least: int, most: int) -> int:
    """Return how many small clusters, from a position on, have no more than `most` rows."""
    n_clusters = total = 0
    for size in sizes[position:]:
        total += size
        if size > least or (n_clusters and total > most):
            break
        n_clusters += 1
    return n_clusters


def _small(
    search: Search, rows: Array, sizes: list[int]
) -> Generator[tuple[Pairs, int], None, None]:
    """Yield the pairs of each of some clusters, and their number of pairs; a thread does one."""
    X = search.source.take(rows)

    def run(part: slice) -> Pairs:
        scaled, points = _points(search, X[part], rows[part])
        middle = center(moments(points, n_threads=1))
        P = strip(scaled, points, rows[part], middle)
        tiles = (near_pairs(search.measure, P, each, P, middle.scale) for each in blocks(P))
        return sorted_pairs(list(tiles))

    ends = np.cumsum(sizes).tolist()
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    with closing(in_order(run, parts, search.n_threads, "pairs", one_in_blas=True)) as results:
        for size, pairs in zip(sizes, results, strict=True):
            yield pairs, _n_pairs(size)


def _large(search: Search, rows: Array) -> Generator[tuple[Pairs, int], None, None]:
    """Yield pairs of a cluster, and how many are done with them; threads share its blocks."""
    middle = _center(search, rows)
    rows = _by_distance(search, rows, middle)
    parts = _pieces(search, rows)
    for number, part in enumerate(parts):
        P = _strip(search, part, middle)
        for later in range(number, len(parts)):
            Q = P if later == number else _strip(search, parts[later], middle)

            def run(block: slice, P: Strip = P, Q: Strip = Q) -> Pairs:
                return near_pairs(search.measure, P, block, Q, middle.scale)

            tasks = blocks(P)
            with closing(in_order(run, tasks, search.n_threads, "pairs", one_in_blas=True)) as done:
                for block, pairs in zip(tasks, done, strict=True):
                    n_rows = block.stop - block.start
                    after = len(P.rows) - block.stop if Q is P else len(Q.rows)
                    yield pairs, n_rows * after + (_n_pairs(n_rows) if Q is P else 0)


def _center(search: Search, rows: Array) -> Center:
    """Return the center of a cluster that is read in pieces."""
    parts = []
    for part in _pieces(search, rows):
        _, points = _points(search, search.source.take(part), part)
        parts.append((len(part), moments(points, n_threads=search.n_threads)))
    return center(merge(parts))


def _by_distance(search: Search, rows: Array, middle: Center) -> Array:
    """Return the rows of a cluster by their distance to its center."""
    squares, sorted_rows = [], []
    for part in _pieces(search, rows):
        piece = _strip(search, part, middle)
        squares.append(piece.squares)
        sorted_rows.append(piece.rows)
    order = np.argsort(np.concatenate(squares), kind="stable")
    return np.concatenate(sorted_rows)[order]


def _pieces(search: Search, rows: Array) -> list[Array]:
    return [rows[start : start + search.most] for start in range(0, len(rows), search.most)]


def _strip(search: Search, rows: Array, middle: Center) -> Strip:
    scaled, points = _points(search, search.source.take(rows), rows)
    return strip(scaled, points, rows, middle)


def _points(search: Search, X: Array, rows: Array) -> tuple[Array, Array]:
    """Return rows [R, D], scaled as the measure needs, and their points."""
    scaled = search.measure.scaled(X)
    points = search.measure.points(scaled)
    zero = np.isnan(points[:, 0])
    if zero.any():
        raise ZeroRowError(int(rows[zero].min()), search.source.name)
    return scaled, points

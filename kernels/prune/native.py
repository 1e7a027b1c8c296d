"""Calls of the compiled `prune`, and of what makes rows ready for it."""

import numpy as np

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.prune.records import Bounds, ScoredRows
from unsup_fast.kernels.totals import Totals


def byte_products() -> int:
    """Return how many products of bytes an instruction sums: 4, 2, or 1 if there is none for it."""
    return int(compiled().byte_products())


def prune(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    *,
    bounds: Bounds,
    projected_centers: Array | None,
    centers_slack: float,
    totals: Totals | None,
    n_threads: int,
) -> tuple[int, tuple[int, int, int, int]]:
    """Update labels, bounds and totals; return the labels that changed and `Bounds.work`.

    `projected_centers` [K, R + 1] are those of the slots, off by `centers_slack` at most; None
    with codes of all columns.
    """
    module = compiled()
    of_type = module.BoundsFloat32 if X.dtype == np.float32 else module.BoundsFloat64
    rows, fine = bounds.rows, None
    if rows.fine is not None:
        fine = module.FineCodes(
            codes=rows.fine.codes,
            unit=rows.fine.unit,
            sums=rows.fine.sums,
            squares=rows.fine.squares,
            slack=rows.fine.slack,
            largest=rows.fine.largest,
        )
    arrays = of_type(
        span=bounds.span,
        scale=bounds.basis.scale,
        projected=rows.projected,
        codes=rows.codes,
        unit=rows.unit,
        sums=rows.sums,
        tail=rows.tail,
        largest=rows.largest,
        squares=rows.squares,
        slack=rows.slack,
        cluster=bounds.cluster,
        projected_centers=projected_centers,
        centers_slack=centers_slack,
        fine=fine,
        before=bounds.before,
        guess=bounds.guess,
        upper=bounds.upper,
        tight=bounds.tight,
        lower=bounds.lower,
        moved=bounds.moved,
        max_norm=bounds.max_norm,
    )
    changed, *work = module.prune(
        X=X,
        centers=centers,
        shift=shift,
        labels=labels,
        bounds=arrays,
        totals=None if totals is None else totals.bound,
        n_threads=n_threads,
    )
    tightened, scored, refined, survivors = work
    return int(changed), (tightened, scored, refined, survivors)


def project(
    X: Array, directions: Array, shift: Array, scale: float, n_threads: int
) -> tuple[Array, Array]:
    """Return projected rows [N, R + 1], the last column still unset, and |x'|^2 [N]."""
    projected = np.empty((len(X), len(directions) + 1), dtype=X.dtype)
    squares = np.empty(len(X), dtype=X.dtype)
    compiled().project(
        X=X,
        directions=directions,
        shift=shift,
        scale=scale,
        rows=projected,
        squares=squares,
        n_threads=n_threads,
    )
    return projected, squares


def encode(
    X: Array, shift: Array, scale: float, *, tail: bool, multiple: int = 4, n_threads: int
) -> ScoredRows:
    """Return rows less the shift, times the scale, as bytes with a unit each.

    With `tail` the last column becomes `ScoredRows.tail`, as it is. The number of codes of a row is
    rounded up to a `multiple`.
    """
    n_rows, n_columns = X.shape
    module = compiled()
    rows = ScoredRows(
        codes=np.empty((n_rows, -(-(n_columns - tail) // multiple) * multiple), dtype=np.int8),
        unit=np.empty(n_rows, dtype=X.dtype),
        sums=np.empty(n_rows, dtype=np.int32),
        tail=np.empty(n_rows, dtype=X.dtype) if tail else None,
        largest=int(module.most_row_code()),
        squares=np.empty(n_rows),
        slack=np.empty(n_rows),
    )
    module.encode(
        X=X,
        shift=shift,
        scale=scale,
        largest=rows.largest,
        codes=rows.codes,
        unit=rows.unit,
        sums=rows.sums,
        tail=rows.tail,
        squares=rows.squares,
        slack=rows.slack,
        n_threads=n_threads,
    )
    return rows

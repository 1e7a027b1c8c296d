"""The compiled `kmeans_plusplus`: rounds in groups, so that bounds and progress come between."""

from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import bounds
from unsup_fast.kernels.kmeans_plusplus.rounds import Progress, choose_rows
from unsup_fast.kernels.kmeans_plusplus.scale import pow2_scale

FIRST_BOUNDS = 8  # rounds without bounds, which leave too many pairs in them
AGAIN = 4  # the bounds are chosen anew when there are so many times more rows
REPORT_EVERY = 0.25  # seconds between calls of `progress`


def kmeans_plusplus(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    """Return the chosen rows [K]; `uniform` [K, T] holds the draws of each round."""
    if sp.issparse(X):
        return _chosen_from_csr(X, sample_weight, uniform, first, n_threads, progress)
    (n_rows, n_columns), (n_clusters, trials) = X.shape, uniform.shape
    chosen = np.full(n_clusters, first, dtype=np.int64)
    closest = np.empty(n_rows, dtype=X.dtype)  # [N]
    potentials = np.empty(n_clusters)
    spread = compiled().max_abs_difference(X=X, origin=first, n_threads=n_threads)
    scale = pow2_scale(spread, X.dtype)
    bounded: bounds.Bounds | None = None
    done, again, pace = 0, FIRST_BOUNDS, 0.0
    if not bounds.may_pay(n_rows, n_columns, trials, n_clusters - FIRST_BOUNDS):
        again = n_clusters
    while done < n_clusters:
        if done == again:
            ahead = n_clusters - done
            bounded = bounds.choose(X, closest, scale, trials, ahead, bounded, n_threads)
            again *= AGAIN
        end = min(n_clusters, again)
        if progress is not None:
            end = min(end, done + max(1, int(REPORT_EVERY / pace)) if pace else done + 1)
        start = perf_counter()
        compiled().kmeans_plusplus(
            X=X,
            sample_weight=sample_weight,
            scale=scale,
            uniform=uniform,
            chosen=chosen,
            closest=closest,
            potentials=potentials,
            first=done,
            last=end,
            projected=None if bounded is None else bounded.rows,
            slack=None if bounded is None else bounded.slack,
            leading=0 if bounded is None else bounded.leading,
            n_threads=n_threads,
        )
        pace = (perf_counter() - start) / (end - done)
        done = end
        if progress is not None:
            progress(done, n_clusters)
    return chosen


def _chosen_from_csr(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    def measure(
        candidates: Array, closest: Array | None, distances: Array, potentials: Array
    ) -> None:
        compiled().candidate_potentials_csr(
            data=X.data,
            indices=X.indices,
            indptr=X.indptr,
            candidates=np.ascontiguousarray(X[candidates].toarray()),
            closest=closest,
            sample_weight=sample_weight,
            distances=distances,
            potentials=potentials,
            n_threads=n_threads,
        )

    return choose_rows(measure, X.dtype, X.shape[0], sample_weight, uniform, first, progress)


def candidate_potentials(
    X: Array,
    candidates: Array,
    closest: Array,
    sample_weight: Array | None,
    distances: Array,
    potentials: Array,
    n_threads: int,
    scale: float,
) -> None:
    """Fill distances [T, N] and potentials [T] of a round."""
    compiled().candidate_potentials(
        X=X,
        candidates=candidates,
        closest=closest,
        sample_weight=sample_weight,
        distances=distances,
        potentials=potentials,
        scale=scale,
        n_threads=n_threads,
    )

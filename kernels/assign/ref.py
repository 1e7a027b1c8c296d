"""Reference for `assign`: brute force in float64."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels._types import Array


def assign(
    X: Any,
    centers: Array,
    sample_weight: Array | None,
    shift: Array | None,
    labels: Array,
    sums: Array | None,
    weights: Array | None,
    distances: Array | None,
    inertia: bool,
    labels_current: bool,
    n_threads: int,
) -> tuple[float, int]:
    """Fill labels, sums, weights and distances; return inertia (or zero) and changed labels."""
    rows = X.toarray() if sp.issparse(X) else X
    x = rows.astype(np.float64)  # [N, D]
    c = centers.astype(np.float64)  # [K, D]
    w = np.ones(len(x)) if sample_weight is None else sample_weight.astype(np.float64)
    best = np.empty(len(x))
    nearest = np.empty(len(x), dtype=np.int32)
    for i, row in enumerate(x):
        squared = ((row - c) ** 2).sum(axis=1)  # [K]
        nearest[i] = labels[i] if labels_current else squared.argmin()
        best[i] = squared[nearest[i]]
    changed = int((nearest != labels).sum())
    labels[:] = nearest
    if distances is not None:
        distances[:] = best
    if sums is not None and weights is not None:
        origin = np.zeros(x.shape[1]) if shift is None else shift.astype(np.float64)
        np.add.at(sums, nearest, w[:, None] * (x - origin))
        np.add.at(weights, nearest, w)
    return float(w @ best) if inertia else 0.0, changed

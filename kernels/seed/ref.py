"""Reference for `seed`: one round of greedy k-means++ in float64."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels._check import Array


def score(
    X: Any,
    candidates: Array,
    closest: Array | None,
    sample_weight: Array | None,
    distances: Array,
    potentials: Array,
    n_threads: int,
) -> None:
    """Fill `distances` [T, N] with min(closest, |x - candidate|^2), `potentials` [T] with sums."""
    rows = (X.toarray() if sp.issparse(X) else X).astype(np.float64)
    w = np.ones(len(rows)) if sample_weight is None else sample_weight.astype(np.float64)
    for t, candidate in enumerate(candidates.astype(np.float64)):
        squared = ((rows - candidate) ** 2).sum(axis=1)  # [N]
        distances[t] = squared if closest is None else np.minimum(closest, squared)
        potentials[t] = distances[t].astype(np.float64) @ w

"""The compiled `assign`."""

from typing import Any

import scipy.sparse as sp

from unsup_fast.kernels._dispatch import compiled
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
    arguments: dict[str, Any] = {
        "centers": centers,
        "sample_weight": sample_weight,
        "shift": shift,
        "labels": labels,
        "sums": sums,
        "weights": weights,
        "distances": distances,
        "inertia": inertia,
        "labels_current": labels_current,
        "n_threads": n_threads,
    }
    if sp.issparse(X):
        rows = {"data": X.data, "indices": X.indices, "indptr": X.indptr}
        value, changed = compiled().assign_csr(**rows, **arguments)
    else:
        value, changed = compiled().assign(X=X, **arguments)
    return float(value), int(changed)

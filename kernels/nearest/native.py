"""The compiled `nearest`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def nearest(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    distances: Array | None,
    n_threads: int,
) -> None:
    """Fill labels and distances, both [N, m]."""
    compiled().nearest(
        X=X,
        centers=centers,
        shift=shift,
        labels=labels,
        distances=distances,
        n_threads=n_threads,
    )

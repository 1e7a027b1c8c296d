"""The compiled `affine`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def affine(
    X: Array, shift: Array, weights: Array, offset: Array, out: Array, n_threads: int
) -> None:
    """Fill out [N, K]."""
    compiled().affine(
        X=X, shift=shift, weights=weights, offset=offset, out=out, n_threads=n_threads
    )

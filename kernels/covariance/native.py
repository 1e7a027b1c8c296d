"""The compiled `covariance`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def covariance(
    X: Array, shift: Array, scale: Array, sums: Array, products: Array, n_threads: int
) -> None:
    """Fill sums [D] and products [D, D] of the columns less the shift, times the scale."""
    compiled().covariance(
        X=X, shift=shift, scale=scale, sums=sums, products=products, n_threads=n_threads
    )

"""The compiled `moments`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def moments(
    X: Array, mean: Array, variance: Array, minimum: Array, maximum: Array, n_threads: int
) -> int:
    """Fill the outputs; return the flat index of the first non-finite value or -1."""
    first: int = compiled().moments(
        X=X,
        mean=mean,
        variance=variance,
        minimum=minimum,
        maximum=maximum,
        n_threads=n_threads,
    )
    return first

"""Reference for `sqrtm`: eigenvectors of symmetric matrices, in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def trace(
    S1: Array, S2: Array, n_threads: int | None = None, backend: str = "ref"
) -> tuple[float, float]:
    """Return Tr (S1 S2)^(1/2), the sum of the singular values of S1^(1/2) S2^(1/2)."""
    singular = np.linalg.svd(_root(S1) @ _root(S2), compute_uv=False)
    return float(singular.sum()), np.nan


def trace_factors(
    A: Array, B: Array, n_threads: int | None = None, backend: str = "ref"
) -> tuple[float, float]:
    """Return Tr (A^T A B^T B)^(1/2), the sum of the singular values of A B^T."""
    product = A.astype(np.float64) @ B.astype(np.float64).T
    return float(np.linalg.svd(product, compute_uv=False).sum()), np.nan


def root(S1: Array, S2: Array | None, n_threads: int | None = None, backend: str = "ref") -> Array:
    """Return S1^(1/2), or (S1 S2)^(1/2) = S1^(1/2) Q S2^(1/2), Q the polar factor of the outer."""
    if S2 is None:
        return _root(S1)
    one, two = _root(S1), _root(S2)
    left, values, right = np.linalg.svd(one @ two)
    significant = values > len(S1) * np.finfo(np.float64).eps * values[0]
    square_root: Array = one @ (left[:, significant] @ right[significant]) @ two
    return square_root


def _root(S: Array) -> Array:
    values, vectors = np.linalg.eigh(S.astype(np.float64))
    square_root: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return square_root

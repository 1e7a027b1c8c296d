"""What `eigh` returns."""

from unsup_fast.kernels._types import Array


class Eigen:
    """Eigenvalues of a symmetric matrix, and its leading eigenvectors on request.

    Attributes
    ----------
    values : ndarray of shape (N,), float64
        All eigenvalues, descending.
    """

    values: Array

    def leading(self, k: int) -> Array:
        """Return the eigenvectors of the `k` largest eigenvalues as orthonormal rows [k, N]."""
        raise NotImplementedError

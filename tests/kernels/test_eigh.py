import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.eigh import eigh

pytestmark = pytest.mark.any_level  # LAPACK computes


def check(A, k):
    n, size = len(A), np.abs(A).max() or 1.0
    eigen, slow = eigh(A), eigh(A, backend="ref")
    np.testing.assert_allclose(eigen.values, slow.values, rtol=0, atol=1e-14 * n * size)
    assert (np.diff(eigen.values) <= 0).all()
    rows = eigen.leading(k)  # [k, N]
    assert rows.shape == (k, n)
    np.testing.assert_allclose(rows @ rows.T, np.eye(k), rtol=0, atol=1e-13 * n)
    residual = rows @ A - eigen.values[:k, None] * rows
    np.testing.assert_allclose(residual, 0, rtol=0, atol=1e-14 * n * size)
    np.testing.assert_array_equal(rows, eigen.leading(k))


@pytest.mark.parametrize("n", [1, 2, 3, 17, 97, 200])
def test_any_symmetric_matrix(n):
    A = np.random.default_rng(n).normal(size=(n, n))
    for k in {0, 1, n // 2, n}:
        check(A + A.T, k)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_few_axes_of_low_rank(n, rank, number):
    """As of a covariance of fewer rows than columns: most eigenvalues are the same, zero."""
    x = np.random.default_rng(number).normal(size=(rank, n))
    check(x.T @ x, min(n, rank + 2))


@pytest.mark.parametrize("size", [1e-290, 1e-30, 1.0, 1e30, 1e290])
def test_sizes(size):
    A = np.random.default_rng(0).normal(size=(20, 20)) * size
    check(A + A.T, 5)


def test_eigenvalues_that_coincide():
    check(np.eye(50), 50)
    check(np.zeros((7, 7)), 7)
    check(np.diag(np.repeat([3.0, 2.0, 1.0], 20)), 30)
    check(np.diag(np.r_[np.ones(20), np.full(20, 1 + 1e-15)]), 25)


def test_the_matrix_is_not_changed():
    A = np.random.default_rng(1).normal(size=(9, 9))
    A = A + A.T
    A.flags.writeable = False
    eigh(A).leading(3)


def test_wrong_arguments():
    for A in (np.ones((2, 3)), np.empty((0, 0)), [[1.0]]):
        with pytest.raises(ValueError, match="must be a square matrix"):
            eigh(A)
    with pytest.raises(TypeError, match="float64"):
        eigh(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="NaN or infinity"):
        eigh(np.full((2, 2), np.nan))

import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.sqrtm import (
    factor,
    native,
    sqrtm,
    trace_sqrtm,
    trace_sqrtm_factors,
    trace_with_error,
)

pytestmark = pytest.mark.any_level  # LAPACK computes


def rotation(n, rng):
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def spread(values, rng):
    Q = rotation(len(values), rng)
    S = (Q * values) @ Q.T
    return (S + S.T) / 2


def rows(n_rows, n, rng, decades=3):
    return rng.normal(size=(n_rows, n)) * 10.0 ** -np.linspace(0, decades, n)


def check(S1, S2, truth, rtol=1e-12):
    trace = trace_with_error(S1, S2)
    assert abs(trace.value - truth) <= min(trace.error + 1e-14 * truth, rtol * truth)
    assert trace_sqrtm(S2, S1) == pytest.approx(truth, rel=rtol, abs=0)


@pytest.mark.parametrize("n", [1, 2, 3, 15, 17, 33, 97])
@pytest.mark.parametrize("kind", ["full", "thin", "thinner", "one row", "mixed"])
def test_covariances(n, kind):
    rng = np.random.default_rng(n)
    counts = {
        "full": (2 * n + 1, 3 * n),
        "thin": (n // 2 + 1, n),
        "thinner": (n // 3 + 1, n // 4 + 1),
        "one row": (1, 2 * n),
        "mixed": (3 * n, n // 2 + 1),
    }[kind]
    A, B = (rows(m, n, rng) for m in counts)
    truth = np.linalg.svd(A @ B.T, compute_uv=False).sum()
    assert trace_sqrtm_factors(A, B) == pytest.approx(truth, rel=1e-13)
    check(A.T @ A, B.T @ B, truth, 1e-10)


@pytest.mark.parametrize("decades", [2, 6, 10, 14])
@pytest.mark.parametrize("same", [True, False])
def test_many_orders_of_magnitude(decades, same):
    rng = np.random.default_rng(decades)
    values = 10.0 ** -np.linspace(0, decades, 60)
    Q = rotation(60, rng)
    P = Q if same else rotation(60, rng)
    one, two = (Q * values) @ Q.T, (P * values) @ P.T
    truth = np.linalg.svd(np.sqrt(values)[:, None] * (Q.T @ P) * np.sqrt(values))[1].sum()
    assert trace_sqrtm((one + one.T) / 2, (two + two.T) / 2) == pytest.approx(truth, rel=1e-10)


def test_singular_values_where_eigenvalues_would_lose_digits():
    rng = np.random.default_rng(0)
    for small in (1e-8, 1e-10, 1e-12):
        values = np.r_[np.ones(50), np.full(50, small)]
        S = spread(values, rng)
        assert trace_sqrtm(S, S) == pytest.approx(values.sum(), rel=1e-12)


def test_digits_of_mpmath():
    rng = np.random.default_rng(1)
    A, B = rows(9, 6, rng, 5), rows(8, 6, rng, 1)
    with mpmath.workdps(60):
        a, b = mpmath.matrix(A.tolist()), mpmath.matrix(B.tolist())
        values = mpmath.eig(a.T * a * b.T * b, left=False, right=False)
        truth = float(sum(mpmath.sqrt(mpmath.re(value)) for value in values))
    assert trace_sqrtm_factors(A, B) == pytest.approx(truth, rel=1e-14)
    assert trace_sqrtm(A.T @ A, B.T @ B) == pytest.approx(truth, rel=1e-12)


def test_closed_forms():
    rng = np.random.default_rng(2)
    d1, d2 = rng.uniform(0, 4, 31), rng.uniform(0, 4, 31)
    d1[::5] = d2[::7] = 0
    truth = np.sqrt(d1 * d2).sum()
    check(np.diag(d1), np.diag(d2), truth)
    Q = rotation(31, rng)
    one, two = ((Q * d) @ Q.T for d in (d1, d2))  # they commute
    check((one + one.T) / 2, (two + two.T) / 2, truth, 1e-10)
    u, v = rng.normal(size=(2, 31))
    check(np.outer(u, u), np.outer(v, v), abs(u @ v))
    S = spread(d1 + 1, rng)
    check(np.outer(u, u), S, np.sqrt(u @ S @ u))
    check(S, np.eye(31), np.sqrt(d1 + 1).sum())
    check(S, S, S.trace())
    zero = np.zeros((31, 31))
    assert trace_sqrtm(S, zero) == trace_sqrtm(zero, S) == trace_sqrtm(zero, zero) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(-12, 12),
    st.integers(-12, 12),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 2**32 - 1),
)
def test_any_factors(n, m1, m2, power1, power2, dtype, number):
    rng = np.random.default_rng(number)
    A = (rows(m1, n, rng, 1) * 10.0 ** (power1 / 2)).astype(dtype)
    B = (rows(m2, n, rng, 1) * 10.0 ** (power2 / 2)).astype(dtype)
    truth = trace_sqrtm_factors(A, B, backend="ref")
    size = np.linalg.norm(A.astype(float)) * np.linalg.norm(B.astype(float))
    assert trace_sqrtm_factors(A, B) == pytest.approx(truth, abs=1e-13 * size)
    S1, S2 = (x.astype(float).T @ x.astype(float) for x in (A, B))
    trace = trace_sqrtm(S1, S2)
    assert np.isfinite(trace)
    assert trace >= 0
    assert trace == pytest.approx(truth, abs=2e-7 * size)  # u^(1/2) where a covariance is singular
    X = sqrtm(S1, S2)
    wrong = np.abs(X @ X - S1 @ S2).max()
    assert wrong <= 1e-9 * np.linalg.norm(S1) * np.linalg.norm(S2)
    assert np.trace(X) == pytest.approx(trace, abs=2e-7 * size)


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_sizes(size):
    rng = np.random.default_rng(3)
    A, B = rows(40, 20, rng), rows(40, 20, rng)
    truth = trace_sqrtm(A.T @ A, B.T @ B)
    trace = trace_sqrtm(A.T @ A * size, B.T @ B)
    assert trace / size**0.5 == pytest.approx(truth, rel=1e-13)
    root = sqrtm(A.T @ A * size)
    np.testing.assert_allclose(root / size**0.5, sqrtm(A.T @ A), atol=1e-13)


def test_powers_of_four_change_nothing_but_the_exponent():
    rng = np.random.default_rng(4)
    A, B = rows(40, 20, rng), rows(9, 20, rng)
    truth = trace_sqrtm(A.T @ A, B.T @ B)
    for power in (-200, -3, 5, 100):
        assert trace_sqrtm(A.T @ A * 4.0**power, B.T @ B) == truth * 2.0**power


def test_agrees_with_scipy():
    rng = np.random.default_rng(5)
    A, B = rows(60, 20, rng, 1), rows(50, 20, rng, 1)
    S1, S2 = A.T @ A, B.T @ B
    np.testing.assert_allclose(sqrtm(S1), scipy.linalg.sqrtm(S1), atol=1e-11)
    np.testing.assert_allclose(sqrtm(S1, S2), scipy.linalg.sqrtm(S1 @ S2), atol=1e-11)
    np.testing.assert_allclose(sqrtm(S1, S2, backend="ref"), sqrtm(S1, S2), atol=1e-11)


def test_root_of_one():
    rng = np.random.default_rng(6)
    for n, rank in ((1, 1), (17, 5), (33, 33)):
        A = rows(rank, n, rng, 1)
        S = A.T @ A
        X = sqrtm(S)
        np.testing.assert_array_equal(X, X.T)
        np.testing.assert_allclose(X @ X, S, atol=1e-12 * np.abs(S).max())
        assert np.linalg.eigvalsh(X)[0] >= -1e-12 * np.abs(S).max()
    assert sqrtm(S.astype(np.float32)).dtype == np.float32


def test_indefinite_by_rounding():
    """A covariance summed up in float32, of few rows: eigenvalues of -1e-7 times the largest."""
    rng = np.random.default_rng(7)
    A, B = rows(30, 50, rng, 0), rows(80, 50, rng, 0)
    single = A.astype(np.float32)
    S1, S2 = (single.T @ single).astype(np.float64), B.T @ B
    S1 += S1.T
    assert np.linalg.eigvalsh(S1)[0] < -1e-8 * np.linalg.eigvalsh(S1)[-1]
    truth = trace_sqrtm_factors(np.sqrt(2) * A, B)
    for trace in (trace_sqrtm(S1, S2), trace_sqrtm(S2, S1), np.trace(sqrtm(S1, S2))):
        assert trace == pytest.approx(truth, rel=1e-2)
    bump = np.zeros((50, 50))
    bump[0, 1] = bump[1, 0] = 1e-9  # pivoted Cholesky alone would divide by next to nothing
    assert np.isfinite(trace_sqrtm(A.T @ A + bump, S2))


def test_factor():
    rng = np.random.default_rng(8)
    for n, rank in ((1, 1), (20, 7), (33, 40)):
        A = rows(rank, n, rng)
        F = factor(A.T @ A)
        assert F.shape == (min(rank, n), n)
        np.testing.assert_allclose(F.T @ F, A.T @ A, atol=1e-13 * np.abs(A.T @ A).max())
    assert factor(np.zeros((3, 3))).shape == (0, 3)


def test_inputs_are_not_changed_and_may_have_any_order():
    rng = np.random.default_rng(9)
    A, B = rows(40, 20, rng), rows(7, 20, rng)
    S1, S2 = A.T @ A, B.T @ B
    truth = trace_sqrtm(S1, S2)
    for array in (A, B, S1, S2):
        array.flags.writeable = False
    copies = [x.copy() for x in (A, B, S1, S2)]
    assert trace_sqrtm(np.asfortranarray(S1), S2[::-1, ::-1][::-1, ::-1]) == truth
    trace_sqrtm_factors(A[::2], np.asfortranarray(B))
    sqrtm(S1, S2)
    for before, after in zip(copies, (A, B, S1, S2), strict=True):
        np.testing.assert_array_equal(before, after)


def test_threads_round_but_no_more():
    rng = np.random.default_rng(10)
    A, B = rows(300, 150, rng), rows(300, 150, rng)
    traces = [trace_sqrtm(A.T @ A, B.T @ B, n_threads=n) for n in (1, 2, None)]
    assert traces == pytest.approx([traces[0]] * 3, rel=1e-13)
    assert traces[0] == trace_sqrtm(A.T @ A, B.T @ B, n_threads=1)


def test_nearly_symmetric():
    S = np.random.default_rng(11).normal(size=(40, 9))
    S = S.T @ S
    wrong = S.copy()
    wrong[0, 1] *= 1 + 1e-9
    assert trace_sqrtm(wrong, S) == pytest.approx(trace_sqrtm((wrong + wrong.T) / 2, S), rel=1e-15)


def test_prepared_fills_every_entry(monkeypatch):
    monkeypatch.setattr(native.np, "empty_like", lambda S: np.full_like(S, np.nan))
    S = np.eye(70)
    S[3, 69] = 1e-9
    assert np.isfinite(native.prepared("S", S, native.compiled(native.LAPACK))[0]).all()


@pytest.mark.parametrize(
    ("S1", "S2", "error", "words"),
    [
        (np.eye(3), [[1.0]], TypeError, "S2 must be a NumPy array or a tensor, got list"),
        (np.ones((2, 3)), np.eye(3), ValueError, "S1 must be a square matrix"),
        (np.ones(3), np.eye(3), ValueError, "S1 must be a matrix"),
        (np.empty((0, 0)), np.eye(3), ValueError, "at least one column"),
        (np.eye(3), np.eye(4), ValueError, "S1 has 3 columns and S2 4"),
        (np.eye(3), np.eye(3, dtype=np.float32), TypeError, "pass one type"),
        (np.eye(3, dtype=int), np.eye(3), TypeError, "float32 or float64, got int64"),
        (np.eye(3) + 0j, np.eye(3), TypeError, "complex128"),
        (np.full((3, 3), np.nan), np.eye(3), ValueError, "S1 holds NaN or infinity"),
        (np.eye(3), np.diag([1.0, np.inf, 1.0]), ValueError, "S2 holds NaN or infinity"),
        (np.triu(np.ones((3, 3))), np.eye(3), ValueError, "S1 is not symmetric"),
        (np.diag([1.0, -1.0]), np.eye(2), ValueError, "S1 has eigenvalues from -1 to 1"),
        (np.diag([0.0, -1.0]), np.eye(2), ValueError, "none below zero"),
        (np.eye(2), np.diag([1.0, -1.0]), ValueError, "S2 has eigenvalues"),
    ],
)
def test_wrong_matrices(S1, S2, error, words):
    for function in (trace_sqrtm, sqrtm):
        with pytest.raises(error, match=words):
            function(S1, S2)


def test_wrong_options():
    with pytest.raises(ValueError, match="backend='polar' is not available"):
        trace_sqrtm(np.eye(2), np.eye(2), backend="polar")
    with pytest.raises(ValueError, match="tol=2"):
        trace_sqrtm(np.eye(2), np.eye(2), tol=2)
    with pytest.raises(ValueError, match="n_threads=0"):
        trace_sqrtm(np.eye(2), np.eye(2), n_threads=0)
    with pytest.raises(ValueError, match="A holds NaN"):
        trace_sqrtm_factors(np.array([[np.nan]]), np.ones((1, 1)))
    assert trace_sqrtm_factors(np.empty((0, 3)), np.ones((2, 3))) == 0


def test_torch_is_not_imported_for_arrays():
    code = (
        "import sys, numpy as np; from unsup_fast.kernels.sqrtm import trace_sqrtm;"
        "trace_sqrtm(np.eye(3), np.eye(3)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

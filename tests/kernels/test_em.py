import functools
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from unsup_fast.kernels.em import COVARIANCE_TYPES, HOST, em, gmm_moments

TYPES = [np.float32, np.float64]
SHAPES = [  # rows, columns, components
    (1, 1, 1),
    (2, 1, 3),
    (300, 2, 5),
    (17, 3, 2),
    (49, 5, 7),
    (96, 7, 8),
    (97, 8, 9),
    (200, 9, 4),
    (48, 15, 16),
    (150, 16, 3),
    (31, 17, 33),
    (100, 31, 5),
    (65, 33, 6),
    (130, 64, 2),
    (47, 65, 3),
    (90, 97, 2),
    (220, 4, 70),
]
ALL = {"return_log_prob": True, "return_resp": True, "return_labels": True}


def make(
    n, d, k, covariance_type, dtype=np.float64, offset=0.0, spread=1.0, seed=0, separation=2.0
):
    """Rows near K means, and a mixture whose components overlap."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * separation * spread + offset
    X = (means[rng.integers(0, k, n)] + rng.normal(size=(n, d)) * spread).astype(dtype)
    count = {"full": k, "tied": 1, "diag": k, "spherical": k}[covariance_type]
    if covariance_type in ("full", "tied"):
        factors = np.triu(rng.normal(size=(count, d, d)) * 0.3 / np.sqrt(d))
        factors[:, np.arange(d), np.arange(d)] = rng.uniform(0.7, 1.5, size=(count, d))
        factors = factors[0] if covariance_type == "tied" else factors
    else:
        factors = rng.uniform(0.7, 1.5, size=(k, d) if covariance_type == "diag" else k)
    log_weights = np.log(rng.dirichlet(np.full(k, 5.0)))
    return X, log_weights, means, factors / spread


def as_matrices(factors, covariance_type, k, d):
    """The factor of each component as a matrix, [K, D, D]."""
    if covariance_type in ("full", "tied"):
        return np.broadcast_to(np.triu(factors), (k, d, d))
    diagonals = factors if covariance_type == "diag" else np.repeat(factors[:, None], d, axis=1)
    return diagonals[:, :, None] * np.eye(d)


def rounding(X, log_weights, means, factors, covariance_type, weight, truth):
    """Bound the errors of log_prob, resp, sums and second as em.hpp states them.

    Twice that, since the reference has the same errors in double.
    """
    n, d = X.shape
    k = len(means)
    u = np.finfo(X.dtype).eps
    x = X.astype(np.float64)
    gap = np.abs(x[:, None, :] - means) + u * np.abs(means)  # [N, K, D]
    U = as_matrices(factors, covariance_type, k, d)
    z = np.einsum("nkd,kde->nke", x[:, None, :] - means, U, optimize=True)
    if covariance_type == "tied":
        about = np.abs(x - means.mean(axis=0)) + u * np.abs(means).max(axis=0)  # [N, D]
        dz = (d + 4) * u * (about @ np.abs(U[0]))[:, None, :] + 4 * u * np.abs(z)
    else:
        dz = (d + 4) * u * np.einsum("nkd,kde->nke", gap, np.abs(U), optimize=True)
    constant = log_weights + np.log(np.diagonal(U, axis1=1, axis2=2)).sum(axis=1)  # [K]
    dl = (
        ((2 * np.abs(z) + dz) * dz).sum(axis=2) / 2
        + (d + 4) * u * (z**2).sum(axis=2)
        + 2 * u * (constant.max() - constant)
    )  # [N, K]
    r = truth.resp.astype(np.float64)
    reached = np.isfinite(truth.log_prob)
    row = np.where(reached, truth.log_prob, 0)
    dlog = 2 * (r * dl).sum(axis=1) + u * (k + 16 + 4 * np.abs(row) + 4 * np.abs(constant).max())
    dr = r * np.expm1(np.minimum(dl + dlog[:, None], 50)) + (k + 16) * u * r + 1e-37
    w = np.ones(n) if weight is None else weight.astype(np.float64)
    pi = np.exp(log_weights)
    dropped = np.where(r < pi * u / 32, r, 0)
    dwr = w[:, None] * (dr + dropped + 260 * u * r)  # [N, K]
    dsums = np.einsum("nk,nkd->kd", dwr, gap)
    if covariance_type == "tied":
        far = np.abs(means - means.mean(axis=0)).max(axis=0) + np.abs(x - means.mean(axis=0)).max(
            axis=0
        )  # [D]
        moved = dsums.T @ np.abs(means - means.mean(axis=0))  # [D, D]
        lost = moved + moved.T + 1e-13 * w.sum() * np.outer(far, far)
        dsecond = np.einsum("nk,nkd,nke->de", dwr, gap, gap, optimize=True) + lost
    else:
        out = {"full": "nk,nkd,nke->kde", "diag": "nk,nkd,nkd->kd", "spherical": "nk,nkd,nkd->k"}
        dsecond = np.einsum(out[covariance_type], dwr, gap, gap, optimize=True)
    return dlog, dr, dwr.sum(axis=0), dsums, dsecond


def check_against_truth(case, covariance_type, weight, fast, truth, bounds):
    X, _, means, _ = case
    dlog, dr, dshare, dsums, dsecond = bounds
    w = np.ones(len(X)) if weight is None else weight.astype(np.float64)
    assert (np.abs(fast.log_prob - truth.log_prob) <= dlog).all()
    assert abs(fast.log_likelihood - truth.log_likelihood) <= w @ dlog
    assert (np.abs(fast.resp - truth.resp) <= dr).all()
    total = fast.resp.astype(np.float64).sum(axis=1)
    assert (np.abs(total - 1) <= (len(means) + 16) * np.finfo(X.dtype).eps).all()
    rows = np.arange(len(X))
    assert (truth.resp.max(axis=1) - truth.resp[rows, fast.labels] <= 4 * dr.max(axis=1)).all()
    assert fast.weight == truth.weight
    assert (np.abs(fast.resp_sums - truth.resp_sums) <= dshare).all()
    assert (np.abs(fast.sums - truth.sums) <= dsums).all()
    assert (np.abs(fast.second - truth.second) <= dsecond).all()
    if covariance_type in ("full", "tied"):
        np.testing.assert_array_equal(fast.second, np.swapaxes(fast.second, -1, -2))


def assert_same(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@functools.cache
def reference(shape, covariance_type, dtype, weighted):
    case = make(*shape, covariance_type, dtype, offset=3.0)
    weight = np.random.default_rng(1).random(shape[0]).astype(dtype) if weighted else None
    if weighted:
        weight[::5] = 0
    truth = em(*case, covariance_type, sample_weight=weight, backend="ref", **ALL)
    return case, weight, truth, rounding(*case, covariance_type, weight, truth)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_the_reference(shape, covariance_type, dtype):
    for weighted in (False, True):
        case, weight, truth, bounds = reference(shape, covariance_type, dtype, weighted)
        fast = em(*case, covariance_type, sample_weight=weight, n_threads=1, **ALL)
        check_against_truth(case, covariance_type, weight, fast, truth, bounds)
        again = em(*case, covariance_type, sample_weight=weight, n_threads=2, **ALL)
        assert_same(fast, again)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_reference_is_the_density_and_the_moments_of_the_definition(covariance_type):
    n, d, k = 40, 3, 4
    X, log_weights, means, factors = make(n, d, k, covariance_type)
    weight = np.random.default_rng(1).random(n)
    result = em(
        X, log_weights, means, factors, covariance_type, sample_weight=weight, backend="ref", **ALL
    )
    precisions = [U @ U.T for U in as_matrices(factors, covariance_type, k, d)]
    log_p = np.stack(
        [
            log_weights[c] + multivariate_normal(means[c], np.linalg.inv(precisions[c])).logpdf(X)
            for c in range(k)
        ],
        axis=1,
    )
    log_prob = logsumexp(log_p, axis=1)
    np.testing.assert_allclose(result.log_prob, log_prob, rtol=1e-12)
    np.testing.assert_allclose(result.log_likelihood, weight @ log_prob, rtol=1e-12)
    np.testing.assert_allclose(result.resp, np.exp(log_p - log_prob[:, None]), rtol=1e-10)
    np.testing.assert_array_equal(result.labels, log_p.argmax(axis=1))
    r = result.resp * weight[:, None]
    second = np.zeros((k, d, d))
    for c in range(k):
        for i in range(n):
            gap = X[i] - means[c]
            second[c] += r[i, c] * np.outer(gap, gap)
        np.testing.assert_allclose(result.sums[c], r[:, c] @ (X - means[c]), rtol=1e-10)
    expected = {
        "full": second,
        "tied": second.sum(axis=0),
        "diag": np.diagonal(second, axis1=1, axis2=2),
        "spherical": np.trace(second, axis1=1, axis2=2),
    }[covariance_type]
    np.testing.assert_allclose(result.second, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(result.resp_sums, r.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.weight, weight.sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("separation", [0.5, 4.0])
def test_bitwise_the_same_for_any_number_of_threads(covariance_type, dtype, separation):
    case = make(9000, 9, 11, covariance_type, dtype, separation=separation)
    runs = [em(*case, covariance_type, n_threads=t, **ALL) for t in (1, 2, 3, 8)]
    for other in runs[1:]:
        assert_same(runs[0], other)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("from_resp", [False, True])
def test_writes_all_of_its_output(covariance_type, dtype, from_resp, simd):
    n, d, k = 53, 5, 6
    X, log_weights, means, factors = make(n, d, k, covariance_type, dtype)
    shapes = [k, (k, d), factors.shape]
    out = [np.full(shape, np.nan) for shape in shapes]
    log_prob = None if from_resp else np.full(n, np.nan, dtype=dtype)
    resp = np.ones((n, k), dtype=dtype) if from_resp else np.full((n, k), np.nan, dtype=dtype)
    labels = None if from_resp else np.full(n, -7, dtype=np.int32)
    HOST["numba" if simd == "numba" else "native"](
        X=X,
        log_weights=None if from_resp else log_weights,
        means=means,
        factors=None if from_resp else factors,
        covariance_type=covariance_type,
        sample_weight=None,
        from_resp=from_resp,
        resp_sums=out[0],
        sums=out[1],
        second=out[2],
        log_prob=log_prob,
        resp=resp,
        labels=labels,
        n_threads=1,
    )
    for array in [*out, resp, log_prob]:
        assert array is None or np.isfinite(array).all()
    assert from_resp or 0 <= labels.min() <= labels.max() < k


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 300),
    d=st.integers(1, 40),
    k=st.integers(1, 30),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    offset=st.sampled_from([0.0, 3.0, -1e3]),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
    separation=st.sampled_from([0.0, 1.0, 10.0]),
    copies=st.booleans(),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", TYPES)
def test_any_data(dtype, n, d, k, covariance_type, offset, spread, separation, copies, seed):
    case = make(n, d, k, covariance_type, dtype, offset, spread, seed, separation)
    if copies:
        case[0][:] = case[0][np.random.default_rng(seed).integers(0, max(1, n // 10), n)]
    weight = np.random.default_rng(seed).integers(0, 4, n).astype(dtype)
    runs = [em(*case, covariance_type, sample_weight=weight, n_threads=t, **ALL) for t in (1, 2)]
    truth = em(*case, covariance_type, sample_weight=weight, backend="ref", **ALL)
    assert_same(*runs)
    bounds = rounding(*case, covariance_type, weight, truth)
    check_against_truth(case, covariance_type, weight, runs[0], truth, bounds)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("columns", [2, 8, 20])
def test_far_from_the_origin_float32_is_as_good_as_near_it(covariance_type, columns):
    case = make(2000, columns, 5, covariance_type, np.float32, offset=1e4, spread=0.05)
    fast = em(*case, covariance_type, **ALL)
    truth = em(*case, covariance_type, backend="ref", **ALL)
    assert np.abs(fast.log_prob - truth.log_prob).max() < 1e-3
    assert np.abs(fast.resp - truth.resp).max() < 1e-3
    spread = np.abs(truth.second).max()
    assert np.abs(fast.second - truth.second).max() < 1e-5 * spread
    assert np.abs(fast.sums - truth.sums).max() < 1e-4 * np.sqrt(spread * 2000)
    if covariance_type == "full":
        assert np.linalg.eigvalsh(fast.second).min() > 0


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_power_of_two_changes_nothing_but_the_scale(covariance_type, dtype):
    X, log_weights, means, factors = make(200, 6, 4, covariance_type, dtype)
    near = em(X, log_weights, means, factors, covariance_type, **ALL)
    for power in (-60, 60) if dtype == np.float32 else (-400, 400):
        unit = 2.0**power
        far = em(X * dtype(unit), log_weights, means * unit, factors / unit, covariance_type, **ALL)
        np.testing.assert_array_equal(far.resp, near.resp)
        np.testing.assert_array_equal(far.resp_sums, near.resp_sums)
        np.testing.assert_array_equal(far.sums, near.sums * unit)
        np.testing.assert_array_equal(far.second, near.second * unit * unit)
        np.testing.assert_allclose(far.log_prob, near.log_prob - 6 * power * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_moments_may_be_added_over_blocks(covariance_type, dtype):
    X, *model = make(500, 7, 5, covariance_type, dtype)
    whole = em(X, *model, covariance_type)
    parts = [em(X[i:j], *model, covariance_type) for i, j in [(0, 0), (0, 211), (211, 500)]]
    for name in ("log_likelihood", "weight", "resp_sums", "sums", "second"):
        total = sum(getattr(part, name) for part in parts)
        expected = getattr(whole, name)
        near = 1e-13 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(total, expected, rtol=near, atol=near * np.abs(expected).max())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (130, 3, 5), (97, 17, 4), (2500, 8, 3)], ids=str)
def test_moments_of_responsibilities(shape, covariance_type, dtype):
    n, _, k = shape
    X, _, means, _ = make(*shape, covariance_type, dtype, offset=3.0)
    rng = np.random.default_rng(2)
    weight = rng.random(n).astype(dtype)
    labels = rng.integers(0, k, n).astype(np.int32)
    one_hot = (labels[:, None] == np.arange(k)).astype(dtype)
    soft = rng.dirichlet(np.ones(k), n).astype(dtype)
    unit = 300 * np.finfo(dtype).eps
    for options in ({"labels": labels}, {"resp": one_hot}, {"resp": soft}):
        options["sample_weight"] = weight
        fast = gmm_moments(X, means, covariance_type, n_threads=1, **options)
        slow = gmm_moments(X, means, covariance_type, backend="ref", **options)
        assert np.isnan(fast.log_likelihood)
        assert fast.log_prob is None
        assert_same(fast, gmm_moments(X, means, covariance_type, n_threads=2, **options))
        for one, two in zip(fast[1:5], slow[1:5], strict=True):
            np.testing.assert_allclose(one, two, rtol=unit, atol=unit * np.abs(two).max())
    labelled = gmm_moments(X, means, covariance_type, labels=labels)
    assert_same(labelled, gmm_moments(X, means, covariance_type, resp=one_hot))


@pytest.mark.parametrize("dtype", TYPES)
def test_what_the_responsibilities_say_is_what_the_moments_hold(dtype):
    X, *model = make(700, 10, 6, "full", dtype)
    result = em(X, *model, "full", **ALL)
    again = gmm_moments(X, model[1], "full", resp=result.resp)
    near = 1e3 * np.finfo(dtype).eps
    for one, two in zip(result[1:5], again[1:5], strict=True):
        np.testing.assert_allclose(one, two, rtol=near, atol=near * np.abs(two).max())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_rows_too_far_and_components_without_rows(covariance_type, dtype):
    X, log_weights, means, factors = make(120, 5, 4, covariance_type, dtype)
    log_weights[1] = -np.inf
    near = em(X, log_weights, means, factors, covariance_type, **ALL)
    assert near.resp_sums[1] == 0
    assert (near.resp[:, 1] == 0).all()
    assert (near.sums[1] == 0).all()
    for value in (np.finfo(dtype).max, -np.finfo(dtype).max, np.inf, np.nan):
        far = X.copy()
        far[7, 2] = far[40] = value
        result = em(far, log_weights, means, factors, covariance_type, **ALL)
        rows = np.array([7, 40])
        assert (result.log_prob[rows] == -np.inf).all()
        assert (result.resp[rows] == 0).all()
        assert (result.labels[rows] == 0).all()
        assert result.log_likelihood == -np.inf
        weight = np.ones(120, dtype=dtype)
        weight[rows] = 0
        without = em(X, log_weights, means, factors, covariance_type, sample_weight=weight)
        near = 100 * np.finfo(dtype).eps
        for one, two in zip(result[2:5], without[2:5], strict=True):
            np.testing.assert_allclose(one, two, rtol=near, atol=near * np.abs(two).max())
        weighted = em(far, log_weights, means, factors, covariance_type, sample_weight=weight)
        assert weighted.log_likelihood == without.log_likelihood


@pytest.mark.parametrize("dtype", TYPES)
def test_shares_below_rounding_add_nothing(dtype):
    means = np.array([[0.0], [60.0]])
    X = np.array([[0.0], [60.0], [1.0]], dtype=dtype)
    result = em(X, np.log([0.5, 0.5]), means, np.ones((2, 1, 1)), return_resp=True)
    assert result.resp_sums.tolist() == [2, 1]
    assert result.sums.ravel().tolist() == [1, 0]
    assert result.second.ravel().tolist() == [1, 0]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_exponential_errs_by_few_units_in_the_last_place(dtype):
    depth = np.linspace(0, 80 if dtype == np.float32 else 700, 3000).astype(dtype)
    log_weights = -depth.astype(np.float64)
    X, means = np.zeros((1, 1), dtype=dtype), np.zeros((len(depth), 1))
    resp = em(X, log_weights, means, np.ones((len(depth), 1)), "diag", **ALL).resp[0]
    # Two roundings for the normalisation.
    np.testing.assert_allclose(resp / resp[0], np.exp(log_weights), rtol=4 * np.finfo(dtype).eps)
    underflown = em(X, np.array([0.0, -1e4]), means[:2], np.ones((2, 1)), "diag", **ALL)
    assert underflown.resp.tolist() == [[1, 0]]


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_only_what_is_asked_for(covariance_type):
    X, *model = make(70, 3, 4, covariance_type)
    result = em(X, *model, covariance_type, moments=False)
    assert result[2:] == (None,) * 6
    assert result.log_likelihood == em(X, *model, covariance_type).log_likelihood
    nothing = em(X[:0], *model, covariance_type, **ALL)
    assert nothing.log_likelihood == 0
    assert nothing.weight == 0
    assert all((array == 0).all() for array in nothing[2:5])
    assert nothing.resp.shape == (0, 4)


@pytest.mark.any_level  # the program that it starts takes the best
def test_ctrl_c_ends_a_pass():
    code = """
import numpy as np
from unsup_fast.kernels.em import em
X = np.random.default_rng(0).random((40000, 200), dtype=np.float32)
K = 400
means, factors = X[:K].astype(float), np.tile(np.eye(200), (K, 1, 1))
em(X[:9], np.zeros(3), means[:3], factors[:3], moments=False)  # compiles, where it must
try:
    print("ready", flush=True)
    em(X, np.zeros(K), means, factors, moments=False)
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.7)
    process.send_signal(2)
    output, _ = process.communicate(timeout=120)
    assert output == "interrupted\n"


BAD = [
    ({"X": np.ones((3, 2), dtype=np.int64)}, TypeError, "float32 or float64"),
    ({"X": np.ones((2, 3)).T}, ValueError, "C-contiguous"),
    ({"X": np.ones((3, 0))}, ValueError, "no columns"),
    ({"means": np.ones((2, 3))}, ValueError, "means must be"),
    ({"means": np.ones((0, 2))}, ValueError, "K >= 1"),
    ({"means": np.full((2, 2), np.nan)}, ValueError, "means must be finite"),
    ({"means": np.ones((2, 2), dtype=np.float32)}, ValueError, "float64"),
    ({"sample_weight": np.ones(4)}, ValueError, "sample_weight"),
    ({"covariance_type": "round"}, ValueError, "covariance_type='round' is unknown"),
    ({"n_threads": 0}, ValueError, "n_threads=0"),
    ({"backend": "triton"}, ValueError, "backend='triton'"),
]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        *BAD,
        ({"log_weights": np.zeros(3)}, ValueError, "log_weights"),
        ({"log_weights": np.full(2, np.nan)}, ValueError, "minus infinity"),
        ({"log_weights": [0.0, 0.0]}, ValueError, "log_weights"),
        ({"factors": np.ones((2, 2))}, ValueError, "factors must be"),
        ({"factors": -np.ones((2, 2, 2))}, ValueError, "positive diagonal"),
        ({"factors": np.full((2, 2, 2), np.inf)}, ValueError, "finite"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {
        "X": np.ones((3, 2)),
        "log_weights": np.zeros(2),
        "means": np.ones((2, 2)),
        "factors": np.tile(np.eye(2), (2, 1, 1)),
    } | change
    with pytest.raises(error, match=message):
        em(**arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        *BAD,
        ({"labels": None}, ValueError, "either resp or labels"),
        ({"resp": np.ones((3, 2))}, ValueError, "either resp or labels"),
        ({"labels": None, "resp": np.ones((2, 2))}, ValueError, "resp has shape"),
        ({"labels": np.full(3, 2, dtype=np.int32)}, ValueError, "from 0 to 1"),
        ({"labels": np.zeros(3)}, TypeError, "labels"),
    ],
)
def test_wrong_arguments_of_moments_given(change, error, message):
    arguments = {
        "X": np.ones((3, 2)),
        "means": np.ones((2, 2)),
        "labels": np.zeros(3, dtype=np.int32),
    } | change
    with pytest.raises(error, match=message):
        gmm_moments(**arguments)

"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.em import COVARIANCE_TYPES, em, gmm_moments, triton_, triton_sums

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
TYPES = [np.float32, np.float64]
SHAPES = [(1, 1, 1), (15, 3, 2), (97, 17, 9), (33, 65, 3)]  # rows, columns, components
ALL = {"return_log_prob": True, "return_resp": True, "return_labels": True}
every_type = pytest.mark.parametrize("dtype", TYPES)
every_covariance = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def on(value):
    return None if value is None else torch.from_numpy(np.ascontiguousarray(value)).to(DEVICE)


def off(result):
    return type(result)(*(None if value is None else value.cpu().numpy() for value in result))


def run(X, log_weights, means, factors, covariance_type, weight=None, **options):
    model = on(log_weights), on(means), on(factors)
    return off(em(on(X), *model, covariance_type, sample_weight=on(weight), **options))


def make(n, d, k, covariance_type, dtype, offset=0.0, spread=1.0, seed=0, separation=2.0):
    """Rows near K means, and a mixture whose components overlap."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * separation * spread + offset
    X = (means[rng.integers(0, k, n)] + rng.normal(size=(n, d)) * spread).astype(dtype)
    shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[covariance_type]
    factors = rng.uniform(0.7, 1.5, size=shape)
    if covariance_type in ("full", "tied"):
        above = np.triu(rng.normal(size=shape) * 0.3 / np.sqrt(d), 1)
        factors = factors * np.eye(d) + above + np.tril(np.full(shape, 1e5), -1)
    weight = rng.integers(0, 4, n).astype(dtype)
    return (X, np.log(rng.dirichlet(np.full(k, 5.0))), means, factors / spread), weight


def as_matrices(factors, covariance_type, k, d):
    """The factor of each component as a matrix, [K, D, D]."""
    if covariance_type in ("full", "tied"):
        return np.broadcast_to(np.triu(factors), (k, d, d))
    diagonals = factors if covariance_type == "diag" else np.repeat(factors[:, None], d, axis=1)
    return diagonals[:, :, None] * np.eye(d)


def check_against_truth(case, covariance_type, weight, fast, truth):
    """Compare with the bounds of triton_densities.py and triton_moments.py."""
    X, log_weights, means, factors = case
    (n, d), k = X.shape, len(means)
    u = np.finfo(X.dtype).eps / 2
    x = X.astype(np.float64)
    g = np.abs(x[:, None, :] - means) + u * np.abs(means)  # [N, K, D]
    U = as_matrices(factors, covariance_type, k, d)
    middle = means.mean(axis=0)
    about = g
    if covariance_type == "tied":
        about = np.abs(x - middle)[:, None, :] + np.abs(means - middle) + u * np.abs(means)
    z = np.abs(np.einsum("nkd,kde->nke", x[:, None, :] - means, U, optimize=True))
    dz = (4 * d + 24) * u * np.einsum("nkd,kde->nke", about, np.abs(U), optimize=True)
    constant = log_weights + np.log(np.diagonal(U, axis1=1, axis2=2)).sum(axis=1)  # [K]
    dl = ((2 * z + dz) * dz).sum(axis=2) / 2 + (d + 4) * u * (z**2).sum(axis=2)
    dl += 2 * u * (constant.max() - constant)  # [N, K]
    r, row = truth.resp.astype(np.float64), np.abs(truth.log_prob)
    drow = 2 * (r * dl).sum(axis=1) + u * (4 * k + 16 + 4 * row + 4 * np.abs(constant).max())
    dr = r * np.expm1(np.minimum(dl + drow[:, None], 50)) + (4 * k + 16) * u * r + 1e-37
    w = np.ones(n) if weight is None else weight.astype(np.float64)
    dropped = np.where(r < np.exp(log_weights) * u / 32, r, 0)
    share = w[:, None] * (dr + dropped + (4 * 64 + 28) * u * r)  # [N, K]
    dsums = np.einsum("nk,nkd->kd", share, g)
    if covariance_type == "tied":
        far = np.abs(x - middle).max(axis=0) + np.abs(means - middle).max(axis=0)
        moved = dsums.T @ np.abs(means - middle)
        dsecond = np.einsum("nk,nkd,nke->de", share, g, g, optimize=True) + moved + moved.T
        dsecond += 1e-13 * w.sum() * np.outer(far, far)
    else:
        out = {"full": "nk,nkd,nke->kde", "diag": "nk,nkd,nkd->kd", "spherical": "nk,nkd,nkd->k"}
        dsecond = np.einsum(out[covariance_type], share, g, g, optimize=True)
    assert (np.abs(fast.log_prob - truth.log_prob) <= drow).all()
    assert abs(fast.log_likelihood - truth.log_likelihood) <= w @ drow
    assert (np.abs(fast.resp - truth.resp) <= dr).all()
    total = fast.resp.astype(np.float64).sum(axis=1)
    assert (np.abs(total - 1) <= (4 * k + 16) * 2 * u).all()
    assert (r.max(axis=1) - r[np.arange(n), fast.labels] <= 4 * dr.max(axis=1)).all()
    np.testing.assert_allclose(fast.weight, truth.weight, rtol=1e-13)
    assert (np.abs(fast.resp_sums - truth.resp_sums) <= share.sum(axis=0)).all()
    assert (np.abs(fast.sums - truth.sums) <= dsums).all()
    assert (np.abs(fast.second - truth.second) <= dsecond).all()
    if covariance_type in ("full", "tied"):
        np.testing.assert_array_equal(fast.second, np.swapaxes(fast.second, -1, -2))


def poison(monkeypatch):
    """Make torch.empty return NaN, or the like of it."""
    make_one = torch.empty

    def poisoned(*args, **kwargs):
        tensor = make_one(*args, **kwargs)
        return tensor.fill_(float("nan") if tensor.is_floating_point() else -(2**31) + 5)

    monkeypatch.setattr(torch, "empty", poisoned)


def assert_near(one, two, near):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=near, atol=near * np.abs(b).max())


@every_type
@every_covariance
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_the_reference(shape, covariance_type, dtype, monkeypatch):
    poison(monkeypatch)
    case, weight = make(*shape, covariance_type, dtype, offset=3.0)
    weight = weight if shape[0] > 1 else None
    truth = em(*case, covariance_type, sample_weight=weight, backend="ref", **ALL)
    fast = run(*case, covariance_type, weight, **ALL)
    check_against_truth(case, covariance_type, weight, fast, truth)
    assert fast.labels.dtype == np.int32
    assert fast.resp.dtype == fast.log_prob.dtype == dtype
    assert all(value.dtype == np.float64 for value in fast[:5])


@settings(max_examples=15 if DEVICE == "cpu" else 60, deadline=None)
@given(
    n=st.integers(1, 70),
    d=st.integers(1, 20),
    k=st.integers(1, 20),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    dtype=st.sampled_from(TYPES),
    offset=st.sampled_from([0.0, 3.0, -1e3]),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
    separation=st.sampled_from([0.0, 1.0, 10.0]),
    seed=st.integers(0, 2**31),
)
def test_any_data(n, d, k, covariance_type, dtype, offset, spread, separation, seed):
    case, weight = make(n, d, k, covariance_type, dtype, offset, spread, seed, separation)
    truth = em(*case, covariance_type, sample_weight=weight, backend="ref", **ALL)
    check_against_truth(
        case, covariance_type, weight, run(*case, covariance_type, weight, **ALL), truth
    )


@every_covariance
def test_far_from_the_origin_float32_is_as_good_as_near_it(covariance_type):
    case, _ = make(200, 5, 4, covariance_type, np.float32, offset=1e4, spread=0.05)
    fast = run(*case, covariance_type, **ALL)
    truth = em(*case, covariance_type, backend="ref", **ALL)
    assert np.abs(fast.log_prob - truth.log_prob).max() < 1e-3
    assert np.abs(fast.resp - truth.resp).max() < 1e-3
    assert np.abs(fast.second - truth.second).max() < 1e-5 * np.abs(truth.second).max()
    if covariance_type == "full":
        assert np.linalg.eigvalsh(fast.second).min() > 0


@every_type
@every_covariance
def test_a_power_of_two_changes_nothing_but_the_scale(covariance_type, dtype):
    (X, log_weights, means, factors), _ = make(30, 6, 4, covariance_type, dtype)
    near = run(X, log_weights, means, factors, covariance_type, **ALL)
    for power in (-60, 60):
        unit = 2.0**power
        moved = X * dtype(unit), log_weights, means * unit, factors / unit
        far = run(*moved, covariance_type, **ALL)
        np.testing.assert_array_equal(far.resp, near.resp)
        np.testing.assert_array_equal(far.sums, near.sums * unit)
        np.testing.assert_array_equal(far.second, near.second * unit * unit)
        np.testing.assert_allclose(far.log_prob, near.log_prob - 6 * power * np.log(2), rtol=1e-5)


@every_covariance
def test_chunks_and_numbers_of_programs_change_rounding_alone(covariance_type, monkeypatch):
    case, weight = make(80, 7, 5, covariance_type, np.float64)
    whole = run(*case, covariance_type, weight, **ALL)
    monkeypatch.setattr(triton_, "ROWS", 48)
    monkeypatch.setattr(triton_, "WORK", 1)
    monkeypatch.setattr(triton_sums, "PROGRAMS", 2)
    parts = run(*case, covariance_type, weight, **ALL)
    np.testing.assert_array_equal(parts.resp, whole.resp)
    np.testing.assert_array_equal(parts.labels, whole.labels)
    assert_near(parts[:6], whole[:6], 1e-13)
    again = run(*case, covariance_type, weight, **ALL)
    for one, two in zip(parts, again, strict=True):
        np.testing.assert_array_equal(one, two)


@every_type
@every_covariance
def test_moments_of_responsibilities(covariance_type, dtype):
    n, k = 70, 5
    (X, _, means, _), weight = make(n, 3, k, covariance_type, dtype, offset=3.0)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, k, n).astype(np.int32)
    one_hot = (labels[:, None] == np.arange(k)).astype(dtype)
    soft = rng.dirichlet(np.ones(k), n).astype(dtype)
    for assignment in ({"labels": labels}, {"resp": one_hot}, {"resp": soft}):
        slow = gmm_moments(
            X, means, covariance_type, sample_weight=weight, backend="ref", **assignment
        )
        tensors = {name: on(value) for name, value in assignment.items()}
        fast = off(
            gmm_moments(on(X), on(means), covariance_type, sample_weight=on(weight), **tensors)
        )
        assert np.isnan(fast.log_likelihood)
        assert fast[5:] == (None,) * 3
        assert_near(fast[1:5], slow[1:5], 300 * np.finfo(dtype).eps)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, in Triton's interpreter
@every_type
@every_covariance
def test_rows_too_far_and_components_without_rows(covariance_type, dtype):
    (X, log_weights, means, factors), _ = make(42, 5, 4, covariance_type, dtype)
    log_weights[1] = -np.inf
    weight = np.ones(42, dtype=dtype)
    rows = np.array([7, 40])
    weight[rows] = 0
    model = log_weights, means, factors, covariance_type
    without = run(X, *model, weight)
    assert without.resp_sums[1] == 0
    assert (without.sums[1] == 0).all()
    for value in (np.finfo(dtype).max, np.nan):
        far = X.copy()
        far[7, 2] = far[40] = value
        result = run(far, *model, **ALL)
        assert (result.log_prob[rows] == -np.inf).all()
        assert (result.resp[rows] == 0).all()
        assert (result.labels[rows] == 0).all()
        assert result.log_likelihood == -np.inf
        assert_near(result[2:5], without[2:5], 100 * np.finfo(dtype).eps)
        assert run(far, *model, weight).log_likelihood == without.log_likelihood


def test_shares_below_rounding_add_nothing():
    X, means = np.array([[0.0], [60.0], [1.0]]), np.array([[0.0], [60.0]])
    result = run(X, np.log([0.5, 0.5]), means, np.ones((2, 1, 1)), "full")
    assert result.resp_sums.tolist() == [2, 1]
    assert result.sums.ravel().tolist() == [1, 0]
    assert result.second.ravel().tolist() == [1, 0]


@every_covariance
def test_only_what_is_asked_for(covariance_type):
    (X, *model), _ = make(40, 3, 4, covariance_type, np.float64)
    result = run(X, *model, covariance_type, moments=False)
    assert result[2:] == (None,) * 6
    assert result.log_likelihood == run(X, *model, covariance_type).log_likelihood
    nothing = run(X[:0], *model, covariance_type, **ALL)
    assert nothing.log_likelihood == nothing.weight == 0
    assert all((array == 0).all() for array in nothing[2:5])
    assert nothing.resp.shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": torch.ones((3, 2), dtype=torch.int64)}, TypeError, "float32 or float64"),
        ({"X": torch.ones((2, 3)).T}, ValueError, r"pass X\.contiguous"),
        ({"means": torch.ones((2, 3))}, ValueError, "means must be a tensor of shape"),
        ({"means": torch.ones((0, 2))}, ValueError, "K >= 1"),
        ({"means": np.ones((2, 2))}, ValueError, "means must be a float64 tensor"),
        ({"means": torch.ones((2, 2))}, TypeError, "means must be torch.float64"),
        ({"log_weights": torch.zeros(3)}, ValueError, "log_weights"),
        ({"factors": torch.ones((2, 2))}, ValueError, "factors must be"),
        ({"sample_weight": torch.ones(4)}, ValueError, "sample_weight"),
        ({"covariance_type": "round"}, ValueError, "covariance_type='round' is unknown"),
        ({"backend": "native"}, ValueError, "backend='native' is not available for 'em of ten"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {
        "X": torch.ones((3, 2)),
        "log_weights": torch.zeros(2, dtype=torch.float64),
        "means": torch.ones((2, 2), dtype=torch.float64),
        "factors": torch.eye(2, dtype=torch.float64).repeat(2, 1, 1),
    } | change
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor):
            arguments[name] = value.to(DEVICE)
    with pytest.raises(error, match=message):
        em(**arguments)


def test_wrong_arguments_of_moments_given():
    X, means = torch.ones((3, 2), device=DEVICE), torch.ones((2, 2), device=DEVICE).double()
    with pytest.raises(ValueError, match="either resp or labels"):
        gmm_moments(X, means)
    with pytest.raises(ValueError, match=r"resp must be a tensor of shape \(3, 2\)"):
        gmm_moments(X, means, resp=X[:2])
    with pytest.raises(TypeError, match=r"labels must be torch\.int32"):
        gmm_moments(X, means, labels=torch.zeros(3, device=DEVICE))

"""Rows whose squares overflow or vanish: the model of the same rows near one, or one error."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import blocks
from unsup_fast._rows import devices
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.kernels.covariance import RangeError

ARRAYS = ("components_", "explained_variance_ratio_")
ENTRIES = ["full", "covariance_eigh", "gram", "randomized", "arpack", "incremental", "batches"]
SOURCES = ["csr", "csr arpack", "source", "device", "device full", "device gram"]


def rows(dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(40, 5)) * 2.0 ** -np.arange(5) + 1).astype(dtype)


def fitted(entry, X, monkeypatch, **options):
    """Return a model of 3 axes, fitted by one of the entry points."""
    if entry in ("incremental", "batches"):
        model = IncrementalPCA(3, **options)
        if entry == "incremental":
            return model.fit(X)
        for part in np.split(X, [1, 2, 5]):
            model.partial_fit(part)
        return model
    solvers = {"csr": "covariance_eigh", "csr arpack": "arpack", "device full": "full"}
    solver = solvers.get(entry, entry if entry in ENTRIES else "covariance_eigh")
    data = X
    if "gram" in entry:
        data, solver = X[:4], "covariance_eigh"
    if entry.startswith("csr"):
        data = sp.csr_array(X)
    elif entry == "source":
        data = blocks.source(lambda: [X], chunk_size=9)
    elif entry.startswith("device"):
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(devices, "compute_device", lambda *args, **options: torch.device("cpu"))
        data = torch.from_numpy(data)
    return PCA(3, svd_solver=solver, random_state=0, **options).fit(data)


@pytest.mark.parametrize("entry", ENTRIES + SOURCES)
@pytest.mark.parametrize("exponent", [-1000, -600, 400])
def test_a_power_of_two_changes_nothing_but_the_scale(entry, exponent, monkeypatch):
    X, scale = rows(), 2.0**exponent
    model = fitted(entry, X * scale, monkeypatch, whiten=True)
    plain = fitted(entry, X, monkeypatch, whiten=True)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(model, name), getattr(plain, name), atol=1e-9)
    singular, expected = (np.asarray(m.singular_values_) for m in (model, plain))
    np.testing.assert_allclose(singular / scale, expected, rtol=1e-9)
    np.testing.assert_allclose(model.transform(X * scale), plain.transform(X), atol=1e-7)
    back = model.inverse_transform(model.transform(X * scale))
    np.testing.assert_allclose(back / scale, plain.inverse_transform(plain.transform(X)), atol=1e-7)
    assert np.isfinite(np.asarray(model.get_covariance())).all()
    assert np.isfinite(np.asarray(model.get_precision())).all()
    if "csr" not in entry:
        assert np.isfinite(model.score(X * scale))


@pytest.mark.parametrize("entry", ENTRIES + SOURCES)
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e20), (np.float64, 1e300)])
def test_a_variance_that_overflows_is_refused(entry, dtype, scale, monkeypatch):
    X = rows(dtype) * dtype(scale)
    with pytest.raises(ValueError, match=rf"variance of X overflows {np.dtype(dtype)}.*divide X"):
        fitted(entry, X, monkeypatch)


def test_a_sum_of_variances_that_overflows_is_refused():
    X = rows()[:, :1] * np.full(4, 1.2e154)
    for model in (PCA(1), PCA(0), IncrementalPCA(1)):
        with pytest.raises(RangeError, match="variance of X overflows float64"):
            model.fit(X * 1.2)


@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "randomized", "arpack"])
def test_values_that_lie_too_far_from_each_other(solver):
    X = np.zeros((6, 3))
    X[0], X[1] = 1.7e308, -1.7e308
    with pytest.raises(RangeError, match="divide X by"):
        PCA(2, svd_solver=solver).fit(X)
    model = IncrementalPCA(2).partial_fit(X[:1])
    mean = model.mean_
    with pytest.raises(RangeError, match="farther from each other than float64 can hold"):
        model.partial_fit(X[1:2])
    np.testing.assert_array_equal(model.mean_, mean)
    assert model.n_samples_seen_ == 1


@pytest.mark.parametrize("value", [1e200, 1e300, 1e-310])
@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "randomized", "arpack"])
def test_a_constant_column_of_any_size(solver, value):
    X = rows()
    plain = PCA(3, svd_solver=solver, random_state=0).fit(np.c_[X, np.ones(len(X))])
    model = PCA(3, svd_solver=solver, random_state=0).fit(np.c_[X, np.full(len(X), value)])
    np.testing.assert_allclose(model.explained_variance_, plain.explained_variance_)
    np.testing.assert_allclose(model.explained_variance_ratio_, plain.explained_variance_ratio_)


def test_batches_of_very_different_size():
    X = np.r_[rows() * 1e-300, rows() * 1e-160, rows()]
    model = IncrementalPCA(3)
    for part in np.split(X, 3):
        model.partial_fit(part)
    expected = PCA(3).fit(X)
    np.testing.assert_allclose(model.components_, expected.components_, atol=1e-12)
    np.testing.assert_allclose(model.explained_variance_, expected.explained_variance_)


def test_a_model_of_tiny_rows_is_loaded_as_it_was(tmp_path):
    X = rows() * 1e-300
    for model in (PCA(3, whiten=True), IncrementalPCA(3, whiten=True)):
        model.fit(X).save(tmp_path / "model.safetensors")
        loaded = type(model).load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
        if isinstance(model, IncrementalPCA):
            model, loaded = (m.partial_fit(X[:7]) for m in (model, loaded))
            np.testing.assert_array_equal(loaded.components_, model.components_)


def test_the_precision_of_tiny_float32_rows_is_refused():
    model = PCA(5).fit(rows(np.float32) * np.float32(1e-25))
    with pytest.raises(ValueError, match="precision overflows float32; fit float64 rows"):
        model.get_precision()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 30),
    st.integers(1, 8),
    st.floats(-323, 308),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["full", "covariance_eigh", "randomized", "incremental"]),
    st.integers(0, 2**32 - 1),
)
def test_finite_rows_make_a_finite_model_or_one_error(n, d, decade, dtype, solver, number):
    limits = np.finfo(dtype)
    decade = np.clip(decade, np.log10(limits.smallest_subnormal), np.log10(limits.max) - 1)
    X = np.random.default_rng(number).uniform(-1, 1, size=(n, d)) * 10.0**decade
    X = X.astype(dtype)
    if solver == "incremental":
        model = IncrementalPCA(min(n, d), whiten=True)
    else:
        model = PCA(min(n, d), whiten=True, svd_solver=solver, random_state=0)
    try:
        model.fit(X)
    except RangeError:
        assert np.abs(X).max() > np.sqrt(limits.max) / 10
        return
    for name in (*ARRAYS, "explained_variance_", "singular_values_", "mean_", "noise_variance_"):
        assert np.isfinite(getattr(model, name)).all()
    z = model.transform(X)
    assert (np.abs(z) <= np.sqrt(n - 1) * 1.01).all()
    assert np.isfinite(model.inverse_transform(z)).all()
    assert np.isfinite(model.get_covariance()).all()
    assert np.isfinite(model.score(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [1e6, 1e10, 1e30])
def test_sparse_rows_with_a_column_far_from_zero(dtype, far):
    X = np.random.default_rng(0).normal(size=(80, 4)).astype(dtype)
    X[:, 2] = far
    model = PCA(2, svd_solver="arpack", random_state=0).fit(sp.csr_array(X))
    near = X * np.array([1, 1, 0, 1], dtype)
    expected = PCA(2, svd_solver="full").fit(near)
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(model.explained_variance_, expected.explained_variance_, **tolerance)
    np.testing.assert_allclose(model.mean_[2], dtype(far))
    z = model.transform(sp.csr_array(X))
    np.testing.assert_allclose(abs(z), abs(expected.transform(near)), **tolerance)
    np.testing.assert_allclose(model.transform(sp.csr_array(X[:3])), z[:3], **tolerance)

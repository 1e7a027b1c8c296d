"""Whitened coordinates: variance 1, or 0 along axes whose variance is no more than rounding."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import blocks
from unsup_fast._rows import devices
from unsup_fast.decomposition import PCA, IncrementalPCA

SOLVERS = ["full", "covariance_eigh", "arpack", "randomized"]


def low_rank(n_rows, n_columns, rank, offset, dtype, number=0):
    """Return rows in a subspace of `rank` dimensions: all other variances are rounding."""
    rng = np.random.default_rng(number)
    X = rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_columns))
    return (X + offset).astype(dtype)


def collinear(dtype):
    a, b = np.random.default_rng(1).normal(size=(2, 400)) + 1e4
    return np.c_[a, b, a + b].astype(dtype)


def check(z, n_rows, slack=1e-2):
    """Variance is 1 or 0, and so no coordinate exceeds sqrt(N - 1)."""
    z = np.asarray(z, dtype=np.float64)
    assert (np.abs(z) <= np.sqrt(n_rows - 1) * (1 + slack)).all()
    variance = z.var(axis=0, ddof=1)
    assert (np.minimum(variance, np.abs(variance - 1)) <= 2 * slack).all()
    return int(np.round(variance).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("shape", [(200, 10), (12, 40)], ids=str)
@pytest.mark.parametrize("solver", [*SOLVERS, "incremental"])
def test_axes_of_rounding_are_zero(solver, shape, offset, dtype, tmp_path):
    X = low_rank(*shape, 3, offset, dtype)
    k = min(shape) - 1  # as many as "arpack" can
    if solver == "incremental":
        model = IncrementalPCA(k, whiten=True).fit(X)
    else:
        model = PCA(k, whiten=True, svd_solver=solver, random_state=0).fit(X)
    z = model.transform(X)
    if offset == 0:
        assert check(z, len(X)) == 3
        np.testing.assert_array_equal(z[:, 3:], 0)
    else:  # the offset rounds the rows, and the rounding adds to their variance
        assert check(z, len(X)) >= 3
    atol = 1e-4 * np.abs(X - X.mean(axis=0)).max() + 4 * np.finfo(dtype).eps * np.abs(X).max()
    np.testing.assert_allclose(model.inverse_transform(z), X, atol=atol)
    model.save(tmp_path / "model.safetensors")
    loaded = type(model).load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.transform(X), z)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "randomized", "incremental"])
def test_columns_that_others_add_up_to(solver, dtype):
    X = collinear(dtype)
    models = {"incremental": IncrementalPCA(whiten=True)}
    model = models.get(solver, PCA(3, whiten=True, svd_solver=solver, random_state=0))
    check(model.fit(X).transform(X), len(X))


def test_one_row_that_alone_has_a_variance():
    """Its coordinate is (N - 1) / sqrt(N), the largest that there can be."""
    X = np.zeros((50, 3))
    X[:, 0] = np.random.default_rng(2).normal(size=50) * 1e4
    X[7] = np.delete(X[:, 0], 7).mean(), 1, 0  # uncorrelated
    for model in (PCA(whiten=True), IncrementalPCA(whiten=True)):
        z = np.abs(model.fit(X).transform(X)).max(axis=0)
        assert z[1] == pytest.approx(49 / np.sqrt(50), rel=1e-6)
        assert z[2] == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(-12, 3),
    st.sampled_from([0.0, 1.0, 1e3, 1e6]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["full", "covariance_eigh", "randomized", "incremental"]),
    st.integers(0, 2**32 - 1),
)
def test_no_coordinate_exceeds_its_bound(n, d, rank, decade, offset, dtype, solver, number):
    rng = np.random.default_rng(number)
    X = low_rank(n, d, rank, 0.0, np.float64, number) * 10.0 ** rng.uniform(min(decade, 0), 0, d)
    X = (X + offset).astype(dtype)
    options = {} if solver == "incremental" else {"svd_solver": solver, "random_state": 0}
    kind = IncrementalPCA if solver == "incremental" else PCA
    model = kind(min(n, d), whiten=True, **options).fit(X)
    z = model.transform(X)
    assert np.isfinite(z).all()
    assert (np.abs(z) <= np.sqrt(n - 1) * 1.01).all()


@pytest.mark.parametrize("kind", ["csr", "source", "batches", "device"])
def test_rows_of_every_kind(kind, monkeypatch):
    X = low_rank(150, 6, 2, 0.0, np.float32)
    model, rows = PCA(5, whiten=True), X
    if kind == "csr":
        rows = sp.csr_array(X)
    elif kind == "source":
        rows = blocks.source(lambda: [X], chunk_size=40)
    elif kind == "batches":
        model = IncrementalPCA(5, whiten=True)
        for part in np.split(X, [3, 4, 80]):
            model.partial_fit(part)
    elif kind == "device":
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(devices, "compute_device", lambda *args, **options: torch.device("cpu"))
        rows = torch.from_numpy(X)
    if kind != "batches":
        model.fit(rows)
    assert check(model.transform(rows), len(X)) == 2


def test_batches_of_two_types_round_as_the_coarser():
    X = low_rank(100, 5, 2, 0.0, np.float64)
    model = IncrementalPCA(whiten=True).partial_fit(X[:60].astype(np.float32)).partial_fit(X[60:])
    check(model.transform(X), len(X))


def test_whiten_may_be_set_after_the_fit():
    X = low_rank(100, 5, 2, 0.0, np.float32)
    model = PCA().fit(X)
    coordinates = model.transform(X)
    z = model.set_params(whiten=True).transform(X)
    assert check(z, len(X)) == 2
    expected = coordinates[:, :2] / coordinates[:, :2].std(axis=0, ddof=1)
    np.testing.assert_allclose(z[:, :2], expected, rtol=1e-4, atol=1e-5)

"""PCA against its definition: stationarity, the two derivations, data that others get wrong."""

import numpy as np
import pytest
import sklearn.decomposition
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.decomposition import PCA, IncrementalPCA

SOLVERS = ["full", "covariance_eigh", "arpack", "randomized"]


def made(n, d, dtype=np.float64, number=0):
    """Return rows whose variances fall by a factor of four along random axes."""
    rng = np.random.default_rng(number)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return (rng.normal(size=(n, d)) * 2.0 ** -np.arange(d) @ axes).astype(dtype)


def truth(X):
    """Return eigenvalues [D] and axes [D, D], as rows, of the float64 covariance (over N - 1)."""
    x = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(x.T @ x / (len(X) - 1))
    return values[::-1], vectors.T[::-1]


@pytest.mark.parametrize("shape", [(200, 8), (8, 200), (20, 20)], ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_optimum_is_stationary(shape, solver):
    """The axes U maximise tr(U S U^T) subject to U U^T = I, so U S = L U with multipliers L.

    L may be taken diagonal: the variances along the axes. No axis of the rest has a larger one.
    """
    X = made(*shape)
    model = PCA(4, svd_solver=solver, random_state=0, iterated_power=20).fit(X)
    U, multipliers = model.components_, model.explained_variance_
    x = X - X.mean(axis=0)
    S = x.T @ x / (len(X) - 1)
    np.testing.assert_allclose(U @ U.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(U @ S, multipliers[:, None] * U, atol=1e-10)
    off = np.eye(shape[1]) - U.T @ U
    assert np.linalg.eigvalsh(off @ S @ off)[-1] <= multipliers[-1] + 1e-10
    assert (np.diff(multipliers) <= 0).all()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("shape", [(300, 7), (7, 60), (30, 30)], ids=str)
def test_both_derivations_agree(shape, whiten):
    """Eigenvectors of the covariance (or of the inner products) are the right singular vectors."""
    X = made(*shape)
    models = [PCA(5, svd_solver=s, whiten=whiten).fit(X) for s in ("covariance_eigh", "full")]
    of_covariance, of_svd = models
    for name in ("components_", "explained_variance_", "singular_values_", "noise_variance_"):
        np.testing.assert_allclose(getattr(of_covariance, name), getattr(of_svd, name), atol=1e-10)
    np.testing.assert_allclose(of_covariance.transform(X), of_svd.transform(X), atol=1e-8)
    singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[:5]
    np.testing.assert_allclose(of_covariance.singular_values_, singular, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [PCA, IncrementalPCA])
def test_far_from_the_origin(cls, dtype):
    near = (made(3000, 10, number=1) * 0.05).astype(dtype)
    X = (near + dtype(1e4)).astype(dtype)
    x = X.astype(np.float64) - 1e4
    values, axes = truth(x)
    model = cls(3).fit(X)
    rtol = 1e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(model.explained_variance_, values[:3], rtol=rtol)
    same = np.abs((model.components_ * axes[:3]).sum(axis=1))
    np.testing.assert_allclose(same, 1, atol=rtol)
    scores = (x - x.mean(axis=0)) @ model.components_.T
    np.testing.assert_allclose(model.transform(X), scores, atol=20 * rtol * np.abs(scores).max())


@pytest.mark.parametrize("magnitude", [2.0**60, 2.0**-66])
def test_sizes_at_which_squares_leave_float32(magnitude):
    X = made(500, 6, np.float32)
    model, plain = PCA(3).fit(X * np.float32(magnitude)), PCA(3).fit(X)
    np.testing.assert_array_equal(model.components_, plain.components_)
    np.testing.assert_allclose(
        model.singular_values_ / magnitude, plain.singular_values_, rtol=1e-6
    )
    np.testing.assert_array_equal(model.explained_variance_ratio_, plain.explained_variance_ratio_)


def test_the_threads_change_nothing():
    for X in (made(5000, 40, np.float32), made(30, 90, np.float32)):
        one, two = (
            PCA(9, n_threads=t, svd_solver="covariance_eigh").fit(X).set_params(n_threads=t)
            for t in (1, 2)
        )
        np.testing.assert_array_equal(one.components_, two.components_)
        np.testing.assert_array_equal(one.transform(X), two.transform(X))
        np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
        back = one.inverse_transform(one.transform(X))
        np.testing.assert_array_equal(back, two.inverse_transform(two.transform(X)))


def test_rows_are_neither_copied_nor_changed():
    X = made(500, 6, np.float32)
    X.flags.writeable = False
    for copy in (True, False):
        PCA(2, copy=copy).fit(X).transform(X)
        IncrementalPCA(2, copy=copy).fit(X)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 60),
    st.integers(1, 40),
    st.sampled_from(["covariance_eigh", "full", "auto"]),
    st.integers(0, 2**32 - 1),
)
def test_all_axes_keep_all_there_is(n, d, solver, number):
    """Reconstruction from all axes is exact, and shares of the variance sum to one."""
    X = np.random.default_rng(number).normal(size=(n, d))
    model = PCA(svd_solver=solver).fit(X)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, atol=1e-6)
    np.testing.assert_allclose(model.explained_variance_ratio_.sum(), 1)
    k = model.n_components_
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(k), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"svd_solver": "randomized", "iterated_power": 0},
        {"svd_solver": "randomized", "iterated_power": 3, "n_oversamples": 2},
        {"svd_solver": "arpack", "tol": 0.5},
    ],
    ids=str,
)
def test_variances_are_those_of_the_coordinates(options, shape, dtype):
    """Also if the axes are approximate, as for a flat spectrum; coordinates are uncorrelated."""
    X = np.random.default_rng(5).normal(size=shape).astype(dtype) + dtype(3)
    model = PCA(6, random_state=0, **options)
    z = model.fit_transform(X).astype(np.float64)
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    expected = np.cov(z.T)
    np.testing.assert_allclose(expected.diagonal(), model.explained_variance_, rtol=rtol)
    np.testing.assert_allclose(
        np.linalg.norm(z - z.mean(axis=0), axis=0), model.singular_values_, rtol=rtol
    )
    off = expected - np.diag(expected.diagonal())
    assert np.abs(off).max() <= rtol * expected.max()
    assert (np.diff(model.explained_variance_) <= 0).all()
    total = X.astype(np.float64).var(axis=0, ddof=1).sum()
    share = model.explained_variance_.astype(np.float64) / total
    np.testing.assert_allclose(model.explained_variance_ratio_, share, rtol=rtol)
    rest = (total - expected.trace()) / (min(shape) - 6)
    assert model.noise_variance_ == pytest.approx(rest, rel=10 * rtol)


@pytest.mark.parametrize("cls", [PCA, IncrementalPCA])
def test_the_error_of_the_best_plane_is_the_variance_off_it(cls):
    """The objectives of the two derivations, largest variance and least error, sum to the whole."""
    X = made(400, 9)
    model = cls(3).fit(X)
    error = ((X - model.inverse_transform(model.transform(X))) ** 2).sum() / (len(X) - 1)
    total = X.var(axis=0, ddof=1).sum()
    assert error + model.explained_variance_.sum() == pytest.approx(total, rel=1e-12)
    assert model.noise_variance_ * 6 == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("solver", ["full", "covariance_eigh"])
@pytest.mark.parametrize("k", [0, 3, 8])
def test_score_is_the_density_of_the_model(solver, k):
    from scipy.stats import multivariate_normal

    X = made(500, 8)
    model = PCA(k, svd_solver=solver).fit(X)
    expected = multivariate_normal(model.mean_, model.get_covariance()).logpdf(X)
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-6)
    assert model.score(X) == pytest.approx(expected.mean(), rel=1e-8)
    np.testing.assert_allclose(model.get_precision() @ model.get_covariance(), np.eye(8), atol=1e-6)
    whitened = PCA(k, svd_solver=solver, whiten=True).fit(X)
    np.testing.assert_array_equal(whitened.get_covariance(), model.get_covariance())


@pytest.mark.parametrize("solver", ["full", "covariance_eigh"])
def test_duplicated_rows_and_constant_columns(solver):
    X = np.repeat(made(4, 12), 30, axis=0)
    X[:, 5] = 3
    model = PCA(6, svd_solver=solver).fit(X)
    np.testing.assert_allclose(model.explained_variance_[3:], 0, atol=1e-12)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.score_samples(X)).all()
    constant = PCA(2, svd_solver=solver).fit(np.full((50, 3), 7.0))
    np.testing.assert_array_equal(constant.explained_variance_ratio_, 0)
    np.testing.assert_array_equal(constant.transform(np.full((5, 3), 7.0)), 0)


@pytest.mark.parametrize("wanted", [None, 3, 0.9, 0.999999, "mle"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("whiten", [False, True])
def test_follows_scikit_learn(wanted, dtype, whiten):
    rng = np.random.default_rng(2)
    X = (made(600, 12)[:, :9] + 0.01 * rng.normal(size=(600, 9))).astype(dtype)
    ours = PCA(wanted, whiten=whiten).fit(X)
    theirs = sklearn.decomposition.PCA(wanted, whiten=whiten).fit(X)
    rtol = 2e-3 if dtype == np.float32 else 1e-9
    for name in (
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
        "mean_",
        "components_",
    ):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)
    assert ours.n_components_ == theirs.n_components_
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=1e-3, abs=1e-12)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=rtol, atol=rtol)
    back = ours.inverse_transform(ours.transform(X))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, theirs.inverse_transform(theirs.transform(X)), atol=rtol)


def test_auto():
    def solver(n, d, wanted, **options):
        return PCA(wanted, **options)._solver((n, d), False)

    assert solver(10, 50, 5) == "full"
    assert solver(1000, 50, 50) == "covariance_eigh"
    assert solver(1000, 500, 400) == "full"
    assert solver(1000, 500, 10) == "covariance_eigh"
    assert solver(1000, 500, 0.5) == "covariance_eigh"
    assert solver(900, 30_000, 10) == "covariance_eigh"
    assert solver(9000, 3000, 10) == "randomized"
    assert solver(9000, 3000, 0.5) == "full"


def test_bad_input():
    X = made(20, 4)
    X[7, 2] = np.nan
    for model in (PCA(), PCA(svd_solver="full"), IncrementalPCA()):
        with pytest.raises(ValueError, match=r"contains NaN.*row 7, column 2"):
            model.fit(X)
    with pytest.raises(ValueError, match=r"contains NaN.*row 7, column 2"):
        PCA().fit(made(20, 4)).transform(X)
    with pytest.raises(ValueError, match="n_samples=1 has no variance"):
        PCA().fit(made(1, 4))
    with pytest.raises(ValueError, match="X has 3 columns; inverse_transform needs n_components=2"):
        PCA(2).fit(made(20, 4)).inverse_transform(np.ones((5, 3)))
    with pytest.raises(ValueError, match="device='cuda:99'"):
        PCA(2, device="cuda:99").fit(made(20, 4))

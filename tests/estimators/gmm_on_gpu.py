"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import triton
from sklearn.exceptions import ConvergenceWarning

from unsup_fast import blocks
from unsup_fast._rows import devices, tensors
from unsup_fast.mixture import GaussianMixture
from unsup_fast.mixture._data import MixtureData

INTERPRETED = triton.knobs.runtime.interpret
DEVICE = "cpu" if INTERPRETED else "cuda"
KINDS = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Let tensors in CPU memory pass for CUDA tensors where kernels are interpreted."""
    real = devices.compute_device

    def pretended(X, device, **options):
        if device == "cuda" or (device is None and isinstance(X, torch.Tensor)):
            return torch.device("cpu")
        return real(X, device, **options)

    if INTERPRETED:
        monkeypatch.setattr(devices, "compute_device", pretended)


@pytest.fixture
def rows():
    """Return 50 x 3 float64 rows of 2 overlapping Gaussians, off the origin."""
    rng = np.random.default_rng(7)
    parts = [rng.normal(size=(25, 3)) @ rng.normal(size=(3, 3)) + 3 * i for i in range(2)]
    return np.concatenate(parts) + 100


def on(value):
    return torch.from_numpy(value).to(DEVICE)


def agree(ours, theirs, rtol):
    """Compare a model fitted on the GPU with one fitted on the CPU."""
    for name in PARAMETERS:
        one, two = getattr(ours, name).cpu().numpy(), getattr(theirs, name)
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * np.abs(two).max(), err_msg=name)
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=rtol)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)


@every_kind
def test_as_on_the_cpu(rows, kind):
    weight = np.random.default_rng(0).random(50)
    options = {"covariance_type": kind, "random_state": 0, "tol": 0.05}
    ours = GaussianMixture(3, **options).fit(on(rows), sample_weight=on(weight))
    theirs = GaussianMixture(3, **options).fit(rows, sample_weight=weight)
    agree(ours, theirs, 1e-9)
    for name in PARAMETERS:
        assert getattr(ours, name).device.type == DEVICE
    for method in ("predict", "predict_proba", "score_samples"):
        result = getattr(ours, method)(on(rows))
        assert result.device.type == DEVICE
        np.testing.assert_allclose(result.cpu(), getattr(theirs, method)(rows), 1e-8, 1e-30)
    assert ours.predict(on(rows)).dtype == torch.int32
    for one, two in ((ours.score, theirs.score), (ours.bic, theirs.bic), (ours.aic, theirs.aic)):
        assert one(on(rows)) == pytest.approx(two(rows), rel=1e-9)
    expected = theirs.score(rows, sample_weight=weight)
    assert ours.score(on(rows), sample_weight=weight) == pytest.approx(expected, rel=1e-9)


@every_kind
def test_float32(rows, kind):
    X = rows.astype(np.float32)
    options = {"covariance_type": kind, "random_state": 0, "max_iter": 2, "tol": 0}
    with pytest.warns(ConvergenceWarning):
        ours = GaussianMixture(3, **options).fit(on(X))
    with pytest.warns(ConvergenceWarning):
        theirs = GaussianMixture(3, **options).fit(X)
    agree(ours, theirs, 2e-4)
    assert ours.predict_proba(on(X)).dtype == torch.float32


@pytest.mark.parametrize("init", ["k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("weighted", [False, True])
def test_starts(rows, init, weighted):
    weight = np.random.default_rng(1).random(50) if weighted else None
    options = {"init_params": init, "random_state": 4, "max_iter": 0}
    ours = GaussianMixture(2, **options).fit(on(rows), sample_weight=weight)
    agree(ours, GaussianMixture(2, **options).fit(rows, sample_weight=weight), 1e-10)


@every_kind
def test_one_component(rows, kind):
    ours = GaussianMixture(covariance_type=kind).fit(on(rows))
    theirs = GaussianMixture(covariance_type=kind).fit(rows)
    agree(ours, theirs, 1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_empty_clusters_of_the_start_are_moved_as_on_the_cpu(rows, weighted, monkeypatch):
    monkeypatch.setattr(MixtureData, "kmeans_plusplus", lambda *arguments: np.array([0, 0, 0, 30]))
    weight = np.random.default_rng(1).random(50) if weighted else None
    options = {"n_components": 4, "max_iter": 0, "reg_covar": 1e-2}
    ours = GaussianMixture(**options).fit(on(rows), sample_weight=weight)
    agree(ours, GaussianMixture(**options).fit(rows, sample_weight=weight), 1e-9)
    assert (ours.weights_ > 0).all()


def test_parts_of_the_rows_change_rounding_alone(rows):
    options = {"random_state": 0, "max_iter": 1}
    with pytest.warns(ConvergenceWarning):
        whole = GaussianMixture(3, device="cuda", **options).fit(rows)
    with pytest.warns(ConvergenceWarning):
        parts = GaussianMixture(3, chunk_size=27, **options).fit(on(rows))
    agree(parts, whole, 1e-10)
    np.testing.assert_array_equal(parts.predict(on(rows)).cpu(), whole.predict(rows))


def test_methods_give_what_they_are_given(rows, tmp_path):
    model = GaussianMixture(2, random_state=0, tol=1).fit(on(rows))
    host = GaussianMixture(2, random_state=0, tol=1, device="cuda").fit(rows)
    for name in PARAMETERS:
        assert isinstance(getattr(host, name), np.ndarray)
        np.testing.assert_array_equal(getattr(host, name), getattr(model, name).cpu())
    np.testing.assert_array_equal(host.predict(rows), model.predict(on(rows)).cpu())
    X, labels = model.sample(5)
    assert X.device.type == labels.device.type == DEVICE
    np.testing.assert_array_equal(X.cpu(), host.sample(5)[0])
    # Fitted on the GPU, used on the CPU.
    model.save(tmp_path / "m.safetensors")
    loaded = GaussianMixture.load(tmp_path / "m.safetensors")
    on_device, on_host = (
        host.predict_proba(rows),
        loaded.set_params(device="cpu").predict_proba(rows),
    )
    np.testing.assert_allclose(on_host, on_device, rtol=1e-9, atol=1e-300)


def test_warm_start_goes_on(rows):
    options = {"init_params": "random_from_data", "random_state": 0, "tol": 0, "device": "cuda"}
    first, whole = (GaussianMixture(3, **options) for _ in range(2))
    with pytest.warns(ConvergenceWarning):
        first.set_params(max_iter=2).fit(rows)
    with pytest.warns(ConvergenceWarning):
        first.set_params(warm_start=True).fit(rows)
    with pytest.warns(ConvergenceWarning):
        whole.set_params(max_iter=4).fit(rows)
    for name in PARAMETERS:
        np.testing.assert_array_equal(getattr(first, name), getattr(whole, name))


def test_what_rows_say_too_little_of():
    X = np.repeat(np.arange(3.0)[:, None], 4, axis=0) * [1.0, 0.0]
    models = GaussianMixture(2, reg_covar=0, random_state=0), GaussianMixture(2, reg_covar=0)
    for model, rows in zip(models, (on(X), X), strict=True):
        with pytest.warns(ConvergenceWarning, match="raised just enough"):
            model.set_params(random_state=0).fit(rows)
    for name in ("weights_", "means_"):
        one, two = (getattr(model, name) for model in models)
        np.testing.assert_allclose(one.cpu(), two, rtol=1e-12)
    assert torch.isfinite(models[0].precisions_).all()


def test_ctrl_c_keeps_the_last_iteration(rows):
    def stop(state):
        assert isinstance(state.means, np.ndarray)
        if state.iteration == 2:
            raise KeyboardInterrupt

    model = GaussianMixture(3, random_state=0, tol=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(on(rows), callback=stop)
    with pytest.warns(ConvergenceWarning):
        agree(model, GaussianMixture(3, random_state=0, tol=0, max_iter=2).fit(rows), 1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64])
def test_other_types_and_views(rows, dtype):
    X = on(np.asfortranarray(rows)).to(dtype)
    ours = GaussianMixture(2, random_state=0, tol=0.1).fit(X)
    theirs = GaussianMixture(2, random_state=0, tol=0.1).fit(X.cpu().double().numpy())
    for name in PARAMETERS:
        np.testing.assert_allclose(
            getattr(ours, name).cpu(), getattr(theirs, name), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(dtype):
    X = (np.random.default_rng(0).normal(size=(50, 4)) * 0.1 + 1e4).astype(dtype)
    X[:, 2] = 7
    moments, wide = tensors.moments(on(X)), X.astype(np.float64)
    np.testing.assert_allclose(moments.mean, wide.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(moments.variance, wide.var(axis=0), rtol=1e-10)
    np.testing.assert_allclose(
        moments.max_abs_deviation, np.abs(wide - wide.mean(axis=0)).max(axis=0), atol=1e-9
    )
    assert moments.variance[2] == moments.max_abs_deviation[2] == 0


def test_wrong_arguments(rows):
    model = GaussianMixture(2, random_state=0, tol=0.1).fit(on(rows))
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(on(np.ones((4, 2))))
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(on(rows), sample_weight=torch.ones(7))
    with pytest.raises(ValueError, match="weights must be >= 0"):
        model.fit(on(rows), sample_weight=-on(rows)[:, 0])
    with pytest.raises(ValueError, match="of every row is 0"):
        model.fit(on(rows), sample_weight=np.zeros(50))
    with pytest.raises(ValueError, match="n_components = 200"):
        GaussianMixture(200).fit(on(rows))
    with pytest.raises(ValueError, match=r"contains NaN.*\n?.*row 0, column 0"):
        model.fit(on(np.full((9, 3), np.nan)))
    with pytest.raises(ValueError, match="squares of X overflow"):
        GaussianMixture(2).fit(on(np.array([[1e200], [-1e200], [0.0]])))
    with pytest.raises(TypeError, match=r"pass X\.toarray"):
        GaussianMixture(2, device="cuda").fit(sp.csr_matrix(rows))
    source = blocks.source(lambda: [rows])
    for call in (GaussianMixture(2, device="cuda").fit, model.set_params(device="cuda").predict):
        with pytest.raises(ValueError, match=r"rows that come in blocks \(Source\).*device='cpu'"):
            call(source)
    assert model.set_params(device="cpu").predict(source).shape == (50,)

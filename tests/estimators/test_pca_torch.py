"""Torch tensors in and out, on the CPU as arrays and on a device with the device's code."""

import numpy as np
import pytest

from unsup_fast._rows import devices
from unsup_fast.decomposition import PCA, IncrementalPCA

torch = pytest.importorskip("torch")

ARRAYS = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """Send tensors through the code for GPUs, which runs on CPU tensors as well."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    here = torch.device(request.param)
    monkeypatch.setattr(devices, "compute_device", lambda X, device, **options: here)
    return here


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_in_tensor_out(blobs, dtype):
    X = torch.from_numpy(blobs).to(dtype)
    before = X.clone()
    for cls in (PCA, IncrementalPCA):
        model, expected = cls(2).fit(X), cls(2).fit(X.numpy())
        for name in (*ARRAYS, "mean_"):
            assert getattr(model, name).dtype == dtype
            np.testing.assert_array_equal(getattr(model, name).numpy(), getattr(expected, name))
        scores = model.transform(X)
        assert scores.dtype == dtype
        np.testing.assert_array_equal(scores.numpy(), expected.transform(X.numpy()))
        assert isinstance(model.inverse_transform(scores), torch.Tensor)
        assert isinstance(model.transform(X.numpy()), np.ndarray)
        assert isinstance(expected.transform(X), torch.Tensor)
        assert model.score(X) == expected.score(X.numpy())
        assert isinstance(model.get_covariance(), torch.Tensor)
    assert torch.equal(X, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("shape", [(300, 4), (4, 60)], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"whiten": True}, {"svd_solver": "full"}, {"n_components": 0.9}], ids=str
)
def test_on_a_device(device, dtype, shape, options):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=shape) * 8 + 100).to(dtype).to(device)
    model = PCA(**{"n_components": 2, **options}).fit(X)
    rows = X.cpu().double().numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "compute_device", lambda X, device, **options: None)
        expected = PCA(**{"n_components": 2, **options}).fit(rows)
        scores, likelihood = expected.transform(rows), expected.score(rows)
    atol = 1e-8 if dtype in (torch.float64, torch.int64) else 1e-3
    for name in (*ARRAYS, "mean_"):
        actual = getattr(model, name)
        assert actual.device.type == device.type
        np.testing.assert_allclose(actual.cpu(), getattr(expected, name), rtol=atol, atol=atol)
    assert model.n_components_ == expected.n_components_
    np.testing.assert_allclose(model.transform(X).cpu(), scores, rtol=atol, atol=10 * atol)
    back = model.inverse_transform(model.transform(X))
    assert back.device.type == device.type
    np.testing.assert_allclose(back.cpu(), expected.inverse_transform(scores), atol=10 * atol)
    if shape[0] > shape[1]:
        assert model.score(X) == pytest.approx(likelihood, abs=10 * atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_the_origin_on_a_device(device, dtype):
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(9000, 6)) * 0.05 * 2.0 ** -np.arange(6) + 1e4).astype(dtype)
    x = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    values = np.linalg.eigvalsh(x.T @ x / 8999)[::-1]
    model = PCA(3).fit(torch.from_numpy(X).to(device))
    np.testing.assert_allclose(model.explained_variance_.cpu(), values[:3], rtol=1e-5)
    scores = x @ model.components_.cpu().numpy().T
    np.testing.assert_allclose(model.transform(X), scores, atol=2e-6)


@pytest.mark.parametrize("magnitude", [2.0**60, 2.0**-66])
def test_sizes_at_which_squares_leave_float32(device, magnitude):
    X = torch.from_numpy(np.random.default_rng(2).normal(size=(500, 6)).astype(np.float32))
    X = X.to(device) * 2.0 ** -torch.arange(6).to(device)
    model, plain = PCA(3).fit(X * magnitude), PCA(3).fit(X)
    assert torch.equal(model.components_, plain.components_)
    torch.testing.assert_close(model.singular_values_ / magnitude, plain.singular_values_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(120, 30), (30, 120)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"iterated_power": 1, "n_oversamples": 3},
        {"iterated_power": 3, "power_iteration_normalizer": "QR"},
        {"iterated_power": 0, "power_iteration_normalizer": "none"},
    ],
    ids=str,
)
def test_randomized_as_on_the_cpu(device, dtype, shape, options):
    X = (np.random.default_rng(3).normal(size=shape) * 0.9 ** np.arange(shape[1]) + 5).astype(dtype)
    build = {"n_components": 4, "svd_solver": "randomized", "random_state": 2, **options}
    model = PCA(**build).fit(torch.from_numpy(X).to(device))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "compute_device", lambda X, device, **options: None)
        expected = PCA(**build).fit(X)
    rtol = 2e-4 if dtype == np.float32 else 1e-9
    for name in (*ARRAYS, "mean_"):
        actual = getattr(model, name)
        assert actual.device.type == device.type
        np.testing.assert_allclose(actual.cpu(), getattr(expected, name), rtol=rtol, atol=rtol)
    assert model.noise_variance_ == pytest.approx(expected.noise_variance_, rel=rtol)
    assert model._fit_svd_solver == "randomized"


@pytest.mark.parametrize("shape", [(300, 40), (40, 300)], ids=str)
def test_randomized_variances_are_those_of_the_coordinates(device, shape):
    X = torch.from_numpy(np.random.default_rng(5).normal(size=shape)).to(device)
    model = PCA(6, svd_solver="randomized", iterated_power=0, random_state=0).fit(X)
    z = model.transform(X).cpu().numpy()
    expected = np.cov(z.T)
    np.testing.assert_allclose(expected, np.diag(model.explained_variance_.cpu()), atol=1e-10)


def test_batches_on_a_device(device, blobs, tmp_path):
    X = torch.from_numpy(blobs).to(device)
    model, whole = IncrementalPCA(2), PCA(2).fit(X)
    for part in X.split(70):
        model.partial_fit(part)
    assert model.components_.device.type == model.mean_.device.type == device.type
    torch.testing.assert_close(model.components_, whole.components_)
    torch.testing.assert_close(model.transform(X), whole.transform(X))
    whole.save(tmp_path / "m.safetensors")
    loaded = PCA.load(tmp_path / "m.safetensors")
    torch.testing.assert_close(loaded.transform(X), whole.transform(X))


def test_what_a_device_refuses(device, blobs):
    from scipy.sparse import csr_array

    from unsup_fast import blocks

    X = torch.from_numpy(blobs)
    with pytest.raises(ValueError, match="svd_solver='arpack' is for the CPU"):
        PCA(2, svd_solver="arpack").fit(X)
    with pytest.raises(ValueError, match="cannot be a string with svd_solver='randomized'"):
        PCA("mle", svd_solver="randomized").fit(X)
    with pytest.raises(ValueError, match="rows that come in blocks"):
        PCA(2).fit(blocks.source(blobs))
    with pytest.raises(ValueError, match="sparse rows are for the CPU"):
        PCA(2).fit(csr_array(blobs))
    bad = X.clone()
    bad[7, 1] = float("inf")
    with pytest.raises(ValueError, match=r"infinity.*row 7, column 1"):
        PCA(2).fit(bad)
    with pytest.raises(ValueError, match="X has 3 features, but PCA is expecting 4"):
        PCA(2).fit(X).transform(X[:, :3])
    with pytest.raises(ValueError, match="inverse_transform needs"):
        PCA(2).fit(X).inverse_transform(X)
    with pytest.raises(ValueError, match="pass a dense one"):
        PCA(2).fit(X.to_sparse())

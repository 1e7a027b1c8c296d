"""A model fitted on a GPU and used on a machine without a GPU."""

import warnings

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast._rows import devices
from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.mixture import GaussianMixture

MODELS = {
    "KMeans": (KMeans(3, random_state=0), ("predict", "transform", "score")),
    "MiniBatchKMeans": (MiniBatchKMeans(3, random_state=0), ("predict", "transform", "score")),
    "GaussianMixture": (
        GaussianMixture(3, random_state=0),
        ("predict", "predict_proba", "score_samples", "score", "bic", "aic"),
    ),
    "PCA": (PCA(2), ("transform", "score_samples", "score")),
    "IncrementalPCA": (IncrementalPCA(2), ("transform", "score_samples", "score")),
}


@pytest.fixture(params=["no GPU", "no PyTorch"])
def machine(request, monkeypatch):
    """Make this machine look like one without a GPU, or without PyTorch."""
    if request.param == "no PyTorch":
        monkeypatch.setattr(devices, "find_spec", lambda name: None)
        return "PyTorch is not installed"
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return "PyTorch finds 0 CUDA GPUs"


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
@pytest.mark.parametrize("name", MODELS)
def test_predicts_where_the_rows_are(blobs, name, device, machine, tmp_path):
    model, methods = MODELS[name]
    model.set_params(device=None).fit(blobs)
    expected = {method: getattr(model, method)(blobs) for method in methods}
    model.set_params(device=device).save(tmp_path / "m.safetensors")
    loaded = type(model).load(tmp_path / "m.safetensors")
    assert loaded.device == device
    for method in methods:
        said = f"device='{device}' of the fitted.*: {machine}"
        with pytest.warns(RuntimeWarning, match=said) as warned:
            result = getattr(loaded, method)(blobs)
        assert warned[0].filename == __file__  # a line of the user
        np.testing.assert_array_equal(result, expected[method])
    with pytest.warns(RuntimeWarning, match=r"set_params\(device=None\)"):
        loaded.score(blocks.source(lambda: [blobs], chunk_size=70))
    if name.endswith("PCA"):
        with pytest.warns(RuntimeWarning, match="X is computed with where it is"):
            loaded.inverse_transform(expected["transform"])
    with pytest.raises(ValueError, match=f"device='{device}' is not available"):
        loaded.fit(blobs)  # an explicit request of the user
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.set_params(device=None).score(blobs)


def test_an_unknown_device_stays_an_error(blobs):
    model = KMeans(2, random_state=0).fit(blobs).set_params(device="tpu")
    with pytest.raises(ValueError, match="device='tpu' is not available: it is neither"):
        model.predict(blobs)

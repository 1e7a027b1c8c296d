"""The top of the package: names that users type, and models of any class from their files."""

import subprocess
import sys

import numpy as np
import pytest

import unsup_fast


def test_names():
    names = dir(unsup_fast)
    assert {"KMeans", "GaussianMixture", "PCA", "load", "cluster", "FusedDDIM"} <= set(names)
    assert [name for name in names if name.startswith("_")] == ["__version__"]
    assert unsup_fast.KMeans is unsup_fast.cluster.KMeans
    assert unsup_fast.PCA is unsup_fast.decomposition.PCA
    with pytest.raises(AttributeError, match="no attribute 'DBSCAN'"):
        _ = unsup_fast.DBSCAN


def test_importing_brings_nothing_heavy():
    code = (
        "import sys, unsup_fast; dir(unsup_fast);"
        "print({'numpy', 'torch', 'sklearn', 'scipy', 'matplotlib'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


@pytest.mark.parametrize(
    "model",
    [
        unsup_fast.KMeans(2, random_state=0),
        unsup_fast.MiniBatchKMeans(2, random_state=0),
        unsup_fast.PCA(2),
        unsup_fast.IncrementalPCA(2),
        unsup_fast.GaussianMixture(2, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_load_estimators(tmp_path, model):
    X = np.random.default_rng(0).normal(size=(60, 3))
    method = "predict" if hasattr(model, "predict") else "transform"
    expected = getattr(model.fit(X), method)(X)
    model.save(tmp_path / "model.safetensors")
    for path in (tmp_path, str(tmp_path / "model.safetensors")):
        loaded = unsup_fast.load(path)
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(getattr(loaded, method)(X), expected)


def test_load_diffusion_models(tmp_path):
    torch = pytest.importorskip("torch")
    from unsup_fast.models import diffusion

    config = diffusion.Config(shape=(1, 8, 8), network="dit", size="tiny", patch=4)
    model = diffusion.Diffusion(diffusion.DiT(1, size="tiny", patch=4), config)
    model.save(tmp_path)
    loaded = unsup_fast.load(tmp_path)
    assert loaded.config == config
    for name, value in model.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_files_that_hold_no_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        unsup_fast.load(tmp_path / "nothing.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"x\.safetensors.*no complete \.safetensors file"):
        unsup_fast.load(tmp_path / "x.safetensors")

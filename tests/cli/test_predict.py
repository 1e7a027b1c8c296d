"""`unsup-fast predict`: labels of new rows by a saved model."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.decomposition import PCA
from unsup_fast.mixture import GaussianMixture
from unsup_fast.storage import tensors


@pytest.fixture
def model(cli, data):
    assert cli("kmeans", data, "-k", 4, "-o", "run").status == 0
    return "run"


@pytest.mark.parametrize("path", ["run", "run/model.safetensors"])
def test_labels_of_the_fit_come_back(cli, model, data, tmp_path, path):
    ran = cli("predict", path, data, "-o", "new.npy")
    assert ran.status == 0, ran.err
    assert "300 labels of data.npy written to new.npy" in ran.out
    labels = np.load(tmp_path / "new.npy")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.load(tmp_path / "run/labels.npy"))


@pytest.mark.parametrize("kind", ["npy", "parquet", "csv"])
def test_distances(cli, model, data, blobs, tmp_path, kind):
    ran = cli("predict", model, data, "-o", f"new.{kind}", "--distances")
    assert ran.status == 0, ran.err
    if kind == "npy":
        labels, distances = np.load(tmp_path / "new.npy"), np.load(tmp_path / "new.distances.npy")
    elif kind == "csv":
        assert (tmp_path / "new.csv").read_text().startswith("label,distance\n")
        labels, distances = np.loadtxt(tmp_path / "new.csv", delimiter=",", skiprows=1).T
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(tmp_path / "new.parquet")
        labels, distances = table["label"].to_numpy(), table["distance"].to_numpy()
    fitted = KMeans.load(tmp_path / "run/model.safetensors")
    np.testing.assert_array_equal(labels, fitted.predict(blobs[0]))
    np.testing.assert_allclose(distances, fitted.transform(blobs[0]).min(axis=1), rtol=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_mini_batch_models(cli, data, blobs, tmp_path, metric):
    model = MiniBatchKMeans(4, random_state=0, metric=metric).partial_fit(blobs[0])
    model.save(tmp_path / "mini.safetensors")
    ran = cli("predict", "mini.safetensors", data, "-o", "new.npy", "--distances", "--threads", 1)
    assert ran.status == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy"), model.predict(blobs[0]))
    distances = np.load(tmp_path / "new.distances.npy")
    np.testing.assert_allclose(
        distances, model.transform(blobs[0]).min(axis=1), rtol=1e-4, atol=1e-6
    )


def test_csv_without_distances(cli, model, data, tmp_path):
    assert cli("predict", model, data, "-o", "new.csv").status == 0
    lines = (tmp_path / "new.csv").read_text().splitlines()
    assert lines[0] == "label"
    assert lines[1:] == [str(label) for label in np.load(tmp_path / "run/labels.npy")]


def test_columns_are_found_by_name(cli, tmp_path):
    random = np.random.default_rng(0)
    a, b = 10.0 * random.integers(2, size=50), random.random(50)
    rows = "".join(f"{x},{y},text\n" for x, y in zip(a, b, strict=True))
    (tmp_path / "d.csv").write_text("a,b,t\n" + rows)
    swapped = "".join(f"{y},7,{x}\n" for x, y in zip(a, b, strict=True))
    (tmp_path / "swapped.csv").write_text("b,other,a\n" + swapped)
    assert cli("kmeans", "d.csv", "-k", 2, "-o", "run").status == 0
    assert cli("predict", "run", "swapped.csv", "-o", "new.npy").status == 0
    np.testing.assert_array_equal(
        np.load(tmp_path / "new.npy"), np.load(tmp_path / "run/labels.npy")
    )
    (tmp_path / "lacking.csv").write_text("a,c\n1,2\n")
    ran = cli("predict", "run", "lacking.csv", "-o", "other.npy")
    assert ran.status == 2
    assert "has no column 'b'" in ran.err


def test_nothing_is_overwritten_unasked(cli, model, data, tmp_path):
    (tmp_path / "new.npy").write_text("precious")
    ran = cli("predict", model, data, "-o", "new.npy")
    assert ran.status == 2
    assert "new.npy: exists already" in ran.err
    assert (tmp_path / "new.npy").read_text() == "precious"
    assert cli("predict", model, data, "-o", "new.npy", "--overwrite").status == 0


@pytest.fixture
def models(blobs, tmp_path):
    """Save a model of each class, and files that are none."""
    PCA(2).fit(blobs[0]).save(tmp_path / "pca.safetensors")
    GaussianMixture(2, random_state=0).fit(blobs[0]).save(tmp_path / "gmm.safetensors")
    KMeans(2, random_state=0).fit(blobs[0]).save(tmp_path / "kmeans.safetensors")
    whole = (tmp_path / "gmm.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-5])
    (tmp_path / "altered.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    save_file({"x": blobs[0]}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    arrays = {"x": blobs[0]}
    tensors.write(tmp_path / "classless.safetensors", arrays, {}, kind="estimator", what="a model")
    (tmp_path / "pickled.safetensors").write_bytes(pickle.dumps(Trap()))


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


KINDS = {
    "pca": ("predict", "pca", [], "holds a PCA, and it has no labels to give; use unsup-fast tr"),
    "gmm": ("transform", "gmm", [], "no coordinates to give; use unsup-fast predict --proba"),
    "proba": ("predict", "kmeans", ["--proba"], "a KMeans has no probabilities; pass --distances"),
    "distances": ("predict", "gmm", ["--distances"], "has no centroids; pass --proba"),
    "both": ("predict", "gmm", ["--distances", "--proba"], "exclude each other"),
    "cut": ("predict", "cut", [], "it is no complete .safetensors file"),
    "cut too": ("transform", "cut", [], "it is no complete .safetensors file"),
    "altered": ("predict", "altered", [], "its checksum does not match its content"),
    "other": ("predict", "other", [], "not one that unsup_fast saved"),
    "classless": ("predict", "classless", [], "holds a None; one of KMeans, MiniBatchKMeans, PCA"),
    "pickled": ("predict", "pickled", [], "it is no complete .safetensors file"),
    "gone": ("transform", "gone", [], "no such model file"),
    "columns": ("transform", "pca", ["--columns", "a"], "columns are for .csv"),
}


@pytest.mark.parametrize("name", KINDS)
def test_bad_models(cli, models, data, tmp_path, name):
    command, model, words, said = KINDS[name]
    ran = cli(command, f"{model}.safetensors", data, "-o", "n.npy", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not list(tmp_path.glob("n.*"))


@pytest.mark.parametrize("command", ["predict", "transform"])
def test_other_columns(cli, models, blobs, tmp_path, command):
    np.save(tmp_path / "narrow.npy", blobs[0][:, :5])
    model = {"predict": "gmm", "transform": "pca"}[command]
    ran = cli(command, f"{model}.safetensors", "narrow.npy", "-o", "n.npy")
    assert ran.status == 2
    assert "has 5 columns, the model was fitted on 6" in ran.err


BAD = {
    "columns": (["run", "narrow.npy", "-o", "n.npy"], "has 5 columns, the model was fitted on 6"),
    "no model": (["gone", "data.npy", "-o", "n.npy"], "gone: no such model file"),
    "not a model": (["data.npy", "data.npy", "-o", "n.npy"], "cannot load 'data.npy'"),
    "kind": (["run", "data.npy", "-o", "n.txt"], "n.txt: is not a .npy, .parquet or .csv file"),
    "folder": (["run", "data.npy", "-o", "no/n.npy"], "no: no such directory"),
    "nan": (["run", "nan.npy", "-o", "n.npy"], "nan.npy: row 2, column 1 is nan"),
    "device": (["run", "data.npy", "-o", "pipe.npy"], "is not a regular file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, model, blobs, tmp_path, name):
    import os

    np.save(tmp_path / "narrow.npy", blobs[0][:, :5])
    X = blobs[0].copy()
    X[2, 1] = np.nan
    np.save(tmp_path / "nan.npy", X)
    os.mkfifo(tmp_path / "pipe.npy")
    words, said = BAD[name]
    ran = cli("predict", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "n.npy").exists()


def test_a_model_that_was_fitted_on_a_gpu(cli, tmp_path, data, blobs):
    for name, model in (
        ("gmm", GaussianMixture(2, random_state=0)),
        ("kmeans", KMeans(2, random_state=0)),
    ):
        expected = model.fit(blobs[0]).predict(blobs[0])
        model.set_params(device="cuda").save(tmp_path / f"{name}.safetensors")
        ran = cli("predict", f"{name}.safetensors", data, "-o", f"{name}.npy")
        assert (ran.status, ran.err) == (0, "")
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)

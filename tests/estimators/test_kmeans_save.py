"""Model files: nothing lost, nothing half written, nothing wrong read."""

import errno
import json
import os
import pickle
import stat

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.validation import check_is_fitted

import unsup_fast
from unsup_fast.cluster import KMeans
from unsup_fast.storage import atomic, tensors

safetensors_numpy = pytest.importorskip("safetensors.numpy")

FITTED = (
    "cluster_centers_",
    "cluster_sizes_",
    "inertia_",
    "inertia_history_",
    "n_changed_history_",
    "n_features_in_",
    "n_iter_",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def model(blobs):
    return KMeans(3, random_state=0, max_iter=4).fit(blobs[:, :2].astype(np.float32))


def rewrite(path, change):
    """Apply `change` to the arrays and the note of a file, with a correct checksum."""
    arrays, note = tensors.read(path, kind="estimator")
    change(arrays, note)
    tensors.write(path, arrays, note, kind="estimator", what="the model")


def same(a, b):
    assert a.get_params().keys() == b.get_params().keys()
    for name in FITTED:
        left, right = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(left, right)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_round_trip(blobs, path, dtype, offset):
    X = (blobs + offset).astype(dtype)
    options = {"n_clusters": 5, "init": X[:5], "max_iter": 3, "tol": 0.0, "n_threads": 2}
    model = KMeans(**options).fit(X)
    model.save(path)
    loaded = KMeans.load(str(path))
    check_is_fitted(loaded)
    same(model, loaded)
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
    np.testing.assert_array_equal(loaded.predict(X), model.labels_)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.score(X) == model.score(X)
    assert loaded.get_feature_names_out().tolist() == [f"kmeans{k}" for k in range(5)]
    assert not hasattr(loaded, "feature_names_in_")
    np.testing.assert_array_equal(loaded.fit(X).labels_, model.labels_)


def test_feature_names(blobs, path):
    frame = pd.DataFrame(blobs, columns=["a", "b", "c", "ü"])
    KMeans(2, random_state=np.int64(3)).fit(frame).save(path)
    loaded = KMeans.load(path)
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "ü"]
    assert loaded.random_state == 3
    loaded.predict(frame)


@pytest.mark.parametrize("init", [np.eye(3, 4, dtype=">f8"), np.eye(4, 3).T, np.eye(3, 4).tolist()])
def test_any_array_as_a_parameter(blobs, path, init):
    KMeans(3, init=init).fit(blobs).save(path)
    np.testing.assert_array_equal(KMeans.load(path).init, np.asarray(init))


def test_saved_after_two_interrupts(model, path):
    del model.labels_, model.cluster_sizes_
    model.save(path)
    np.testing.assert_array_equal(KMeans.load(path).cluster_centers_, model.cluster_centers_)


@pytest.mark.parametrize(
    ("options", "name", "kept"),
    [
        ({"random_state": np.random.RandomState(0)}, "random_state", None),
        ({"init": lambda X, k, random_state: X[:k]}, "init", "k-means++"),
    ],
)
def test_parameters_that_no_file_can_hold(blobs, path, options, name, kept):
    model = KMeans(3, **options).fit(blobs)
    with pytest.warns(UserWarning, match=f"cannot hold {name}=") as caught:
        model.save(path)
    assert caught[0].filename == __file__
    assert getattr(KMeans.load(path), name) == kept


def test_every_truncation_is_refused(model, path):
    model.save(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cannot load .*model\.safetensors"):
            KMeans.load(path)


def test_flipped_bits_never_give_another_model(model, path):
    model.save(path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for i in range(len(content)):  # also the spaces that pad the header
        bit = 1 << int(rng.integers(8))
        content[i] ^= bit
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot load .*model\.safetensors"):
            KMeans.load(path)
        content[i] ^= bit


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no complete .safetensors file"),
        (b"\x00" * 100, "no complete .safetensors file"),
        (b"\xff" * 100, "no complete .safetensors file"),
        (pickle.dumps({"a": 1}), "no complete .safetensors file"),
        (safetensors_numpy.save({"a": np.ones(3)}), "not one that unsup_fast saved"),
        (
            safetensors_numpy.save({"a": np.ones(3)}, {"unsup_fast": "{"}),
            "not one that unsup_fast saved",
        ),
        (safetensors_numpy.save({}, {"unsup_fast": "[1]"}), "not one that unsup_fast saved"),
    ],
)
def test_foreign_files(path, content, match):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        KMeans.load(path)


def _set(part, key, value):
    return lambda tensors, head: head[part].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, h: h.update({"class": "PCA"}), "it holds a PCA, not a KMeans"),
        (lambda t, h: h.pop("state"), "lack 'state'"),
        (lambda t, h: h["state"].pop("n_iter_"), "its state has n_iter_=None"),
        (lambda t, h: t.pop("cluster_centers_"), "it holds the arrays"),
        (lambda t, h: t.update(more=np.ones(1)), "it holds the arrays"),
        (lambda t, h: t.update(_origin=np.ones(5, np.float32)), "_origin is float32"),
        (lambda t, h: t.update(_origin=np.ones(2, np.float64)), "_origin is float64"),
        (lambda t, h: t.update(cluster_sizes_=np.ones(3)), "cluster_sizes_ is float64"),
        (lambda t, h: t.update(cluster_centers_=np.ones((3, 2), int)), "cluster_centers_ is int"),
        (_set("parameters", "n_clusters", 9), "cluster_centers_ is float32"),
        (_set("parameters", "n_clusters", -1), "its parameters are not valid"),
        (_set("parameters", "magic", 1), "its parameters are not valid"),
        (_set("parameters", "n_threads", True), "its parameters are not valid: n_threads=True"),
        (_set("parameters", "max_iter", 10**400), "its parameter max_iter exceeds"),
        (_set("state", "n_iter_", 10**400), r"its state has n_iter_=10+\.\.\."),
        (lambda t, h: h.update({"class": "x" * 10**6}), r"it holds a 'x+\.\.\., not a KMeans"),
        (_set("state", "n_features_in_", "2"), "its state has n_features_in_='2'"),
        (_set("state", "n_iter_", 2), "inertia_history_ is float64"),
        (_set("state", "feature_names_in_", ["a"]), "it names 1 features, not 2"),
        (_set("state", "inertia_", None), "its state has inertia_=None"),
        (_set("state", "predict", 3), "its state has predict=3"),
        (lambda t, h: t["cluster_centers_"].__setitem__(0, np.nan), "values that are not finite"),
    ],
)
def test_files_that_contradict_themselves(model, path, change, match):
    model.save(path)
    rewrite(path, change)
    with pytest.raises(ValueError, match=match):
        KMeans.load(path)


def test_what_load_refuses_is_not_saved(model, path):
    model.max_iter = 10**400
    with pytest.raises(ValueError, match="cannot save the model: its parameter max_iter exceeds"):
        model.save(path)
    assert not path.exists()


def test_files_that_are_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        KMeans.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        KMeans.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no directory .*create it first"):
        model.save(tmp_path / "missing" / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="it is a directory; name a file"):
        model.save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is not a directory"):
        model.save(tmp_path / "file" / "m.safetensors")


def test_unwritable_directory(model, tmp_path):
    tmp_path.chmod(0o500)
    root = os.geteuid() == 0
    if root:  # root may write everywhere, so be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="is not writable"):
            model.save(tmp_path / "m.safetensors")
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("error", "match"),
    [
        (OSError(errno.ENOSPC, "No space left"), "the disk is full; free some space"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (KeyboardInterrupt(), None),
    ],
)
def test_a_failed_save_changes_nothing(model, blobs, path, monkeypatch, step, error, match):
    model.save(path)
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise error

    other = KMeans(2).fit(blobs)
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, step, fail)
        with pytest.raises(type(error), match=match):
            other.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link(model, tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    model.save(link)
    assert link.is_symlink()
    same(KMeans.load(target), model)


def test_permissions_follow_the_umask(model, path):
    before = os.umask(0o027)
    try:
        model.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_not_fitted(path):
    with pytest.raises(ValueError, match="not fitted yet"):
        KMeans().save(path)
    assert not path.exists()


def test_what_the_file_says(model, path):
    model.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    head = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["unsup_fast"])
    assert head["format"] == "unsup_fast"
    assert head["kind"] == "estimator"
    assert head["version"] == 1
    assert head["class"] == "KMeans"
    assert head["library_version"] == unsup_fast.__version__
    assert head["parameters"]["n_clusters"] == 3
    assert head["state"]["inertia_"] == model.inertia_

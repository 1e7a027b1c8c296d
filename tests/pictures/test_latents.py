"""Latents of pictures in an `.npz`."""

import numpy as np
import pytest

from unsup_fast import pictures
from unsup_fast.blocks import DataError

VALUES = np.random.default_rng(0).normal(size=(5, 4, 2, 3))


def test_values_and_labels(tmp_path):
    path, names = tmp_path / "z.npz", np.array(["b", "a", "b", "b", "a"])
    np.savez(path, latents=VALUES, labels=names)
    assert pictures.holds_latents(path)
    loaded = pictures.load_latents(path)
    assert loaded.values.dtype == np.float32
    np.testing.assert_array_equal(loaded.values, VALUES.astype(np.float32))
    assert loaded.classes == ("a", "b")
    assert loaded.labels.tolist() == [1, 0, 1, 1, 0]
    bare = pictures.load_latents(path, labels=False)
    assert bare.labels is None
    assert bare.classes == ()


def test_other_files_hold_none(tmp_path):
    np.savez(tmp_path / "flat.npz", latents=VALUES[:, :, 0, 0], x=VALUES)
    np.savez(tmp_path / "bytes.npz", latents=np.zeros((5, 3, 2, 2), np.uint8))
    np.savez(tmp_path / "pictures.npz", x=VALUES)
    np.save(tmp_path / "z.npy", VALUES)
    for name in ("flat.npz", "bytes.npz", "pictures.npz", "z.npy", "missing.npz"):
        assert not pictures.holds_latents(tmp_path / name)
    assert not pictures.holds_latents(tmp_path)


def test_vectors_are_named(tmp_path):
    np.savez(tmp_path / "flat.npz", latents=VALUES[:, :, 0, 0])
    with pytest.raises(DataError, match="--network kl"):
        pictures.holds_latents(tmp_path / "flat.npz")


@pytest.mark.parametrize("values", [np.full_like(VALUES, np.nan), VALUES[:0]])
def test_values_that_no_model_can_learn(tmp_path, values):
    np.savez(tmp_path / "z.npz", latents=values)
    with pytest.raises(DataError, match="holds no latents, or some that are NaN or infinite"):
        pictures.load_latents(tmp_path / "z.npz")

"""A loaded MiniBatchKMeans continues as if it had not been saved."""

import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted

from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.storage import estimators


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def state(model):
    arrays = {name: getattr(model, name) for name in ("cluster_centers_", "_means", "_counts")}
    return arrays | {name: getattr(model, name) for name in ("n_steps_", "_n_since_last_reassign")}


@pytest.mark.parametrize("random_state", [3, np.int64(3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_partial_fit_goes_on(blobs, path, dtype, random_state):
    parts = np.array_split(np.random.default_rng(0).permutation(blobs).astype(dtype), 5)
    model = MiniBatchKMeans(9, random_state=random_state, batch_size=60, reassignment_ratio=0.5)
    for rows in parts[:2]:
        model.partial_fit(rows)
    model.save(path)
    loaded = MiniBatchKMeans.load(path)
    check_is_fitted(loaded)
    assert not hasattr(loaded, "n_iter_")
    assert loaded.inertia_ == model.inertia_
    for rows in parts:
        model.partial_fit(rows)
        loaded.partial_fit(rows)  # with the same draws
        for name, value in state(model).items():
            np.testing.assert_array_equal(getattr(loaded, name), value)
    assert model._random_state.uniform() == loaded._random_state.uniform()


def test_after_fit(blobs, path):
    model = MiniBatchKMeans(4, random_state=0, compute_labels=False).fit(blobs)
    model.save(path)
    loaded = MiniBatchKMeans.load(path)
    assert loaded.get_params() == model.get_params()
    assert loaded.n_iter_ == model.n_iter_
    np.testing.assert_array_equal(loaded.predict(blobs), model.predict(blobs))
    np.testing.assert_array_equal(
        loaded.partial_fit(blobs).cluster_centers_, model.partial_fit(blobs).cluster_centers_
    )
    with pytest.raises(ValueError, match="it holds a MiniBatchKMeans, not a KMeans"):
        KMeans.load(path)


def test_a_generator_of_the_users_is_not_kept(blobs, path):
    model = MiniBatchKMeans(4, random_state=np.random.RandomState(0)).partial_fit(blobs)
    with pytest.warns(UserWarning, match="cannot hold random_state="):
        model.save(path)
    loaded = MiniBatchKMeans.load(path)
    assert not hasattr(loaded, "_random_state")
    assert loaded.partial_fit(blobs).n_steps_ == 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda arrays, state: state.pop("n_steps_"), "its state has n_steps_=None"),
        (lambda arrays, state: state.update(_batch_size="9"), "its state has _batch_size='9'"),
        (lambda arrays, state: arrays.pop("_counts"), "it holds the arrays"),
        (lambda arrays, state: arrays.update(_means=np.ones((4, 3))), "_means is float64"),
        (
            lambda arrays, state: state["_random_state"].pop("pos"),
            "its random generator is not valid",
        ),
        (
            lambda arrays, state: state["_random_state"].update(key=[-1] * 624),
            "its random generator is not valid",
        ),
        (
            lambda arrays, state: state["_random_state"].update(key=[1, 2]),
            "its random generator is not valid",
        ),
        (
            lambda arrays, state: state["_random_state"].update(pos=700),
            "its random generator is not valid",
        ),
    ],
)
def test_files_that_contradict_themselves(blobs, path, monkeypatch, change, match):
    write = estimators.write

    def spoilt(path, estimator, arrays, state):
        change(arrays, state)
        write(path, estimator, arrays, state)

    monkeypatch.setattr(estimators, "write", spoilt)
    MiniBatchKMeans(4, random_state=0).partial_fit(blobs).save(path)
    with pytest.raises(ValueError, match=match):
        MiniBatchKMeans.load(path)

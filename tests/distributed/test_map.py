"""Labels added to batches of every kind, against `predict`."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.distributed import Assign
from unsup_fast.mixture import GaussianMixture

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def rows():
    return (np.random.default_rng(5).normal(size=(400, 6)) * 3 + 10).astype(np.float32)


@pytest.fixture(
    scope="module",
    params=[{}, {"metric": "cosine"}, {"standardize": True}],
    ids=str,
)
def model(request, rows):
    return KMeans(9, random_state=0, **request.param).fit(rows)


def lists(rows):
    flat = pa.array(rows.ravel())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def batches(rows):
    """Return the same vectors in batches of every kind, and how to call `Assign` on them."""
    ids = np.arange(len(rows))
    names = [f"x{j}" for j in range(rows.shape[1])]
    ragged = np.empty(len(rows), object)
    ragged[:] = list(rows)
    columns = {name: rows[:, j].copy() for j, name in enumerate(names)}
    table = pa.table({"id": ids, "vector": lists(rows)})
    return {
        "dict": ({"id": ids, "vector": rows}, "vector"),
        "dict of objects": ({"id": ids, "vector": ragged}, "vector"),
        "dict of columns": ({"id": ids, **columns}, names),
        "table": (table, "vector"),
        "table of tensors": (
            pa.table({"id": ids, "v": pa.FixedShapeTensorArray.from_numpy_ndarray(rows)})
            if len(rows)
            else table,
            "v",
        ),
        "record batch": (
            table.combine_chunks().to_batches()[0] if len(rows) else table,
            ["vector"],
        ),
        "table of columns": (pa.table({"id": ids, **columns}), names),
        "frame": (pd.DataFrame({"id": ids, "vector": list(rows)}), "vector"),
        "frame of columns": (pd.DataFrame({"id": ids, **columns}), names),
    }


def column(batch, name):
    values = batch[name]
    if isinstance(values, np.ndarray):
        return values
    values = values.to_pylist() if hasattr(values, "to_pylist") else values.tolist()
    return np.array([np.asarray(value) for value in values])


KINDS = list(batches(np.zeros((2, 2), np.float32)))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_predict(model, rows, kind):
    batch, name = batches(rows)[kind]
    result = Assign(model, column=name, output="cluster")(batch)
    assert type(result) is type(batch)
    np.testing.assert_array_equal(column(result, "cluster"), model.predict(rows))
    np.testing.assert_array_equal(column(result, "id"), np.arange(400))
    names = batch.keys() if isinstance(batch, dict) else getattr(batch, "column_names", batch)
    assert "cluster" not in names


@pytest.mark.parametrize("kind", KINDS)
def test_several_labels_are_lists(model, rows, kind):
    batch, name = batches(rows)[kind]
    result = Assign(model, column=name, top=3)(batch)
    labels, distances = model.nearest(rows, 3)
    np.testing.assert_array_equal(column(result, "label"), labels)
    np.testing.assert_allclose(column(result, "label_distance"), distances, rtol=1e-5)


def test_arrays_and_iterators_of_frames(model, rows):
    np.testing.assert_array_equal(Assign(model)(rows), model.predict(rows))
    np.testing.assert_array_equal(Assign(model, top=2)(rows), model.nearest(rows, 2)[0])
    table = Assign(model)(pa.table({"vector": lists(rows)}))
    np.testing.assert_array_equal(table["label"], model.predict(rows))
    frames = (pd.DataFrame({"v": list(part)}) for part in (rows[:150], rows[150:]))
    result = Assign(model, column="v")(frames)
    together = np.concatenate([frame["label"] for frame in result])
    np.testing.assert_array_equal(together, model.predict(rows))


@pytest.mark.parametrize("top", [1, 2])
def test_batches_without_rows(model, rows, top):
    assign = Assign(model, column="vector", top=top)
    assert assign(np.empty((0, 0))).shape == ((0,) if top == 1 else (0, 2))
    for kind in ("dict", "table", "frame"):
        batch = batches(rows[:0])[kind][0]
        assert len(column(assign(batch), "label")) == 0


def test_wider_rows_and_mini_batches(rows):
    model = MiniBatchKMeans(5, random_state=0).fit(rows)
    wide = rows.astype(np.float64) + 1e-9
    np.testing.assert_array_equal(Assign(model)(wide), model.predict(wide))


def test_it_travels_without_the_model_and_without_engines(rows):
    model = KMeans(9, random_state=0).fit(rows)
    text = pickle.dumps(Assign(model))
    assert len(text) < model.cluster_centers_.nbytes + 1500
    code = (
        "import pickle, sys, numpy as np; import unsup_fast.distributed; "
        "assert not {'pandas', 'sklearn'} & sys.modules.keys(); "
        "assign = pickle.loads(sys.stdin.buffer.read()); "
        "print(assign(np.ones((1, 6), np.float32)).tolist()); "
        "print([name for name in ('dask', 'ray', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=True)
    label = model.predict(np.ones((1, 6), np.float32)).tolist()
    assert run.stdout.decode().splitlines() == [str(label), "[]"]


@pytest.mark.parametrize(
    ("options", "batch", "error", "message"),
    [
        ({}, [1, 2], TypeError, "a batch is a dict of arrays"),
        ({}, np.ones((2, 3), np.float32), ValueError, "length 3, and the 9 centroids 6"),
        ({"column": "w"}, {"v": np.ones((2, 6))}, ValueError, "no column 'w'; it has"),
        ({}, {"v": np.ones((2, 6)), "id": np.ones(2)}, ValueError, "pass column="),
        ({"output": "v"}, {"v": np.ones((2, 6))}, ValueError, "column 'v' already"),
        ({}, np.full((1, 6), np.nan, np.float32), ValueError, "NaN"),
    ],
)
def test_wrong_batches(rows, options, batch, error, message):
    model = KMeans(9, random_state=0).fit(rows)
    with pytest.raises(error, match=message):
        Assign(model, **options)(batch)


def test_wrong_models(rows):
    with pytest.raises(TypeError, match="KMeans or MiniBatchKMeans is needed, got Gaussian"):
        Assign(GaussianMixture(2))
    with pytest.raises(ValueError, match="not fitted"):
        Assign(KMeans(2))
    with pytest.raises(ValueError, match="top=3 is not from 1 to 2"):
        Assign(KMeans(2, random_state=0).fit(rows), top=3)


def test_dask_calls_it_on_blocks(rows):
    array = pytest.importorskip("dask.array")
    model = KMeans(9, random_state=0).fit(rows)
    lazy = array.from_array(rows, chunks=(150, -1))
    labels = lazy.map_blocks(Assign(model), dtype=np.int32, drop_axis=1)
    assert labels.chunks == ((150, 150, 100),)
    np.testing.assert_array_equal(labels.compute(scheduler="threads"), model.predict(rows))

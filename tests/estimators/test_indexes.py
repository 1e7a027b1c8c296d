"""Centroids as the coarse quantizer of faiss's and Lance's indexes."""

import numpy as np
import pytest

from unsup_fast.cluster import KMeans, MiniBatchKMeans, to_faiss, to_lance


def separated(dtype=np.float32):
    """Return 400 rows around 12 points, none of them nearly between two."""
    random = np.random.default_rng(0)
    points = random.normal(size=(12, 9)) * 5
    return (points[random.integers(12, size=400)] + 0.3 * random.normal(size=(400, 9))).astype(
        dtype
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lists_of_faiss_are_the_clusters(metric, dtype):
    faiss = pytest.importorskip("faiss")
    X = separated(dtype)
    model = KMeans(12, metric=metric, random_state=0).fit(X)
    index = to_faiss(model)
    assert isinstance(index, faiss.IndexIVFFlat)
    assert index.is_trained
    assert (index.nlist, index.d, index.ntotal) == (12, 9, 0)
    kinds = {"euclidean": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}
    assert index.metric_type == kinds[metric]
    rows = X.astype(np.float32)
    _, nearest = index.quantizer.search(rows, 1)
    np.testing.assert_array_equal(nearest[:, 0], model.predict(X))
    index.add(rows)
    sizes = [index.invlists.list_size(k) for k in range(12)]
    np.testing.assert_array_equal(sizes, model.cluster_sizes_)
    index.nprobe = 12
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if metric == "euclidean":
        _, first = index.search(rows[:50], 1)
        np.testing.assert_array_equal(first[:, 0], np.arange(50))
    else:
        index.reset()
        index.add(unit)
        similarity, first = index.search(unit[:50], 1)
        np.testing.assert_array_equal(first[:, 0], np.arange(50))
        np.testing.assert_allclose(similarity[:, 0], 1, rtol=1e-6)


def test_an_index_is_written_and_read(tmp_path):
    faiss = pytest.importorskip("faiss")
    X = separated()
    index = to_faiss(MiniBatchKMeans(5, random_state=0).fit(X))
    index.add(X)
    faiss.write_index(index, str(tmp_path / "rows.index"))
    assert faiss.read_index(str(tmp_path / "rows.index")).ntotal == 400


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_of_lance(dtype):
    pa = pytest.importorskip("pyarrow")
    model = KMeans(7, random_state=0).fit(separated(dtype))
    lists = to_lance(model)
    assert lists.type == pa.list_(pa.float32(), 9)
    assert len(lists) == 7
    assert lists.null_count == 0
    values = lists.flatten().to_numpy().reshape(7, 9)
    np.testing.assert_array_equal(values, model.cluster_centers_.astype(np.float32))


def by_hand(centers, metric="euclidean"):
    model = KMeans(len(centers), metric=metric)
    model.cluster_centers_ = np.array(centers)
    return model


REFUSED = {
    "standardized": (
        lambda: KMeans(3, random_state=0, standardize=True).fit(separated()),
        "standardize=True, and an index knows no scale of columns; fit KMeans without it on X /",
    ),
    "length": (lambda: by_hand([[2.0, 0.0]], "cosine"), "not at unit length; divide each by its"),
    "range": (lambda: by_hand([[1e200, 0.0]]), "beyond the range of float32"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("function", [to_faiss, to_lance])
def test_refusals(name, function):
    pytest.importorskip("faiss")
    pytest.importorskip("pyarrow")
    model, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        function(model())


def test_a_model_without_a_fit():
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="not fitted"):
        to_lance(KMeans(3))

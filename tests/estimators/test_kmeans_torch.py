"""Torch tensors in and out."""

import numpy as np
import pytest

from unsup_fast.cluster import KMeans, k_means, kmeans_plusplus

torch = pytest.importorskip("torch")


def shares(tensor, array):
    return np.shares_memory(tensor.numpy(), array)


def test_no_copy_of_the_rows(blobs):
    X = torch.from_numpy(blobs.astype(np.float32))
    seen = []

    def init(rows, n_clusters, random_state):
        seen.append(rows)
        return rows[:n_clusters]

    before = X.clone()
    KMeans(3, init=init, n_init=1).fit(X)
    assert shares(X, seen[0])
    assert torch.equal(X, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_in_tensor_out(blobs, dtype):
    X = torch.from_numpy(blobs).to(dtype)
    model = KMeans(6, random_state=0).fit(X)
    reference = KMeans(6, random_state=0).fit(X.numpy())
    assert isinstance(model.cluster_centers_, torch.Tensor)
    assert model.cluster_centers_.dtype == dtype
    assert model.labels_.dtype == torch.int32
    assert model.cluster_sizes_.dtype == torch.int64
    np.testing.assert_array_equal(model.labels_.numpy(), reference.labels_)
    np.testing.assert_array_equal(model.cluster_centers_.numpy(), reference.cluster_centers_)
    labels, distances = model.predict(X), model.transform(X)
    assert labels.dtype == torch.int32
    assert torch.equal(labels, model.labels_)
    assert distances.dtype == dtype
    assert distances.shape == (300, 6)
    assert torch.equal(model.fit_predict(X), labels)
    assert torch.equal(model.fit_transform(X), distances)
    assert model.score(X) == reference.score(X.numpy())


def test_each_call_returns_the_kind_it_is_given(blobs):
    X = torch.from_numpy(blobs)
    of_tensor, of_array = KMeans(4, random_state=0).fit(X), KMeans(4, random_state=0).fit(blobs)
    assert isinstance(of_tensor.predict(blobs), np.ndarray)
    assert isinstance(of_tensor.transform(blobs), np.ndarray)
    assert isinstance(of_array.predict(X), torch.Tensor)
    assert isinstance(of_array.transform(X), torch.Tensor)
    np.testing.assert_array_equal(of_tensor.predict(blobs), of_array.predict(X).numpy())


def test_functions(blobs):
    X = torch.from_numpy(blobs)
    centers, indices = kmeans_plusplus(X, 5, random_state=0)
    assert torch.equal(centers, X[indices])
    centers, labels, _ = k_means(X, 5, random_state=0)
    assert isinstance(centers, torch.Tensor)
    assert isinstance(labels, torch.Tensor)


def test_init_and_weights_may_be_tensors(blobs):
    weight = torch.arange(300.0)
    a = KMeans(4, init=torch.from_numpy(blobs[:4])).fit(blobs, sample_weight=weight)
    b = KMeans(4, init=blobs[:4]).fit(blobs, sample_weight=weight.numpy())
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    assert isinstance(a.labels_, np.ndarray)
    assert a.score(torch.from_numpy(blobs), sample_weight=weight) == pytest.approx(-a.inertia_)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bfloat16, torch.float16, torch.uint8])
def test_other_types(blobs, dtype):
    X = torch.from_numpy(blobs.round() + 20).to(dtype)
    model = KMeans(3, random_state=0).fit(X)
    np.testing.assert_array_equal(model.predict(X).numpy(), model.labels_.numpy())


def test_views_and_gradients(blobs):
    X = torch.from_numpy(blobs)
    reference = KMeans(3, random_state=0).fit(blobs).labels_
    for view in (X.t().contiguous().t(), X.clone().requires_grad_()):
        np.testing.assert_array_equal(KMeans(3, random_state=0).fit(view).labels_, reference)


def test_tensors_elsewhere_are_refused(blobs):
    with pytest.raises(ValueError, match=r"X is a tensor on device 'meta'.*pass X\.cpu\(\)"):
        KMeans(3).fit(torch.empty(10, 3, device="meta"))
    with pytest.raises(ValueError, match="pass a dense tensor"):
        KMeans(3).fit(torch.from_numpy(blobs).to_sparse())
    with pytest.raises(ValueError, match="Input X contains NaN"):
        KMeans(3).fit(torch.full((10, 3), float("nan")))


def test_save_and_load(blobs, tmp_path):
    model = KMeans(4, random_state=0).fit(torch.from_numpy(blobs))
    model.save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(blobs), model.labels_.numpy())

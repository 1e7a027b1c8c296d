"""The nearest centroids of each row by a fitted model, against `transform` and `predict`."""

import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, MiniBatchKMeans


@pytest.fixture(scope="module")
def rows():
    """Return 900 x 6 float32 rows of unequal columns, away from the origin."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(900, 6)) * [1, 2, 3, 4, 5, 20] + 7
    return X.astype(np.float32)


def fit(X, **options):
    return KMeans(20, random_state=0, max_iter=5, **options).fit(X)


def check(model, X, top, rtol=1e-5):
    """Compare with the sorted distances of `transform`."""
    labels, distances = model.nearest(X, top)
    assert labels.shape == distances.shape == (900, top)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels[:, 0], model.predict(X))
    every = model.transform(X)  # [N, K]
    own = np.take_along_axis(every, labels, axis=1)
    np.testing.assert_allclose(distances, own, rtol=rtol, atol=1e-7)
    np.testing.assert_allclose(own, np.sort(every, axis=1)[:, :top], rtol=rtol)
    return labels, distances


@pytest.mark.parametrize(
    "options",
    [{}, {"metric": "cosine"}, {"standardize": True}, {"metric": "cosine", "standardize": True}],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_transform(rows, options, dtype):
    check(fit(rows.astype(dtype), **options), rows.astype(dtype), 5, rtol=2e-4)


def test_sources_are_as_arrays(rows):
    model = fit(rows, standardize=True)
    expected = model.nearest(rows, 3)
    stream = blocks.source(lambda: [rows], chunk_size=201)
    for one, other in zip(model.nearest(stream, 3), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sparse_rows():
    X = sp.random(900, 30, 0.2, "csr", dtype=np.float32, random_state=0)
    model = KMeans(12, random_state=0).fit(X)
    labels, distances = model.nearest(X, 4)
    every = model.transform(X)
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :4], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(labels[:, 0], model.predict(X))


def test_tensors_of_the_cpu(rows):
    torch = pytest.importorskip("torch")
    model = fit(rows)
    labels, distances = model.nearest(torch.from_numpy(rows), 2)
    expected = model.nearest(rows, 2)
    assert isinstance(labels, torch.Tensor)
    np.testing.assert_array_equal(labels.numpy(), expected[0])
    np.testing.assert_array_equal(distances.numpy(), expected[1])


def test_mini_batches_and_centroids_set_by_hand(rows):
    check(MiniBatchKMeans(20, random_state=0).fit(rows), rows, 4, rtol=2e-4)
    model = KMeans(3)
    model.cluster_centers_ = rows[:3]
    check(model, rows, 3, rtol=2e-4)


@pytest.mark.parametrize("top", [0, 17, 4])
def test_counts_out_of_range(rows, top):
    model = KMeans(3, random_state=0).fit(rows)
    with pytest.raises(ValueError, match=f"top={top} is not from 1 to 3"):
        model.nearest(rows, top)


def test_rows_on_a_device_are_refused_by_name(rows):
    torch = pytest.importorskip("torch")
    from unsup_fast._rows.device_rows import DeviceRows

    on_device = DeviceRows(X=torch.from_numpy(rows), n_threads=1)
    with pytest.raises(ValueError, match=r"X is on .*; pass X in CPU memory .*device='cpu'"):
        on_device.nearest(torch.from_numpy(rows[:3]), 2)

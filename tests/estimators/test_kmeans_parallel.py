import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import pairwise_distances

from unsup_fast.cluster import KMeans, MiniBatchKMeans, k_means, kmeans_parallel
from unsup_fast.kernels.kmeans_plusplus import ref


def make(n, d, dtype=np.float64, offset=0.0):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(30, d))[rng.integers(0, 30, n)] + 0.2 * rng.normal(size=(n, d))
    return (X + offset).astype(dtype), rng.random(n).astype(dtype)


def brute_force(X, n_clusters, seed, weight=None, factor=2.0, n_rounds=5):
    """Run algorithm 2 of Bahmani et al. 2012 in float64, from the same draws."""
    state = np.random.RandomState(seed)
    x = X.astype(np.float64)
    w = np.ones(len(x)) if weight is None else weight.astype(np.float64)
    drawn = [state.choice(len(x), p=w / w.sum())]
    key = int(state.randint(1 << 32, dtype=np.uint64))
    for number in range(1, n_rounds + 1):
        uniform = np.random.Generator(np.random.Philox(key=key << 32 | number)).random(len(x))
        closest = pairwise_distances(x, x[drawn], metric="sqeuclidean").min(axis=1)
        share = factor * n_clusters * w * closest / (w @ closest)
        drawn += np.flatnonzero(uniform < share).tolist()
    nearest = pairwise_distances(x, x[drawn]).argmin(axis=1)
    mass = np.bincount(nearest, weights=w, minlength=len(drawn)).astype(X.dtype)
    first = state.choice(len(drawn), p=mass / mass.sum())
    draws = np.zeros((n_clusters, 2 + int(np.log(n_clusters))))
    draws[1:] = state.uniform(size=draws[1:].shape)
    return np.array(drawn)[ref.kmeans_plusplus(x[drawn], mass, draws, first)[0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(97, 1, 5), (500, 7, 13), (1001, 33, 30)], ids=str)
def test_same_draws_choose_the_rows_of_brute_force(shape, weighted, dtype):
    n, d, k = shape
    X, weight = make(n, d, dtype)
    weight = weight if weighted else None
    centers, indices = kmeans_parallel(X, k, sample_weight=weight, random_state=3)
    np.testing.assert_array_equal(indices, brute_force(X, k, 3, weight))
    np.testing.assert_array_equal(centers, X[indices])
    assert centers.dtype == X.dtype
    fewer = kmeans_parallel(X, k, oversampling_factor=1.5, n_rounds=2, random_state=3)[1]
    np.testing.assert_array_equal(fewer, brute_force(X, k, 3, factor=1.5, n_rounds=2))


def test_sparse_rows():
    X, weight = make(400, 12)
    X[X < 0.3] = 0
    dense = kmeans_parallel(X, 20, sample_weight=weight, random_state=1)[1]
    sparse = kmeans_parallel(sp.csr_matrix(X), 20, sample_weight=weight, random_state=1)[1]
    np.testing.assert_array_equal(dense, sparse)


def test_far_from_the_origin():
    X, _ = make(600, 9, np.float32, offset=10_000.0)
    np.testing.assert_array_equal(kmeans_parallel(X, 20, random_state=1)[1], brute_force(X, 20, 1))


def test_fewer_distinct_rows_than_clusters():
    X = np.repeat(np.eye(3, 5), 10, axis=0)
    weight = np.ones(30)
    weight[:9] = 0
    _, indices = kmeans_parallel(X, 21, sample_weight=weight, random_state=0)
    assert len(set(indices.tolist())) == 21
    assert (weight[indices] > 0).all()
    assert len(np.unique(X[indices], axis=0)) == 3
    assert sorted(kmeans_parallel(X, 30, random_state=0)[1]) == list(range(30))


def test_starts_kmeans():
    X, weight = make(900, 6)
    model = KMeans(15, init="k-means||", random_state=4, max_iter=1)
    calls = []
    model.fit(X, sample_weight=weight, seeding_callback=lambda *state: calls.append(state))
    start = kmeans_parallel(X, 15, sample_weight=weight, random_state=4)[0]
    expected = KMeans(15, init=start, max_iter=1).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    assert calls[-1] == (30, 30)
    assert calls == sorted(calls)
    assert model._n_init == 1
    result = k_means(X, 15, init="k-means||", random_state=4)
    assert result[2] < 1.3 * k_means(X, 15, random_state=4)[2]


@pytest.mark.parametrize("cls", [KMeans, MiniBatchKMeans])
def test_seeding_callback_of_kmeans_plusplus(cls):
    X, _ = make(300, 4)
    calls = []
    cls(7, random_state=0).fit(X, seeding_callback=lambda *state: calls.append(state))
    assert calls[-1] == (7, 7)


def test_starts_mini_batches():
    X, _ = make(900, 6)
    model = MiniBatchKMeans(15, init="k-means||", random_state=4).fit(X)
    assert model.inertia_ < 1.3 * KMeans(15, random_state=4).fit(X).inertia_


def test_wrong_arguments():
    X, _ = make(10, 2)
    with pytest.raises(ValueError, match="n_samples=10 should be >= n_clusters=11"):
        kmeans_parallel(X, 11)
    with pytest.raises(ValueError, match="oversampling_factor"):
        kmeans_parallel(X, 2, oversampling_factor=0.0)
    with pytest.raises(ValueError, match="n_rounds"):
        kmeans_parallel(X, 2, n_rounds=0)
    with pytest.raises(ValueError, match="NaN"):
        kmeans_parallel(np.full((3, 2), np.nan), 2)

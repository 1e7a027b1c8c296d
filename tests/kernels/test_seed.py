import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.cluster import kmeans_plusplus

from unsup_fast.kernels import _native
from unsup_fast.kernels.seed import seed

SHAPES = [(1, 1, 1), (9, 2, 9), (97, 17, 12), (3100, 3, 30), (400, 130, 40)]


def make(n, d, dtype, offset=0.0):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(n, d)) + offset).astype(dtype), rng.random(n).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
def test_same_draws_choose_the_rows_of_the_reference(shape, dtype, sparse):
    n, d, k = shape
    X, weight = make(n, d, dtype)
    if sparse:
        X[X < 0.5] = 0
        X = sp.csr_matrix(X)
    for w in (None, weight):
        chosen = [
            seed(X, k, np.random.RandomState(5), sample_weight=w, **how)
            for how in ({"n_threads": 1}, {"n_threads": 2}, {"backend": "ref"})
        ]
        np.testing.assert_array_equal(chosen[0], chosen[1])
        np.testing.assert_array_equal(chosen[0], chosen[2])


@pytest.mark.parametrize("seed_number", range(5))
def test_chooses_the_rows_that_scikit_learn_chooses(seed_number):
    X, _ = make(800, 10, np.float64)
    _, theirs = kmeans_plusplus(X, 25, random_state=seed_number)
    ours = seed(X, 25, np.random.RandomState(seed_number))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_one_round_matches_brute_force(dtype, threads):
    X, weight = make(3200, 19, dtype, offset=100.0)
    candidates, closest = X[:5].copy(), np.full(3200, 20.0, dtype=dtype)
    distances = np.full((5, 3200), np.nan, dtype=dtype)
    potentials = np.full(5, np.nan)
    _native.seed(X, candidates, closest, weight, distances, potentials, threads)
    x = X.astype(np.float64)
    truth = np.stack([((x - c.astype(np.float64)) ** 2).sum(axis=1) for c in candidates])
    truth = np.minimum(truth, 20.0)
    np.testing.assert_allclose(distances, truth, rtol=1e-5)
    assert (distances[np.arange(5), np.arange(5)] == 0).all()
    np.testing.assert_allclose(potentials, truth @ weight.astype(np.float64), rtol=1e-6)


def test_duplicates_are_not_chosen_while_others_are_left():
    X = np.repeat(np.arange(6, dtype=np.float32)[:, None] * 10, 50, axis=0)
    chosen = seed(X, 6, np.random.RandomState(0))
    assert len(np.unique(X[chosen])) == 6


def test_draws_follow_the_squared_distance():
    X = np.array([[0.0], [1.0], [3.0]])
    weight = np.array([1.0, 1e-12, 1e-12])
    second = []
    for number in range(2000):
        state = np.random.RandomState(number)
        first, other = seed(X, 2, state, sample_weight=weight, n_local_trials=1)
        if first == 0:
            second.append(other)
    share = np.mean(np.array(second) == 2)
    assert abs(share - 0.9) < 0.03  # 9 / (1 + 9), four standard errors


def test_wrong_arguments():
    X = np.ones((3, 2))
    with pytest.raises(ValueError, match="n_clusters=4 must be between 1 and the 3 rows"):
        seed(X, 4, np.random.RandomState(0))

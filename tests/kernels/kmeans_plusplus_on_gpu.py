"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton

from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus, triton_

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Take blocks that the interpreter is fast with."""
    monkeypatch.setattr(triton_, "ROWS", 64)


def make(n, d, dtype, offset=0.0):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(n, d)) + offset).astype(dtype), rng.random(n).astype(dtype)


def on(value):
    return None if value is None else torch.from_numpy(value).to(DEVICE)


@pytest.mark.parametrize(
    ("n", "d", "k", "dtype", "weighted"),
    [
        (1, 1, 1, np.float32, False),
        (9, 2, 9, np.float64, False),
        (97, 17, 6, np.float32, True),
        (300, 3, 6, np.float32, False),
        (33, 130, 4, np.float64, True),
    ],
)
def test_same_draws_choose_the_rows_of_the_reference(n, d, k, dtype, weighted):
    X, weight = make(n, d, dtype, offset=10.0)
    weight = weight if weighted else None
    chosen = kmeans_plusplus(on(X), k, np.random.RandomState(5), sample_weight=on(weight))
    truth = kmeans_plusplus(X, k, np.random.RandomState(5), sample_weight=weight, backend="ref")
    assert chosen.dtype == torch.int64
    np.testing.assert_array_equal(chosen.cpu().numpy(), truth)


def test_the_random_state_is_left_where_the_cpu_leaves_it():
    X, _ = make(50, 4, np.float32)
    here, there = np.random.RandomState(1), np.random.RandomState(1)
    kmeans_plusplus(on(X), 3, here, n_local_trials=3)
    kmeans_plusplus(X, 3, there, n_local_trials=3)
    assert here.random_sample() == there.random_sample()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_round_matches_brute_force(dtype):
    X, weight = make(150, 19, dtype, offset=100.0)
    candidates = np.arange(5)
    closest = np.full(150, 20.0, dtype=dtype)
    distances, sums = triton_._scored(on(X), on(candidates), on(closest), on(weight))
    distances, sums = distances.cpu().numpy(), sums.cpu().numpy()
    x = X.astype(np.float64)
    truth = np.minimum(np.stack([((x - c) ** 2).sum(axis=1) for c in x[:5]]), 20.0)
    np.testing.assert_allclose(distances, truth, rtol=1e-5)
    assert (distances[candidates, candidates] == 0).all()
    np.testing.assert_allclose(sums.sum(axis=1), truth @ weight.astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_fall_on_the_rows_of_the_cumulated_mass(weighted, monkeypatch):
    monkeypatch.setattr(triton_, "BLOCKS", 4)
    monkeypatch.setattr(triton_, "ROWS", 16)
    mass, weight = np.random.default_rng(0).random((2, 333))
    mass[40:200] = 0
    weight = weight if weighted else None
    total = mass if weight is None else mass * weight
    sums = np.pad(total, (0, -333 % 16)).reshape(-1, 16).sum(axis=1)
    uniforms = np.array([[0.0, 1.0, 0.5, 0.25, 1e-9, 0.99999]])
    picked = triton_._picked(on(mass), on(weight), on(sums), on(uniforms), 0)
    truth = np.searchsorted(np.cumsum(total), uniforms[0] * total.sum() * (1 - 1e-15))
    np.testing.assert_array_equal(picked.cpu().numpy(), truth)


def test_duplicates_are_not_chosen_while_others_are_left():
    X = np.repeat(np.arange(6, dtype=np.float32)[:, None] * 10, 20, axis=0)
    chosen = kmeans_plusplus(on(X), 6, np.random.RandomState(0)).cpu().numpy()
    assert len(np.unique(X[chosen])) == 6
    assert len(kmeans_plusplus(on(X), 8, np.random.RandomState(0))) == 8


def test_wrong_arguments():
    X = torch.ones((3, 2), device=DEVICE)
    with pytest.raises(ValueError, match="n_clusters=4 must be between 1 and the 3 rows"):
        kmeans_plusplus(X, 4, np.random.RandomState(0))
    with pytest.raises(ValueError, match="sample_weight must be a tensor of shape"):
        kmeans_plusplus(X, 2, np.random.RandomState(0), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="backend='ref'"):
        kmeans_plusplus(X, 2, np.random.RandomState(0), backend="ref")

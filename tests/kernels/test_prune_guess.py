"""Guesses that the first pass of `prune` starts from: less work, the same labels."""

import numpy as np
import pytest

from unsup_fast.kernels import prune
from unsup_fast.kernels.prune import assign_update, columns, ref


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_guesses_save_work_and_change_no_label(coded, threads):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(601, 40)).astype(np.float32)
    centers = X[:77].copy()
    shift = np.zeros(40, dtype=np.float32)
    basis = columns.basis(X, shift).first(5, coded=coded)
    dense = np.full(601, -1, dtype=np.int32)
    assign_update(X, centers, dense, shift)
    some = np.where(rng.random(601) < 0.5, dense, -1).astype(np.int32)
    work = []
    for guess in (None, some, dense, rng.integers(-1, 77, 601).astype(np.int32)):
        bounds = prune.bounds(X, centers, basis, threads, guess)
        bounds.lower[:, : len(bounds.moved)] = np.nan
        bounds.upper.fill(np.nan)
        labels = np.full(601, -1, dtype=np.int32)
        assert assign_update(X, centers, labels, shift, bounds=bounds, n_threads=threads) == 601
        np.testing.assert_array_equal(labels, dense)
        own, others = ref.distances(X, centers, labels, bounds)  # [N], [N, B]
        assert (bounds.upper >= own * (1 - 1e-5)).all()
        assert (bounds.lower[:, : len(bounds.moved)] <= others + 1e-5).all()
        work.append(bounds.work[3])
    assert work[2] < work[1] < work[0]


@pytest.mark.parametrize("guess", [-2, 5])
def test_guesses_out_of_range_are_refused(guess):
    X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    guesses = np.full(40, guess, dtype=np.int32)
    bounds = prune.bounds(X, X[:5].copy(), columns.basis(X, X[0].copy()), 1, guesses)
    labels = np.full(40, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="guess: index out of range"):
        assign_update(X, X[:5].copy(), labels, X[0].copy(), bounds=bounds)

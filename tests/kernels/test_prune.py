import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.assign import assign, prune


def same(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def compare(X, centers, count, weight=None, labels=None, threads=2):
    """Check the pruned pass against the dense one, to the bit; return the survivors."""
    shift = X.mean(axis=0).astype(X.dtype)
    basis = prune.basis(X, shift)
    projection = prune.project(X, basis.first(count), threads)
    start = np.full(len(X), -1, dtype=np.int32) if labels is None else labels
    options = {"sample_weight": weight, "shift": shift, "return_distances": True}
    dense = assign(X, centers, labels=start.copy(), n_threads=1, **options)
    pruned = assign(
        X, centers, labels=start.copy(), projection=projection, n_threads=threads, **options
    )
    same(dense, pruned)
    return projection.survivors


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 400),
    d=st.integers(1, 90),
    k=st.integers(1, 60),
    count=st.integers(1, 40),
    rank=st.integers(1, 90),
    offset=st.sampled_from([0.0, 3.0, 1e4]),
    spread=st.sampled_from([1e-3, 1.0, 1e15]),
    copies=st.booleans(),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_dense_pass_on_any_data(
    dtype, n, d, k, count, rank, offset, spread, copies, seed
):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + offset) * spread
    centers = X[rng.integers(0, n, k)] + rng.normal(size=(k, d)) * spread * rng.choice([0, 1])
    if copies:  # ties between centroids, and rows that lie on them
        centers = centers[rng.integers(0, k, k)]
    labels = rng.integers(0, k, n).astype(np.int32) if seed % 2 else None
    weight = rng.random(n).astype(dtype) if seed % 3 else None
    compare(X.astype(dtype), centers.astype(dtype), count, weight, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_most_centroids_are_ruled_out_where_few_directions_matter(dtype, threads):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(3000, 12)) @ rng.normal(size=(12, 200))).astype(dtype)
    centers = X[:150].copy()
    labels = assign(X, centers, shift=X.mean(axis=0)).labels
    survivors = compare(X, centers, 12, labels=labels, threads=threads)
    assert survivors < 2 * len(X)


def test_near_ties_are_settled_as_in_the_dense_pass():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 64)).astype(np.float32)
    base = rng.normal(size=(1, 64)).astype(np.float32)
    centers = np.repeat(base, 40, axis=0)
    centers[1::2] = np.nextafter(centers[1::2], np.float32(np.inf))
    compare(X, centers, 20)


@pytest.mark.parametrize("outlier", [1e18, 1e25, 1e37])
def test_outliers_that_overflow_a_projection_change_nothing(outlier):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(3000, 40)).astype(np.float32)
    X[1000] *= np.float32(outlier)  # not among the rows that choose the scale
    shift = np.zeros(40, dtype=np.float32)
    projection = prune.project(X, prune.basis(X, shift).first(10), 2)
    same(
        assign(X, X[:50].copy(), shift=shift),
        assign(X, X[:50].copy(), shift=shift, projection=projection),
    )


def test_rows_far_smaller_than_the_others():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 40)).astype(np.float32)
    X[1500:] *= np.float32(1e-25)
    shift = np.zeros(40, dtype=np.float32)
    projection = prune.project(X, prune.basis(X, shift).first(10), 2)
    centers = X[1500:1560].copy()
    same(
        assign(X, centers, shift=shift),
        assign(X, centers, shift=shift, projection=projection),
    )


def test_centroids_that_all_equal_the_shift():
    rng = np.random.default_rng(6)
    X = (rng.normal(size=(200, 30)) * 1e-25).astype(np.float32)
    shift = np.zeros(30, dtype=np.float32)
    projection = prune.project(X, prune.basis(X, shift).first(10), 2)
    labels = rng.integers(0, 20, 200).astype(np.int32)
    centers = np.zeros((20, 30), dtype=np.float32)
    same(
        assign(X, centers, shift=shift, labels=labels.copy()),
        assign(X, centers, shift=shift, labels=labels.copy(), projection=projection),
    )


def test_a_projection_with_another_shift_is_refused():
    X = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    projection = prune.project(X, prune.basis(X, X.mean(axis=0)), 1)
    with pytest.raises(ValueError, match="same shift"):
        assign(X, X[:5].copy(), projection=projection)
    with pytest.raises(ValueError, match="same shift"):
        assign(X, X[:5].copy(), shift=X[0].copy(), projection=projection)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slack_covers_the_error_of_a_projection(dtype):
    rng = np.random.default_rng(4)
    X = (rng.normal(size=(500, 60)) * 7 + 3).astype(dtype)
    basis = prune.basis(X, X.mean(axis=0).astype(dtype)).first(20)
    found = prune.project(X, basis, 2)
    x = (X - basis.shift).astype(np.longdouble) * basis.scale
    exact = np.linalg.qr(basis.directions.T.astype(np.float64))[0]
    exact *= np.sign((exact * basis.directions.T).sum(axis=0))
    z = x @ exact.astype(np.longdouble)
    tail = np.sqrt((x**2).sum(axis=1) - (z**2).sum(axis=1))
    truth = np.column_stack([z, tail])
    error = np.linalg.norm((found.rows - truth).astype(np.float64), axis=1)
    assert (error <= found.slack).all()


def test_choice_of_directions():
    rng = np.random.default_rng(5)
    flat = rng.normal(size=(2000, 400)).astype(np.float32)
    steep = flat * (0.9 ** np.arange(400, dtype=np.float32))
    shift = np.zeros(400, dtype=np.float32)
    chosen = []
    for X in (flat, steep):
        centers = X[:300].copy()
        labels = assign(X, centers).labels
        chosen.append(prune.choose(X, centers, labels, prune.basis(X, shift)))
    assert chosen[0] is None
    assert chosen[1] is not None
    assert len(chosen[1].directions) in prune.COUNTS


def test_small_problems_cannot_pay():
    assert not prune.may_pay(10, 2)
    assert not prune.may_pay(64, 16)
    assert not prune.may_pay(8, 784)
    assert prune.may_pay(1000, 784)

"""The implementations of `Rows`: one in place of another gives the same."""

import os

import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast import blocks
from unsup_fast._rows import validate
from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.source_rows import SourceRows
from unsup_fast.cluster import KMeans, _host_passes, _init
from unsup_fast.cluster._lloyd import LloydProblem, lloyd
from unsup_fast.kernels import totals


@pytest.fixture(scope="module")
def X():
    """Return 2000 x 6 float32 rows around 9 overlapping centres, off the origin."""
    rng = np.random.default_rng(5)
    centers = 3 * rng.normal(size=(9, 6))
    return (centers[rng.integers(0, 9, 2000)] + rng.normal(size=(2000, 6)) + 50).astype(np.float32)


def in_blocks(X, chunk_size=None):
    return blocks.source(lambda: [X], chunk_size=chunk_size)


def rows_of(X, **options):
    return validate.cpu_rows(X, "test", 1, **options)


def fingerprint(rows, init="k-means++"):
    """Return the numbers of one run of Lloyd's algorithm over these rows."""
    centers = _init.start(rows, init, 9, np.random.RandomState(0))
    passes = _host_passes.HostPasses(rows, may_prune=True)
    run = lloyd(LloydProblem(passes=passes, max_iter=6, tol=0.0), centers)
    return [run.centers, run.labels, run.sizes, run.inertia, run.inertia_history]


def same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("init", ["k-means++", "k-means||", "random"])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_block_is_the_rows_in_memory(X, init, weighted):
    weight = np.random.default_rng(0).integers(0, 3, len(X)) if weighted else None
    host, source = rows_of(X), rows_of(in_blocks(X))
    assert isinstance(host, HostRows)
    assert isinstance(source, SourceRows)
    expected = fingerprint(host.weighted(weight), init)
    same(fingerprint(source.weighted(weight), init), expected)
    same(fingerprint(source.weighted(weight).in_memory(copy=True), init), expected)


def test_methods_of_blocks_are_those_of_the_rows_in_memory(X):
    host, source = rows_of(X), rows_of(in_blocks(X, 301))
    chosen = np.array([1999, 3, 3, 700])
    scale = host.deviations()
    for ours, theirs in (
        (source, host),
        (source.divided(scale), host.divided(scale)),
        (source.normalized(), host.normalized()),
        (source.astype(np.float64), host.astype(np.float64)),
        (source.about(X[7]), host.about(X[7])),
    ):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours.origin, theirs.origin)
        np.testing.assert_array_equal(ours.take(chosen), theirs.take(chosen))
        np.testing.assert_array_equal(ours.subset(chosen).X, theirs.subset(chosen).X)
        centers = theirs.take(np.arange(4))
        for metric in ("euclidean", "cosine"):
            np.testing.assert_array_equal(
                ours.distances(centers, metric), theirs.distances(centers, metric)
            )
        one, other = (rows.assign(centers, return_distances=True) for rows in (ours, theirs))
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.distances, other.distances)
        np.testing.assert_allclose(one.sums, other.sums, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(source.spread().variance, host.spread().variance, rtol=1e-9)
    assert min(rows.spread().farthest for rows in (source, host)) >= np.abs(X - host.origin).max()
    parts = list(host.parts(700))
    assert [part.stop for part, _ in parts] == [700, 1400, 2000]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in parts]), X)


def test_sparse_rows_are_not_shifted(X):
    rows = rows_of(sp.csr_array(X))
    assert rows.shift is None
    assert rows.moments is None
    assert rows.rescaled() is rows
    np.testing.assert_array_equal(rows.origin, rows_of(X).origin)
    assert sp.issparse(rows.take(np.arange(3)))


@pytest.mark.parametrize("chunk_size", [None, 97])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_beyond_those_of_64_bits(X, chunk_size, dtype, monkeypatch):
    """Sums that are carried over after every few rows are those that are not."""
    X = X.astype(dtype)
    data = X if chunk_size is None else in_blocks(X, chunk_size)
    init = X[:9].copy()
    model = KMeans(9, init=init, tol=0, max_iter=5).fit(data)
    seen = []
    carry = totals.Totals.carry
    monkeypatch.setattr(totals, "MOST_ROWS", 100)
    monkeypatch.setattr(totals.Totals, "carry", lambda self: (seen.append(self), carry(self)))
    carried = KMeans(9, init=init, tol=0, max_iter=5).fit(data)
    assert len(seen) >= 5 * 20
    assert seen[-1].carried.any()
    np.testing.assert_array_equal(carried.labels_, model.labels_)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(carried.cluster_centers_, model.cluster_centers_, rtol=eps)
    np.testing.assert_allclose(carried.inertia_history_, model.inertia_history_, rtol=1e-9)


@pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="runs in a process of its own")
def test_a_device_in_place_of_the_host(X, monkeypatch):
    """What a device computes with torch alone, here in the memory of the CPU."""
    torch = pytest.importorskip("torch")
    from unsup_fast._rows.device_rows import DeviceRows

    host, device = rows_of(X), DeviceRows(X=torch.from_numpy(X), n_threads=1)
    chosen = np.array([1999, 3, 700])
    scale = host.deviations()
    np.testing.assert_allclose(device.deviations(), scale, rtol=1e-6)
    for ours, theirs in ((device, host), (device.divided(scale), host.divided(scale))):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours.origin, theirs.origin)
        np.testing.assert_array_equal(ours.shift.numpy(), theirs.shift)
        np.testing.assert_array_equal(ours.take(chosen), theirs.take(chosen))
        np.testing.assert_array_equal(ours.to_host(ours.subset(chosen).X), theirs.take(chosen))
        np.testing.assert_allclose(ours.spread().variance, theirs.spread().variance, rtol=1e-6)
        centers = theirs.take(np.arange(4))
        np.testing.assert_allclose(
            ours.to_user(ours.distances(ours.to_device(centers), "euclidean")),
            theirs.distances(centers, "euclidean"),
            rtol=1e-5,
        )

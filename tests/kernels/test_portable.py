"""Which implementation is chosen, chunks of work, and portable operations of several tasks."""

import math
import threading

import numpy as np
import pytest

from unsup_fast.kernels import _chunks, _dispatch, threads
from unsup_fast.kernels.affine import affine
from unsup_fast.kernels.covariance import covariance
from unsup_fast.kernels.kmeans_plusplus import candidate_potentials, kmeans_plusplus
from unsup_fast.kernels.moments import moments
from unsup_fast.kernels.prune import may_pay

pytestmark = pytest.mark.any_level
BOTH = {"native": lambda: "native", "numba": lambda: "numba", "ref": lambda: "ref"}
PLAIN = {"native": lambda: "native", "portable": lambda: "portable", "ref": lambda: "ref"}


@pytest.fixture
def lacking(monkeypatch):
    """Let the compiled module be missing."""
    monkeypatch.delenv("UNSUP_FAST_BACKEND", raising=False)
    monkeypatch.setattr(
        _dispatch,
        "missing",
        lambda module=_dispatch.NATIVE: None if module == "numba" else "no file",
    )
    monkeypatch.setattr(_dispatch, "_warned", False)


@pytest.mark.parametrize(
    ("variable", "backend", "chosen"),
    [
        ("numba", None, ("numba", "portable")),
        ("numba", "native", ("native", "native")),
        ("numba", "ref", ("ref", "ref")),
        ("ref", None, ("ref", "ref")),
        ("native", None, ("native", "native")),
    ],
)
def test_a_request_comes_before_the_variable(monkeypatch, variable, backend, chosen):
    monkeypatch.setenv("UNSUP_FAST_BACKEND", variable)
    assert tuple(_dispatch.choose("op", known, backend)() for known in (BOTH, PLAIN)) == chosen


def test_without_the_compiled_module_one_warning_says_so(lacking, recwarn):
    with pytest.warns(RuntimeWarning, match=r"could not be loaded \(no file\).*C\+\+17 compiler"):
        assert _dispatch.choose("op", PLAIN, None)() == "portable"
    assert _dispatch.choose("op", BOTH, None)() == "numba"
    assert not recwarn.list
    assert "no file" in _dispatch.describe()
    assert not _dispatch.is_native()
    assert not may_pay(1000, 784, np.dtype(np.float32))
    assert threads.effective() >= 1


def test_requests_that_cannot_be_met(monkeypatch):
    with pytest.raises(ValueError, match="backend='numba' is not available for 'op'"):
        _dispatch.choose("op", PLAIN, "numba")
    with pytest.raises(ImportError, match=r"no_such_module.*C\+\+17 compiler"):
        _dispatch.compiled("unsup_fast.no_such_module")
    monkeypatch.setattr(_dispatch, "missing", lambda module: "no wheel")
    with pytest.raises(ImportError, match=r"'op' needs Numba.*\(no wheel\).*pip install numba"):
        _dispatch.choose("op", BOTH, "numba")


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_chunk_is_worked_on_once(n_threads):
    counts = np.zeros(37, int)

    def work(chunk):
        counts[chunk] += 1

    _chunks.run(work, 37, n_threads)
    assert (counts == 1).all()
    _chunks.run(work, 0, n_threads)


def test_without_more_threads_the_caller_does_it_all(monkeypatch):
    def refused(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    seen = []
    _chunks.run(seen.append, 9, 4)
    assert seen == list(range(9))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_ends_the_work_of_all_threads(error):
    seen = []

    def work(chunk):
        seen.append(chunk)
        if chunk == 3:
            raise error

    with pytest.raises(error):
        _chunks.run(work, 10_000, 3)
    assert len(seen) < 10_000


@pytest.mark.parametrize(("n_rows", "n_columns"), [(9001, 259), (20_011, 3), (1, 5)])
def test_covariance_of_several_tasks(n_rows, n_columns):
    X = (np.random.default_rng(0).normal(size=(n_rows, n_columns)) + 30).astype(np.float32)
    one, two = (covariance(X, n_threads=n, backend="portable") for n in (1, 2))
    np.testing.assert_array_equal(one.scatter, two.scatter)
    np.testing.assert_array_equal(one.scatter, one.scatter.T)
    centered = X - X.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(
        one.scatter, centered.T @ centered, rtol=1e-5, atol=1e-5 * n_rows**0.5
    )
    np.testing.assert_allclose(one.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-9)


def test_moments_of_many_chunks_and_of_any_range():
    random = np.random.default_rng(1)
    scales, centers = [1e-300, 1e-3, 1, 1e3, 1e150, 1], [0, 1, 2, 3, 4, 1e9]
    X = random.normal(size=(40_001, 6)) * scales + centers
    one, two = (moments(X, n_threads=n, backend="numba") for n in (1, 2))
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    mean = np.array([math.fsum(column) for column in X.T]) / len(X)
    variance = np.array([math.fsum(column) for column in ((X - mean) ** 2).T]) / len(X)
    assert (abs(one.mean - mean) <= 1e-13 * np.array(scales) + 1e-15 * abs(mean)).all()
    np.testing.assert_allclose(one.variance, variance, rtol=1e-9)
    huge = np.tile(np.array([[1.7e308], [-1.7e308]]), (300, 1))
    stats = moments(huge, backend="numba")
    assert (stats.mean, stats.minimum, stats.maximum) == (0.0, -1.7e308, 1.7e308)
    X[30_000, 5] = np.nan
    assert moments(X, backend="numba").first_nonfinite == (30_000, 5)


@pytest.mark.parametrize("n_columns", [1, 3, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_candidate_potentials(dtype, n_columns):
    random = np.random.default_rng(2)
    X = (random.normal(size=(4001, n_columns)) + 1e3).astype(dtype)
    closest = random.uniform(0.5, 4, size=4001).astype(dtype)
    weight = random.uniform(size=4001).astype(dtype)
    arguments = (X, X[[5, 17, 4000]], closest, weight)
    distances, potentials = candidate_potentials(*arguments, n_threads=2, backend="numba")
    again = candidate_potentials(*arguments, n_threads=1, backend="numba")
    np.testing.assert_array_equal(distances, again[0])
    np.testing.assert_array_equal(potentials, again[1])
    truth = candidate_potentials(*arguments, backend="ref")
    rtol = 40 * np.finfo(dtype).eps * n_columns
    np.testing.assert_allclose(distances, truth[0], rtol=rtol)
    np.testing.assert_allclose(potentials, truth[1], rtol=rtol)
    assert (distances[[0, 1, 2], [5, 17, 4000]] == 0).all()


def test_threads_choose_the_same_rows():
    X = np.random.default_rng(3).normal(size=(30_000, 9)).astype(np.float32)
    one, two, truth = (
        kmeans_plusplus(X, 9, np.random.RandomState(0), n_threads=n, backend=backend)
        for n, backend in ((1, "numba"), (2, "numba"), (1, "ref"))
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, truth)


def test_affine_of_several_chunks():
    random = np.random.default_rng(4)
    X, weights = random.normal(size=(5003, 70)), random.normal(size=(3, 70))
    arguments = {"shift": X[0].copy(), "offset": weights[:, 0].copy(), "backend": "portable"}
    one, two = (affine(X, weights, n_threads=n, **arguments) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, (X - X[0]) @ weights.T + weights[:, 0], atol=1e-12)

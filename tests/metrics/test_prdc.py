"""Precision, recall, density and coverage against distances in float64 loops, ties included."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.metrics import (
    PRDC,
    FewSamplesWarning,
    PRDCScores,
    _balls,
    prdc,
)

pytestmark = pytest.mark.filterwarnings("ignore::unsup_fast.metrics.FewSamplesWarning")


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture(params=[8, 50, 1024])
def small_blocks(request, monkeypatch):
    monkeypatch.setattr(_balls, "SIDE", request.param)


def by_definition(X, Y, k):
    X, Y = (A.astype(np.float64).tolist() for A in (X, Y))

    def square(a, b):
        return sum((u - v) ** 2 for u, v in zip(a, b, strict=True))

    def radii(A):
        return [
            sorted(square(a, A[j]) for j in range(len(A)) if j != i)[k - 1] for i, a in enumerate(A)
        ]

    of_x, of_y = radii(X), radii(Y)
    between = [[square(a, b) for b in Y] for a in X]  # [N, M]
    opened = [[d < r or d == 0 for d in row] for row, r in zip(between, of_x, strict=True)]
    precise = [any(between[i][j] <= of_x[i] for i in range(len(X))) for j in range(len(Y))]
    recalled = [any(d <= r for d, r in zip(row, of_y, strict=True)) for row in between]
    return PRDCScores(
        np.mean(precise),
        np.mean(recalled),
        np.sum(opened) / (k * len(Y)),
        np.mean([any(row) for row in opened]),
    )


def check(X, Y, k):
    scores = prdc(X, Y, k=k)
    assert all(isinstance(value, float) for value in scores)
    np.testing.assert_allclose(scores, by_definition(X, Y, k), rtol=1e-14)
    assert scores == prdc(X, Y, k=k, n_threads=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.usefixtures("small_blocks")
def test_definition(rng, dtype, k):
    X = rng.normal(size=(61, 5)).astype(dtype)
    check(X, (0.7 * rng.normal(size=(47, 5)) + 0.3).astype(dtype), k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "change",
    [
        lambda A: A + 2.0**20,  # far from the origin
        lambda A: A + 2.0**20 * (np.arange(len(A)) % 4)[:, None],  # tight distant clusters
        lambda A: A * 2.0**-100,
        lambda A: A * 2.0**100,
        lambda A: np.concatenate([A, np.full((1, A.shape[1]), 1e6)]),
        lambda A: np.round(A),  # ties and duplicates
        lambda A: np.repeat(A[:11], 5, axis=0),
        lambda A: np.repeat(A[:2], 30, axis=0),
        lambda A: np.zeros_like(A),
        lambda A: np.concatenate([A, A[:5] + np.finfo(A.dtype).eps]),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_hard_rows(rng, dtype, change):
    X, Y = (rng.normal(size=(n, 4)).astype(dtype) for n in (60, 52))
    X, Y = change(X).astype(dtype), change(Y).astype(dtype)
    check(X, Y, 3)
    check(X, np.concatenate([X[:20], Y[:9]]), 3)


@pytest.mark.usefixtures("small_blocks")
def test_huge_and_tiny(rng):
    X, Y = (rng.normal(size=(n, 4)) for n in (60, 52))
    expected = prdc(X, Y)
    for factor in (1e-300, 1e-160, 1e160, 1e305):
        assert prdc(X * factor, Y * factor) == expected


@pytest.mark.parametrize("k", [1, 3, 5])
def test_identical_sets(rng, k):
    X = rng.normal(size=(1500, 3))
    assert prdc(X, X, k=k) == (1, 1, 1, 1)


def test_distant_sets(rng):
    X = rng.normal(size=(100, 3))
    assert prdc(X, X + 100) == (0, 0, 0, 0)


def test_collapse_and_duplicates(rng):
    X = rng.normal(size=(1200, 6)).astype(np.float32)
    scores = prdc(X, np.repeat(X[:1], 1200, axis=0))
    assert scores.precision == 1
    assert scores.recall == pytest.approx(1 / 1200)
    assert scores.coverage < 0.02
    twice = np.repeat(X[:300], 4, axis=0)  # with k=3 the balls are points
    assert prdc(twice, twice) == (1, 1, 4 / 3, 1)


def test_coverage_of_the_same_distribution(rng):
    X, Y = rng.normal(size=(2, 3000, 4))
    expected = 1 - np.prod([(3000 - i) / (6000 - i) for i in range(1, 6)])  # Naeem et al., lemma 2
    scores = prdc(X, Y, k=5)
    assert scores.coverage == pytest.approx(expected, abs=0.02)
    assert scores.density == pytest.approx(1, abs=0.06)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 30), st.integers(2, 30), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99)
)
def test_small_whole_numbers(n, m, d, k, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.integers(-3, 4, (n, d)), rng.integers(-3, 4, (m, d))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        check(X, Y, min(k, n - 1, m - 1))


def test_bounds_hold(rng):
    for dtype in (np.float32, np.float64):
        X = rng.normal(size=(50, 300)) * 10.0 ** rng.integers(-30, 5, (50, 1))
        (P,) = _balls.prepared(X)
        low, rows, columns = _balls.bounds(P, slice(0, 30), P, slice(20, 50), dtype)
        i, j = np.divmod(np.arange(900), 30)
        exact = _balls.distances(P, i, P, j + 20).reshape(30, 30)
        assert (low <= exact).all()
        assert (low.astype(np.float64) + rows[:, None] + columns >= exact).all()


def test_tensors(rng):
    torch = pytest.importorskip("torch")
    X, Y = rng.normal(size=(2, 40, 3)).astype(np.float32)
    expected = prdc(X, Y)
    tensors = torch.tensor(X, requires_grad=True), torch.tensor(Y).double()
    assert prdc(*tensors) == expected
    half = torch.tensor(X).bfloat16()
    assert prdc(half, half) == (1, 1, 1, 1)


def test_blocks_merge(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    first = PRDC(k=2)
    second = PRDC(lambda images: images[:, :3], k=2)
    first.update(X[:7], real=True)
    first.update(Y[:20], real=False)
    second.update(np.pad(X[7:], ((0, 0), (0, 2))), real=True)
    second.update(np.pad(Y[20:], ((0, 0), (0, 2))), real=False)
    first.merge(second)
    assert first.compute() == prdc(X, Y, k=2)
    third = PRDC(k=2)
    third.load_state_dict(first.state_dict())
    assert third.compute() == first.compute()


@pytest.mark.usefixtures("small_blocks")
def test_callback_and_interrupt(rng):
    X, calls = rng.normal(size=(100, 3)), []
    prdc(X, X, callback=lambda *done: calls.append(done))
    assert calls == [(i + 1, len(calls)) for i in range(len(calls))]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prdc(X, X, callback=stop)


def test_few_samples(rng):
    X = rng.normal(size=(999, 2))
    with pytest.warns(FewSamplesWarning, match="999 and 1998 samples are few"):
        prdc(X, np.concatenate([X, X]))


@pytest.mark.parametrize(
    ("X", "Y", "k", "message"),
    [
        (np.ones((4, 2)), np.ones((4, 3)), 3, "X has 2 columns and Y 3"),
        (
            np.ones((4, 2)),
            np.ones((3, 2)),
            3,
            "k=3 needs more than 3 rows, but Y has 3; pass k < 3",
        ),
        (np.ones((1, 2)), np.ones((3, 2)), 1, "X has 1 rows"),
        (np.ones((4, 2)), np.ones((4, 2)), 0, "k=0"),
        (np.ones((4, 2)), np.ones((4, 2)), 1.5, "k=1.5"),
        (np.full((4, 2), np.nan), np.ones((4, 2)), 3, r"X\[0, 0\] is nan"),
        ([[1e308], [-1e308]], [[0.0], [1.0]], 1, "span more than float64"),
    ],
)
def test_bad_input(X, Y, k, message):
    with pytest.raises(ValueError, match=message):
        prdc(X, Y, k=k)

"""The Inception Score against its definition in loops, closed forms, and itself in pieces."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.metrics import FewSamplesWarning, InceptionScore, inception_score

few = pytest.mark.filterwarnings("ignore::unsup_fast.metrics.FewSamplesWarning")


def draw(n, k, seed=0):
    p = np.random.default_rng(seed).exponential(size=(n, k)) ** 3
    return p / p.sum(axis=1, keepdims=True)


def by_definition(p, splits):
    p = p.astype(np.float64) / p.sum(axis=1, dtype=np.float64, keepdims=True)
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        marginal = part.mean(axis=0)
        divergences = [sum(x[j] * np.log(x[j] / marginal[j]) for j in range(len(x))) for x in part]
        scores.append(np.exp(np.mean(divergences)))
    return np.mean(scores), np.std(scores)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("splits", [1, 3, 10])
@few
def test_definition(dtype, splits):
    p = draw(103, 17).astype(dtype)
    score = inception_score(p, splits=splits)
    assert isinstance(score.mean, float)
    assert isinstance(score.std, float)
    np.testing.assert_allclose(score, by_definition(p, splits), rtol=1e-12, atol=1e-14)


@few
def test_blocks_of_rows(monkeypatch):
    p = draw(103, 17)
    whole = inception_score(p)
    monkeypatch.setitem(inception_score.__globals__, "BLOCK", 40)
    np.testing.assert_allclose(inception_score(p), whole, rtol=1e-13)


def test_closed_forms():
    uniform = inception_score(np.full((100, 8), 1 / 8))
    np.testing.assert_allclose(uniform, (1, 0), rtol=1e-14, atol=1e-14)
    balanced = np.tile(np.eye(5), (20, 1))
    np.testing.assert_allclose(inception_score(balanced), (5, 0), rtol=1e-14, atol=1e-14)
    same = np.tile(draw(1, 4), (40, 1))  # sure or not: every image gives the same answer
    np.testing.assert_allclose(inception_score(same), (1, 0), rtol=1e-14, atol=1e-14)


def test_logits():
    logits = np.random.default_rng(0).normal(size=(200, 9)) * 5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = inception_score(p)
    np.testing.assert_allclose(inception_score(logits, logits=True), expected, rtol=1e-12)
    np.testing.assert_allclose(inception_score(logits + 1e5, logits=True), expected, rtol=1e-9)
    huge = np.where(np.eye(4, dtype=bool), 1e300, -1e300).repeat(10, axis=0)
    assert inception_score(huge, splits=1, logits=True).mean == pytest.approx(4)


def test_tensors():
    torch = pytest.importorskip("torch")
    p = draw(200, 9).astype(np.float32)
    expected = inception_score(p)
    assert inception_score(torch.tensor(p, requires_grad=True)) == expected
    for dtype in (torch.float16, torch.bfloat16):
        logits = torch.log(torch.tensor(p)).to(dtype)
        score = inception_score(logits, logits=True)
        np.testing.assert_allclose(score.mean, expected.mean, rtol=1e-2)
    assert inception_score(torch.tensor(p).half()).mean == pytest.approx(expected.mean, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6),
    st.integers(1, 7),
    st.integers(1, 5),
    st.booleans(),
)
def test_any_chunking(sizes, n_classes, splits, logits):
    n_samples = sum(sizes)
    if splits > n_samples:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        p = draw(n_samples, n_classes, n_samples)
        X = np.log(p) if logits else p
        whole = inception_score(X, splits=splits, logits=logits)
        assert 1 <= whole.mean <= n_classes * (1 + 1e-12)
        edges = np.cumsum([0, *sizes])
        options = {"splits": splits, "logits": logits}
        stored = InceptionScore(**options)
        summed = InceptionScore(n_samples=n_samples, **options)
        merged = InceptionScore(**options)
        merged_sums = InceptionScore(n_samples=n_samples, **options)
        for begin, end in pairwise(edges):
            stored.update(X[begin:end])
            summed.update(X[begin:end])
            alone = InceptionScore(**options)
            alone.update(X[begin:end])
            merged.merge(alone)
            process = InceptionScore(n_samples=n_samples, first=int(begin), **options)
            process.update(X[begin:end])
            merged_sums.merge(process)
        assert stored.compute() == whole
        assert merged.compute() == whole
        np.testing.assert_allclose(summed.compute(), whole, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(merged_sums.compute(), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_samples", [None, 60])
@few
def test_state_goes_through_a_file(tmp_path, n_samples):
    p = draw(60, 5)
    first = InceptionScore(n_samples=n_samples)
    first.update(p[:25])
    np.savez(tmp_path / "state.npz", **first.state_dict())
    second = InceptionScore(n_samples=n_samples)
    with np.load(tmp_path / "state.npz") as state:
        second.load_state_dict(state)
    for score in (first, second):
        score.update(p[25:])
    assert first.compute() == second.compute()
    first.reset()
    with pytest.raises(ValueError, match=r"no samples|lacks"):
        first.compute()


def test_extractor():
    score = InceptionScore(lambda images: images[:, :3], logits=True, splits=2)
    images = np.random.default_rng(0).normal(size=(20, 7))
    score.update(images)
    assert score.compute() == inception_score(images[:, :3], splits=2, logits=True)


def test_few_samples():
    with pytest.warns(FewSamplesWarning, match="20 each for 21 classes") as caught:
        inception_score(draw(200, 21))
    assert caught[0].filename == __file__
    inception_score(draw(210, 21))


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (np.ones(3), {}, r"shape \(3,\)"),
        (np.ones((3, 0)), {}, "at least one column"),
        ([["a"]], {}, "real numbers"),
        (np.full((20, 2), np.nan), {}, r"probabilities\[0, 0\] is nan"),
        (np.tile([1.5, -0.5], (20, 1)), {}, r"\[0, 1\] is -0.5; .* logits=True"),
        (np.ones((20, 2)), {}, r"probabilities\[0\] sums to 2"),
        (np.full((20, 2), np.inf), {"logits": True}, "logits are finite"),
        (draw(9, 3), {}, "splits=10 exceeds the 9 samples"),
        (draw(9, 3), {"splits": 0}, "splits=0"),
        (draw(9, 3), {"splits": 2.0}, "splits=2.0"),
    ],
)
def test_bad_input(value, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        inception_score(value, **options)


def test_bad_updates():
    score = InceptionScore(n_samples=10, splits=2)
    score.update(draw(7, 3))
    with pytest.raises(ValueError, match="lacks 3 of its samples"):
        score.compute()
    with pytest.raises(ValueError, match="X has 4 classes"):
        score.update(draw(2, 4))
    with pytest.raises(ValueError, match="11 samples are more than n_samples=10"):
        score.update(draw(4, 3))
    with pytest.raises(ValueError, match="splits=3 cannot be merged into 2"):
        score.merge(InceptionScore(n_samples=10, splits=3))
    with pytest.raises(TypeError, match="cannot merge list"):
        score.merge([])
    other = InceptionScore(splits=2)
    other.update(draw(2, 3))
    with pytest.raises(ValueError, match="without n_samples"):
        score.load_state_dict(other.state_dict())
    twice = InceptionScore(n_samples=10, splits=2)
    twice.update(draw(7, 3))
    score.reset()
    score.update(draw(7, 3))
    score.merge(twice)
    with pytest.raises(ValueError, match="lacks -5"):
        score.compute()


def test_loaded_states_are_copies():
    rows = np.eye(4)[np.arange(40) % 4]
    score = InceptionScore()
    score.load_state_dict(InceptionScore().state_dict() | {"rows": rows})
    rows[:] = 0.25
    assert score.compute().mean == pytest.approx(4)


def test_sums_that_are_not_finite():
    score = InceptionScore(n_samples=10)
    with pytest.raises(ValueError, match="not finite"):
        score.load_state_dict(score.state_dict() | {"counts": np.full(10, np.nan)})

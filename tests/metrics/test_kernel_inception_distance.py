"""The kernel distance against its definition in loops, and without bias."""

import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.metrics import FewSamplesWarning, KernelInceptionDistance, kernel_inception_distance

few = pytest.mark.filterwarnings("ignore::unsup_fast.metrics.FewSamplesWarning")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(params=[7, 1000])
def small_blocks(request, monkeypatch):
    monkeypatch.setitem(kernel_inception_distance.__globals__, "SIDE", request.param)


def by_definition(X, Y, degree=3, gamma=None, coef0=1.0):
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    gamma = 1 / X.shape[1] if gamma is None else gamma

    def mean(A, B, unpaired):
        pairs = product(enumerate(A), enumerate(B))
        values = [
            (gamma * (a @ b) + coef0) ** degree for (i, a), (j, b) in pairs if unpaired or i != j
        ]
        return np.mean(values)

    return mean(X, X, False) + mean(Y, Y, False) - 2 * mean(X, Y, True)


def of_subsets(X, Y, subsets, size, seed=0):
    rng, scores = np.random.default_rng(seed), []
    for _ in range(subsets):
        x, y = (A[rng.choice(len(A), size, replace=False)] for A in (X, Y))
        scores.append(by_definition(x, y))
    return np.mean(scores), np.std(scores)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"degree": 1, "gamma": 0.3}, {"degree": 4, "coef0": -0.5}])
@pytest.mark.usefixtures("small_blocks")
def test_all_rows(rng, dtype, options):
    X, Y = rng.normal(size=(23, 5)).astype(dtype), rng.normal(size=(17, 5)).astype(dtype) + 1
    score = kernel_inception_distance(X, Y, subsets=None, **options)
    assert isinstance(score.mean, float)
    np.testing.assert_allclose(score.mean, by_definition(X, Y, **options), rtol=1e-12)
    assert score.std == 0


@pytest.mark.parametrize("subsets", [1, 2, 30])  # pair by pair, and each pair once
@pytest.mark.usefixtures("small_blocks")
@few
def test_subsets(rng, subsets):
    X, Y = rng.normal(size=(50, 9)), rng.normal(size=(40, 9)) * 1.3
    score = kernel_inception_distance(X, Y, subsets=subsets, subset_size=15, seed=3)
    np.testing.assert_allclose(score, of_subsets(X, Y, subsets, 15, 3), rtol=1e-11, atol=1e-13)
    assert score == kernel_inception_distance(X, Y, subsets=subsets, subset_size=15, seed=3)
    assert score != kernel_inception_distance(X, Y, subsets=subsets, subset_size=15, seed=4)


@pytest.mark.parametrize("options", [{"subsets": None}, {"subsets": 2}, {"subsets": 50}])
@few
def test_threads(rng, options):
    X, Y = rng.random(size=(2100, 33), dtype=np.float32), rng.random(size=(1900, 33))
    options |= {"subset_size": 500}
    one, two = (kernel_inception_distance(X, Y, n_threads=n, **options) for n in (1, 2))
    assert one == two


@pytest.mark.parametrize("subsets", [None, 20])
def test_unbiased(rng, subsets):
    estimates = [
        kernel_inception_distance(
            *rng.normal(size=(2, 40, 6)), subsets=subsets, subset_size=20, n_threads=1
        )
        for _ in range(200)
    ]
    means = np.array([estimate.mean for estimate in estimates])
    assert abs(means.mean()) < 3.5 * means.std() / np.sqrt(len(means))
    assert (means < 0).any()


@pytest.mark.parametrize("subsets", [None, 3, 40])
@few
def test_torch_and_its_gradient(rng, subsets):
    torch = pytest.importorskip("torch")
    X, Y = rng.normal(size=(12, 8)), rng.normal(size=(14, 8)) + 0.5
    options = {"subsets": subsets, "subset_size": 6}
    expected = kernel_inception_distance(X, Y, **options)
    assert kernel_inception_distance(torch.tensor(X), torch.tensor(Y), **options) == expected
    x, y = (torch.tensor(A, requires_grad=True) for A in (X, Y))
    score = kernel_inception_distance(x, y, **options)
    np.testing.assert_allclose([v.item() for v in score], expected, rtol=1e-11, atol=1e-13)
    assert torch.autograd.gradcheck(
        lambda a, b: kernel_inception_distance(a, b, **options).mean, (x, y), fast_mode=True
    )
    single = torch.tensor(X, dtype=torch.float32, requires_grad=True)
    kernel_inception_distance(single, Y, **options).mean.backward()
    score.mean.backward()
    np.testing.assert_allclose(single.grad, x.grad, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert isinstance(kernel_inception_distance(x, y, **options).mean, float)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=9))
def test_any_chunking(blocks):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(100, 3)).astype(np.float32), rng.normal(size=(100, 3))
    X, Y = (A[: max(4, sum(n for r, n in blocks if r is real))] for A, real in ((X, 1), (Y, 0)))
    options = {"subsets": 5, "subset_size": 2, "seed": 2}
    parts = []
    starts = {True: 0, False: 0}
    for real, n in [*blocks, (True, 100), (False, 100)]:
        part = KernelInceptionDistance(**options)
        part.update((X if real else Y)[starts[real] : starts[real] + n], real=real)
        starts[real] += n
        parts.append(part)
    score = KernelInceptionDistance(**options)
    for part in parts:
        score.merge(part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        assert score.compute() == kernel_inception_distance(X, Y, **options)


@few
def test_state_goes_through_a_file(tmp_path, rng):
    score = KernelInceptionDistance(lambda images: images * 2, subset_size=4)
    empty = score.state_dict()
    score.update(rng.normal(size=(9, 2)), real=True)
    score.update(rng.normal(size=(8, 2)), real=False)
    np.savez(tmp_path / "state.npz", **score.state_dict())
    other = KernelInceptionDistance(subset_size=4)
    with np.load(tmp_path / "state.npz") as state:
        other.load_state_dict(state)
    assert other.compute() == score.compute()
    other.load_state_dict(empty)
    with pytest.raises(ValueError, match=r"no real samples yet; call update\(X, real=True\)"):
        other.compute()


def test_stored_rows_are_copies(rng):
    X = rng.normal(size=(5, 2))
    score = KernelInceptionDistance(subsets=None)
    score.update(X, real=True)
    score.update(X + 1, real=False)
    before = score.compute()
    X[:] = 0
    assert score.compute() == before


@few
def test_callback_and_interrupt(rng):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    X, calls = rng.normal(size=(30, 3)), []
    kernel_inception_distance(X, X, subset_size=20, callback=lambda *done: calls.append(done))
    assert calls == [(i + 1, len(calls)) for i in range(len(calls))]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernel_inception_distance(X, X, subset_size=20, callback=stop)
    assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == pools


def test_few_samples(rng):
    X = rng.normal(size=(19, 2))
    with pytest.warns(FewSamplesWarning, match="subsets of 10 out of 19 rows"):
        kernel_inception_distance(X, X, subset_size=10)


@pytest.mark.parametrize(
    ("X", "Y", "options", "message"),
    [
        (np.ones(3), np.ones((3, 2)), {}, r"X has shape \(3,\)"),
        (np.ones((3, 2)), np.ones((3, 4)), {}, "X has 2 columns and Y 4"),
        (np.ones((3, 2)), [[1, 2], [3, np.inf]], {}, r"Y\[1, 1\] is inf; features must be finite"),
        (np.ones((3, 2)), np.ones((1, 2)), {}, "Y has 1 rows"),
        (np.ones((3, 2)), np.ones((2, 2)), {"subset_size": 3}, "exceeds the 2 rows of Y"),
        (np.ones((2, 2)), np.ones((3, 2)), {}, "subset_size=1000 exceeds the 2 rows of X"),
        (np.ones((3, 2)), np.ones((3, 2)), {"subset_size": 1}, "subset_size=1"),
        (np.ones((3, 2)), np.ones((3, 2)), {"subsets": 0}, "subsets=0"),
        (np.ones((3, 2)), np.ones((3, 2)), {"degree": 0}, "degree=0"),
        (np.ones((3, 2)), np.ones((3, 2)), {"gamma": 0}, "gamma=0"),
        (np.ones((3, 2), complex), np.ones((3, 2)), {}, "X holds complex128"),
    ],
)
def test_bad_input(X, Y, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kernel_inception_distance(X, Y, **options)


def test_bad_tensors():
    torch = pytest.importorskip("torch")
    X = torch.ones(3, 2, requires_grad=True)
    with pytest.raises(ValueError, match=r"Y\[0, 1\] is nan"):
        kernel_inception_distance(X, torch.tensor([[1, np.nan]]).repeat(3, 1))
    with pytest.raises(ValueError, match="Y has shape"):
        kernel_inception_distance(X, torch.ones(3))


def test_bad_merges(rng):
    score = KernelInceptionDistance()
    score.update(rng.normal(size=(3, 2)), real=True)
    with pytest.raises(TypeError, match="cannot merge int"):
        score.merge(3)
    with pytest.raises(ValueError, match="an earlier block has 2 columns and X 3"):
        score.update(rng.normal(size=(3, 3)), real=False)
    with pytest.raises(KeyError, match="fake"):
        KernelInceptionDistance().load_state_dict({"real": np.ones((2, 2))})


@pytest.mark.parametrize("scale", [1e120, 1e200])
@pytest.mark.parametrize("grad", [False, True])
def test_more_than_float64_holds(scale, grad):
    torch = pytest.importorskip("torch")
    X, Y = np.random.default_rng(0).normal(size=(2, 9, 3)) * scale
    with pytest.raises(ValueError, match="more than float64 can hold"):
        kernel_inception_distance(
            torch.tensor(X, requires_grad=True) if grad else X, Y, subsets=None
        )


def test_tensors_without_columns():
    torch = pytest.importorskip("torch")
    X = torch.rand(5, 0, requires_grad=True)
    with pytest.raises(ValueError, match="at least one column"):
        kernel_inception_distance(X, X, subsets=None)

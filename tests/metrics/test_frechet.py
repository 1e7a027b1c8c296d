import contextlib
import io
import os
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.metrics import (
    FrechetDistance,
    feature_frechet_distance,
    frechet_distance,
    load_statistics,
    save_statistics,
)
from unsup_fast.metrics._features import FewSamplesWarning
from unsup_fast.metrics._gaussians import ROWS

torch = pytest.importorskip("torch")


def rows(n_rows, n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(n, n)) * 10.0 ** -np.linspace(0, 2, n)
    return rng.normal(size=(n_rows, n)) @ mix + shift


def moments(X):
    return X.mean(axis=0), np.cov(X.T).reshape(X.shape[1], X.shape[1])


def by_definition(X, Y):
    """Return pytorch-fid's formula, for covariances that are not singular."""
    (m1, S1), (m2, S2) = moments(X), moments(Y)
    cross = np.trace(scipy.linalg.sqrtm(S1 @ S2)).real
    return (m1 - m2) @ (m1 - m2) + np.trace(S1) + np.trace(S2) - 2 * cross


def by_singular_values(X, Y):
    A, B = ((Z - Z.mean(axis=0)) / np.sqrt(len(Z) - 1) for Z in (X, Y))
    cross = np.linalg.svd(A @ B.T, compute_uv=False).sum()
    return ((X.mean(0) - Y.mean(0)) ** 2).sum() + (A**2).sum() + (B**2).sum() - 2 * cross


def accumulated(X, Y, step=50, **options):
    fid = FrechetDistance(**options)
    for Z, real in ((X, True), (Y, False)):
        for start in range(0, len(Z), step):
            fid.update(Z[start : start + step], real=real)
    return fid


def quietly(fid):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        return fid.compute()


@pytest.mark.parametrize("n", [1, 2, 17, 33])
def test_agrees_with_the_definition(n):
    X, Y = rows(400, n, 1), rows(500, n, 2, shift=0.5)
    truth = by_definition(X, Y)
    assert by_singular_values(X, Y) == pytest.approx(truth, rel=1e-10)
    assert frechet_distance(*moments(X), *moments(Y)) == pytest.approx(truth, rel=1e-11)
    assert feature_frechet_distance(X, Y) == pytest.approx(truth, rel=1e-11)
    assert accumulated(X, Y).compute() == pytest.approx(truth, rel=1e-11)
    assert feature_frechet_distance(X, moments(Y)) == pytest.approx(truth, rel=1e-11)


def test_gaussians_in_closed_form():
    one, two = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.0])
    truth = 14 + ((np.sqrt(one) - np.sqrt(two)) ** 2).sum()
    distance = frechet_distance([1, 2, 3], np.diag(one), np.zeros(3), np.diag(two))
    assert distance == pytest.approx(truth, rel=1e-15)
    assert isinstance(distance, float)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 20), st.integers(-6, 6))
def test_few_rows(n1, n2, n, power):
    X, Y = rows(n1, n, 1) * 10.0**power, rows(n2, n, 2, shift=0.5) * 10.0**power
    truth = by_singular_values(X, Y)
    for distance in (
        quietly(accumulated(X, Y)),
        feature_frechet_distance(X, Y),
        feature_frechet_distance(X, moments(Y)),
    ):
        assert distance == pytest.approx(truth, rel=1e-6)
        assert distance >= 0


def test_equal_samples_have_distance_zero():
    for n_rows in (5, 30, 3000):
        X = rows(n_rows, 20, 3, shift=1e3)
        assert 0 <= quietly(accumulated(X, X)) < 1e-8
        assert 0 <= frechet_distance(*moments(X), *moments(X)) < 1e-8


def test_far_from_zero():
    """Sums in float32 would have no correct digit of the variance here."""
    X, Y = rows(3000, 6, 1, shift=1e6), rows(300, 6, 2, shift=1e6)
    truth = by_singular_values(X - 1e6, Y - 1e6)
    assert accumulated(X, Y).compute() == pytest.approx(truth, rel=1e-7)
    assert feature_frechet_distance(X, Y) == pytest.approx(truth, rel=1e-7)


def test_blocks_change_nothing():
    X, Y = rows(3 * ROWS + 17, 5, 1), rows(ROWS - 1, 5, 2)
    distances = {accumulated(X, Y, step).compute() for step in (1 + ROWS, 97, 1000, ROWS, 10_000)}
    assert len(distances) == 1
    assert accumulated(X, Y, n_threads=1).compute() == pytest.approx(distances.pop(), rel=1e-14)


def test_merged_and_restored():
    X, Y = rows(2 * ROWS + 300, 5, 1), rows(700, 5, 2)
    truth = by_singular_values(X, Y)
    parts = [accumulated(X[i::3], Y[i::3]) for i in range(3)]
    whole = FrechetDistance()
    for part in parts:
        other = FrechetDistance()
        other.load_state_dict(part.state_dict())
        assert other.compute() == part.compute()
        whole.merge(other)
    assert whole.compute() == pytest.approx(truth, rel=1e-11)
    assert parts[0].compute() == accumulated(X[::3], Y[::3]).compute()
    for value in whole.state_dict().values():
        assert isinstance(value, np.ndarray)
    one = FrechetDistance()
    one.update(X, real=True)
    one.update(X[:0], real=True)
    two = FrechetDistance()
    two.update(Y, real=False)
    one.merge(two)
    assert one.compute() == pytest.approx(truth, rel=1e-11)


def test_tensors_and_an_extractor():
    X, Y = rows(300, 5, 1).astype(np.float32), rows(300, 5, 2).astype(np.float32)
    truth = accumulated(X, Y).compute()
    images = torch.from_numpy(X), torch.from_numpy(Y).requires_grad_()
    assert accumulated(*images).compute() == truth
    half = [2 * x for x in images]
    assert accumulated(*half, extractor=lambda x: x / 2).compute() == truth


def test_statistics(tmp_path):
    X, Y = rows(3000, 5, 1), rows(300, 5, 2)
    fid = accumulated(X, Y)
    path = tmp_path / "real.npz"
    save_statistics(path, *fid.statistics(real=True))
    mu, sigma = load_statistics(path)
    np.testing.assert_allclose(mu, X.mean(axis=0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(sigma, np.cov(X.T), rtol=0, atol=1e-13)
    with np.load(path) as file:  # as pytorch-fid reads it
        np.testing.assert_array_equal(file["mu"][:], mu)
        np.testing.assert_array_equal(file["sigma"][:], sigma)
    other = FrechetDistance()
    other.set_statistics(mu, sigma)
    other.update(Y, real=False)
    assert other.compute() == pytest.approx(fid.compute(), rel=1e-11)
    again = FrechetDistance()
    again.load_state_dict(other.state_dict())
    again.merge(FrechetDistance())
    assert again.compute() == other.compute()
    again.merge(again)  # the same statistics are the same
    few = FrechetDistance()
    few.set_statistics(mu, sigma)
    few.update(Y[:3], real=False)
    assert quietly(few) == pytest.approx(by_singular_values(X, Y[:3]), rel=1e-10)
    assert os.listdir(tmp_path) == ["real.npz"]


def test_files_without_statistics(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(FileNotFoundError):
        load_statistics(path)
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"cannot read statistics from '.*x.npz'"):
        load_statistics(path)
    np.savez(path, mu=np.zeros(3))
    with pytest.raises(ValueError, match="has no array 'sigma'; it holds mu 3"):
        load_statistics(path)
    np.savez(path, mu=np.zeros(3), sigma=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="never unpickled"):
        load_statistics(path)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(4))
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(4, 4\)"):
        load_statistics(path)
    with pytest.raises(ValueError, match=r"end in \.npz"):
        save_statistics(tmp_path / "x.npy", np.zeros(3), np.eye(3))
    with pytest.raises(OSError, match=r"cannot save the statistics.*create it first"):
        save_statistics(tmp_path / "none" / "x.npz", np.zeros(3), np.eye(3))


def test_gradients():
    X, Y = (torch.from_numpy(rows(n, 6, n)).requires_grad_() for n in (4, 9))
    assert torch.autograd.gradcheck(feature_frechet_distance, (X, Y))
    stats = moments(Y.detach().numpy())
    assert torch.autograd.gradcheck(lambda x: feature_frechet_distance(x, stats), (X,))

    def of_moments(x, y):
        return frechet_distance(x.mean(dim=0), torch.cov(x.T), y.mean(dim=0), torch.cov(y.T))

    Z = torch.from_numpy(rows(8, 6, 3)).requires_grad_()
    assert torch.autograd.gradcheck(of_moments, (Y, Z))
    statistics = Y.mean(dim=0), torch.cov(Y.T), Z.mean(dim=0), torch.cov(Z.T)
    statistics = [
        x.detach().requires_grad_() for x in statistics
    ]  # Dynamo looks for `.grad` of all inputs
    for function, values in (
        (frechet_distance, statistics),
        (feature_frechet_distance, (X, Y)),
    ):
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(*values), function(*values))


def test_gradient_descent_reaches_the_data():
    X = torch.from_numpy(rows(200, 4, 1))
    Y = torch.zeros(6, 4, dtype=torch.float32)
    Y[:4] = torch.eye(4)
    Y.requires_grad_()
    for _ in range(200):
        loss = feature_frechet_distance(Y, X)
        (slope,) = torch.autograd.grad(loss, Y)
        with torch.no_grad():
            Y -= slope
    assert loss.dtype == torch.float64
    assert loss < 1e-6 * X.var()


def test_a_warning_of_few_samples():
    X, Y = rows(30, 10, 1), rows(3000, 10, 2)
    with pytest.warns(FewSamplesWarning, match="30 samples in 10 dimensions") as seen:
        accumulated(X, Y).compute()
    assert seen[0].filename == __file__
    accumulated(rows(40, 10, 1), Y).compute()


def test_wrong_input():
    fid = FrechetDistance()
    with pytest.raises(ValueError, match="0 real samples"):
        fid.compute()
    fid.update(np.ones((1, 3)), real=True)
    with pytest.raises(ValueError, match="1 real samples"):
        fid.compute()
    with pytest.raises(ValueError, match="4 columns, and what came before 3"):
        fid.update(np.ones((1, 4)), real=False)
    with pytest.raises(ValueError, match="must be finite"):
        fid.update(np.array([[1, np.nan, 1]]), real=False)
    with pytest.raises(TypeError, match="cannot merge dict"):
        fid.merge({})
    with pytest.raises(ValueError, match="4 columns, and what came before 3"):
        fid.set_statistics(np.zeros(4), np.eye(4), real=False)
    fid.set_statistics(np.zeros(3), np.eye(3), real=True)
    with pytest.raises(ValueError, match="fixed statistics"):
        fid.update(np.ones((1, 3)), real=True)
    eye, zero = np.eye(3), np.zeros(3)
    with pytest.raises(ValueError, match=r"mu1 and sigma1 have shapes \(4,\)"):
        frechet_distance(np.zeros(4), eye, zero, eye)
    with pytest.raises(ValueError, match="mu1 has 3 entries and mu2 2"):
        frechet_distance(zero, eye, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="sigma2 holds NaN"):
        frechet_distance(zero, eye, zero, eye * np.nan)
    with pytest.raises(TypeError, match="mu1 are tensors, but not sigma1, mu2, sigma2"):
        frechet_distance(torch.zeros(3), eye, zero, eye)
    with pytest.raises(TypeError, match="pass real numbers"):
        frechet_distance(zero, eye + 0j, zero, eye)
    with pytest.raises(ValueError, match="two rows or more"):
        feature_frechet_distance(np.ones((1, 3)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="same layer"):
        feature_frechet_distance(np.ones((3, 3)), np.ones((4, 2)))


def test_float32_rows_are_summed_in_float64():
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(10, 64))  # a singular covariance, up to the rounding of the rows
    X, Y = ((rng.normal(size=(3000, 10)) @ loads).astype(np.float32) for _ in range(2))
    fid = FrechetDistance()
    fid.update(X, real=True)
    fid.update(Y, real=False)
    assert fid.compute() == pytest.approx(feature_frechet_distance(X, Y), rel=1e-8)


def test_merged_with_itself():
    X = np.random.default_rng(0).normal(size=(1500, 3))
    fid = FrechetDistance()
    fid.update(X, real=True)
    fid.merge(fid)
    twice = np.cov(np.concatenate([X, X]), rowvar=False)
    np.testing.assert_allclose(fid.statistics(real=True).sigma, twice, rtol=1e-12)


@pytest.mark.parametrize("change", [{"real_rows": np.ones((5, 2))}, {"real_n_rows": np.array(-1)}])
def test_states_that_contradict_themselves(change):
    fid = FrechetDistance()
    for real in (True, False):
        fid.update(np.random.default_rng(0).normal(size=(9, 3)), real=real)
    state = fid.state_dict() | change
    with pytest.raises(ValueError, match="pass what state_dict returned"):
        FrechetDistance().load_state_dict(state)


def test_sides_of_a_state_differ():
    state = {"real_mu": np.zeros(2), "real_sigma": np.eye(2)}
    state |= {"fake_mu": np.zeros(3), "fake_sigma": np.eye(3)}
    with pytest.raises(ValueError, match=r"\[2, 3\] columns"):
        FrechetDistance().load_state_dict(state)


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize(("mean", "spread"), [(1e200, 1.0), (0.0, 1.5e308)])
def test_more_than_float64_holds(mean, spread, tensors):
    arguments = [np.full(2, mean), np.eye(2) * spread, np.zeros(2), np.eye(2) * spread]
    if tensors:
        arguments = [torch.from_numpy(value) for value in arguments]
    with pytest.raises(ValueError, match="more than float64 can hold"):
        frechet_distance(*arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tensors_of_means_are_finite(bad):
    mu, sigma = torch.tensor([bad, 0.0]), torch.eye(2)
    with pytest.raises(ValueError, match="mu2 holds NaN or infinity"):
        frechet_distance(torch.zeros(2), sigma, mu, sigma)


def test_other_byte_orders_and_half_types():
    mu, sigma = np.ones(2, ">f8"), np.eye(2, dtype=">f4")
    assert frechet_distance(mu, sigma, mu, sigma) == 0
    fid = FrechetDistance()
    fid.set_statistics(torch.ones(2).bfloat16(), torch.eye(2).bfloat16())
    assert fid.statistics(real=True).sigma.tolist() == np.eye(2).tolist()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float32])
def test_tensors_that_are_no_features(dtype):
    bad = torch.full((4, 2), torch.nan, dtype=dtype)
    with pytest.raises((TypeError, ValueError), match="X"):
        feature_frechet_distance(bad, torch.zeros(4, 2))


def test_statistics_in_damaged_files(tmp_path):
    content = io.BytesIO()
    np.savez_compressed(content, mu=np.zeros(3), sigma=np.eye(3))
    whole, path = content.getvalue(), tmp_path / "a.npz"
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        with contextlib.suppress(ValueError):
            load_statistics(path)

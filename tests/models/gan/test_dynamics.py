"""Paths of two players against exact rates of the bilinear game and the Dirac-GAN, to 1e-12."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from unsup_fast.models.gan import dynamics  # noqa: E402

RULES = get_args(dynamics.Rule)
EXACT = 1e-12


def real(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def product(theta, phi):
    return (theta * phi).sum()


def squares(path):
    """Return the squared distance to the origin at each step, of players of one number each."""
    return (path.theta**2 + path.phi**2).flatten().numpy()


def sizes(eigenvalues):
    return np.sort(eigenvalues.abs().numpy())


@pytest.mark.parametrize("lr", [0.01, 0.1, 0.5, 0.9])
def test_distances_of_simultaneous_play_and_extragradient(lr):
    for rule, factor in (("simultaneous", 1 + lr**2), ("extragradient", 1 - lr**2 + lr**4)):
        path = dynamics.play(product, real(1), real(0.4), lr=lr, rule=rule, steps=100)
        r = squares(path)
        np.testing.assert_allclose(r[1:] / r[:-1], factor, rtol=EXACT)
        assert dynamics.bilinear_growth(lr, rule=rule) == pytest.approx(factor, rel=EXACT)


@pytest.mark.parametrize("lr", [0.01, 0.1, 0.5, 0.9, 1.9])
def test_alternating_play_stays_on_an_ellipse(lr):
    path = dynamics.play(product, real(1), real(0.4), lr=lr, rule="alternating", steps=300)
    theta, phi = path.theta.flatten().numpy(), path.phi.flatten().numpy()
    invariant = theta**2 + phi**2 - lr * theta * phi
    np.testing.assert_allclose(invariant, invariant[0], rtol=EXACT)
    actual = dynamics.bilinear_invariant(real(1)[None], path.theta, path.phi, lr=lr)
    np.testing.assert_allclose(actual.numpy(), invariant, rtol=EXACT)
    assert dynamics.bilinear_growth(lr, rule="alternating") == 1


def test_the_period_of_alternating_play():
    assert dynamics.alternating_period(0.1) == pytest.approx(62.806, abs=5e-4)
    assert dynamics.alternating_period(0.05, 2.0) == dynamics.alternating_period(0.1)
    for turns in (3, 4, 10, 63):
        lr = 2 * np.sin(np.pi / turns)  # 1 - lr^2 / 2 is the cosine of 2 pi / turns
        assert dynamics.alternating_period(lr) == pytest.approx(turns, rel=EXACT)
        path = dynamics.play(product, real(1), real(0.4), lr=lr, rule="alternating", steps=turns)
        for player in path:
            np.testing.assert_allclose(player[-1], player[0], rtol=EXACT)
        assert (path.theta[1:-1, 0] - path.theta[0, 0]).abs().max() > 0.1
    for lr in (0, 2, -0.1):
        with pytest.raises(
            ValueError, match=r"is -?[\d.]+; alternating play turns between 0 and 2"
        ):
            dynamics.alternating_period(lr)


@pytest.mark.parametrize("lr", [0.1, 0.3, 0.45, 0.55, 0.62])
def test_long_run_of_optimistic_play(lr):
    path = dynamics.play(product, real(1), real(0.4), lr=lr, rule="optimistic", steps=400)
    r = squares(path)
    factor = dynamics.bilinear_growth(lr, rule="optimistic")
    np.testing.assert_allclose(r[390:] / r[389:-1], factor, rtol=1e-9)
    assert (factor < 1) == (lr < 3**-0.5)
    # Its definition, as one recursion of a complex number.
    w = [1 + 0.4j, (1 + 0.4j) * (1 + 1j * lr)]
    for _ in range(399):
        w.append(w[-1] + 1j * lr * (2 * w[-1] - w[-2]))
    np.testing.assert_allclose(path.theta.flatten() + 1j * path.phi.flatten(), w, rtol=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_a_matrix_game_is_a_game_for_each_singular_value(rule):
    generator = torch.Generator().manual_seed(3)
    matrix, start, other = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((4, 3), (4,), (3,))
    )
    lr, value = 0.1, dynamics.bilinear(matrix)
    path = dynamics.play(value, start, other, lr=lr, rule=rule, steps=300)
    u, s, v = np.linalg.svd(matrix.numpy())
    theta, phi = path.theta.numpy() @ u, path.phi.numpy() @ v.T  # along the singular vectors
    # Beyond the rank of the matrix there is no gradient.
    np.testing.assert_allclose(theta[:, 3], theta[0, 3], atol=EXACT * np.abs(theta).max())
    r = theta[:, :3] ** 2 + phi**2  # [steps + 1, 3]
    factors = [dynamics.bilinear_growth(lr, each, rule=rule) for each in s]
    if rule in ("simultaneous", "extragradient"):
        np.testing.assert_allclose(r[1:] / r[:-1], np.tile(factors, (300, 1)), rtol=EXACT)
    elif rule == "optimistic":
        np.testing.assert_allclose(r[250] / r[249], factors, rtol=1e-10)
    else:
        each = r - lr * s * theta[:, :3] * phi
        np.testing.assert_allclose(each, np.tile(each[0], (301, 1)), rtol=EXACT)
        whole = dynamics.bilinear_invariant(matrix, path.theta, path.phi, lr=lr).numpy()
        np.testing.assert_allclose(whole, each[0].sum() + theta[0, 3] ** 2, rtol=EXACT)
    zeros = torch.zeros_like(start), torch.zeros_like(other)
    local = sizes(dynamics.local_eigenvalues(value, *zeros, lr=lr, rule=rule)) ** 2
    for factor in (*factors, 1.0):
        assert np.abs(local - factor).min() < 1e-8


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lr", [0.1, 0.5, 0.7, 1.5, 2.5])
def test_eigenvalues_of_a_step_are_those_of_the_formula(rule, lr):
    local = dynamics.local_eigenvalues(product, real(0), real(0), lr=lr, rule=rule)
    factor = dynamics.bilinear_growth(lr, rule=rule)
    assert sizes(local)[-1] ** 2 == pytest.approx(factor, rel=1e-7)  # at a = 1/2 a double root
    if rule == "alternating" and lr < 2:
        turn = 2 * np.pi / np.abs(np.angle(local.numpy()))
        np.testing.assert_allclose(turn, dynamics.alternating_period(lr), rtol=1e-10)


@given(
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(-2, 2),
    st.floats(0.01, 0.5),
    st.sampled_from(RULES),
)
def test_steps_of_quadratic_games_are_linear(a, b, c, lr, rule):
    """A step from each unit vector is a column of the step's matrix."""

    def value(theta, phi):
        return (a * theta**2 / 2 - b * phi**2 / 2 + c * theta * phi).sum()

    if rule == "optimistic":  # which has a matrix of two positions
        field = np.array([[-a, -c], [c, -b]])
        one = np.eye(2)
        step = np.block([[one + 2 * lr * field, -lr * field], [one, 0 * one]])
    else:
        paths = [
            dynamics.play(value, *w, lr=lr, rule=rule, steps=1)
            for w in real(1, 0, 0, 1).view(2, 2, 1)
        ]
        step = np.array([[path.theta[1].item(), path.phi[1].item()] for path in paths]).T
    local = dynamics.local_eigenvalues(value, real(0), real(0), lr=lr, rule=rule)
    for power in (
        1,
        2,
        3,
        4,
    ):  # the sums of powers of the eigenvalues, which do not depend on order
        traces = np.trace(np.linalg.matrix_power(step, power)), (local**power).sum().item()
        assert traces[0] == pytest.approx(traces[1], rel=1e-9, abs=1e-9)


def fitted(path):
    """Return the eigenvalues of the linear map between the first three positions of a path."""
    w = torch.cat([path.theta, path.phi], 1)[:3].T.numpy()  # [2, 3]
    return np.sort_complex(np.linalg.eigvals(w[:, 1:] @ np.linalg.inv(w[:, :-1])))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 1.5])
def test_dirac_gan(gamma):
    value, zero = dynamics.dirac_gan(gamma), real(0)
    eigenvalues = np.array(dynamics.dirac_eigenvalues(gamma))
    np.testing.assert_allclose(
        eigenvalues.sum(), -gamma, atol=EXACT
    )  # of ((0, 1/2), (-1/2, -gamma))
    np.testing.assert_allclose(eigenvalues.prod(), 0.25, rtol=EXACT)
    for lr in (0.05, 0.2, 1.0):
        local = dynamics.local_eigenvalues(value, zero, zero, lr=lr, rule="simultaneous").numpy()
        expected = np.sort_complex(1 + lr * eigenvalues)
        np.testing.assert_allclose(np.sort_complex(local), expected, rtol=EXACT)
        path = dynamics.play(value, real(1e-5), real(3e-6), lr=lr, rule="simultaneous", steps=2)
        np.testing.assert_allclose(fitted(path), expected, rtol=1e-8)
        growth = dynamics.dirac_growth(lr, gamma)
        assert growth == pytest.approx(np.abs(local).max() ** 2, rel=EXACT)
        if gamma < 1:
            assert growth == pytest.approx(1 - lr * gamma + lr**2 / 4, rel=EXACT)


def test_the_penalty_makes_the_dirac_gan_converge():
    start = real(1), real(0.5)
    path = dynamics.play(dynamics.dirac_gan(0.3), *start, lr=0.1, rule="simultaneous", steps=800)
    r = squares(path)
    assert r[-1] < 1e-8 * r[0]
    rate = (r[800] / r[300]) ** (1 / 500)  # in the linear part: the mean over turns
    assert rate == pytest.approx(dynamics.dirac_growth(0.1, 0.3), rel=1e-3)
    path = dynamics.play(dynamics.dirac_gan(), *start, lr=0.1, rule="simultaneous", steps=600)
    r = squares(path)
    assert (np.diff(r) > 0).all()  # without it, each step is outwards
    assert r[-1] > 2 * r[0]
    path = dynamics.play(dynamics.dirac_gan(), *start, lr=0.1, rule="alternating", steps=600)
    r = squares(path)
    assert 0.8 * r[0] < r.min() < r.max() < 1.3 * r[0]  # or round and round


@pytest.mark.parametrize("gamma", [0.1, 0.3, 1.0, 2.0])
def test_the_learning_rate_at_which_the_dirac_gan_diverges(gamma):
    limit = dynamics.dirac_stable_lr(gamma)
    assert gamma > 1 or limit == 4 * gamma
    value = dynamics.dirac_gan(gamma)
    for share, converges in ((0.97, True), (1.03, False)):
        assert (dynamics.dirac_growth(share * limit, gamma) < 1) == converges
        start = real(1e-8), real(1e-8)
        path = dynamics.play(value, *start, lr=share * limit, rule="simultaneous", steps=400)
        r = squares(path)
        assert (r[-100:].max() < r[:100].max()) == converges


def test_the_linear_part_says_where_other_rules_go():
    """All but simultaneous play may converge without a penalty; the path agrees."""
    value, zero = dynamics.dirac_gan(), real(0)
    for rule, converges in zip(RULES, (False, False, True, True), strict=True):
        largest = sizes(dynamics.local_eigenvalues(value, zero, zero, lr=0.8, rule=rule))[-1]
        assert (largest < 1 - 1e-9) == converges
        path = dynamics.play(value, real(0.1), real(0.1), lr=0.8, rule=rule, steps=200)
        assert (squares(path)[-1] < 1e-6) == converges


def test_players_of_any_shape():
    dtype = torch.float32
    theta = torch.arange(6, dtype=dtype).view(2, 3).requires_grad_()
    phi = torch.ones(4, 1, 2, dtype=dtype)
    target = torch.full((2, 3), 0.5)

    def value(theta, phi):
        return (theta - target).square().sum() - (phi - theta.sum()).square().sum()

    for rule in RULES:
        with torch.no_grad():
            path = dynamics.play(value, theta, phi, lr=0.01, rule=rule, steps=7)
        assert path.theta.shape == (8, 2, 3)
        assert path.phi.shape == (8, 4, 1, 2)
        assert path.theta.dtype == path.phi.dtype == dtype
        assert not path.theta.requires_grad
        assert (path.theta[0] == theta).all()
        assert (path.phi[0] == phi).all()
        values = [value(*each).item() for each in zip(path.theta, path.phi, strict=True)]
        assert len(set(values)) == 8
    assert theta.grad is None
    alone = dynamics.play(lambda a, b: (a**2).sum(), theta, phi, lr=0.1, steps=1)
    torch.testing.assert_close(alone.theta[1], 0.8 * theta.detach())
    assert (alone.phi[1] == phi).all()
    assert dynamics.play(value, theta, phi, lr=0.1, steps=0).theta.shape == (1, 2, 3)


def test_errors():
    with pytest.raises(
        ValueError, match="rule='adam' is not a rule; pass one of simultaneous, alt"
    ):
        dynamics.play(product, real(1), real(1), lr=0.1, rule="adam", steps=1)
    with pytest.raises(ValueError, match="lr=0 is not positive; pass lr > 0"):
        dynamics.local_eigenvalues(product, real(1), real(1), lr=0)
    with pytest.raises(ValueError, match=r"a tensor of shape \(1,\); return one number"):
        dynamics.play(lambda theta, phi: theta * phi, real(1), real(1), lr=0.1, steps=1)

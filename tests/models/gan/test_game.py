"""The two-sample game: enumeration, quadrature and finite differences."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unsup_fast.information import (
    bretagnolle_huber_bound,
    js_divergence,
    kl_divergence,
    pinsker_bound,
    total_variation,
)

torch = pytest.importorskip("torch")

from unsup_fast.models.gan import LOSSES, game  # noqa: E402

SIDE = 1.0  # half the distance of the means of two normal distributions
NAMES = ["minimax", "least-squares", "hinge", "relativistic"]
sizes = st.shared(st.integers(1, 8), key="outcomes")
vectors = sizes.flatmap(
    lambda n: arrays(np.float64, n, elements=st.one_of(st.just(0.0), st.floats(1e-3, 1)))
)
distributions = vectors.map(lambda w: (w + (w.sum() == 0)) / (w + (w.sum() == 0)).sum())
outputs = sizes.flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-5, 5)))


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def draw(rng, *shape):
    p = rng.exponential(size=shape) ** 2
    return p / p.sum(axis=-1, keepdims=True)


def log_normal(mean, std=1.0):
    return lambda x: scipy.stats.norm.logpdf(x, mean, std)


def integral(function):
    return scipy.integrate.quad(function, -12, 12, points=[0], epsabs=1e-12)[0]


def discriminator_loss(p, q, d, loss):
    """Return the loss of outputs `d`, as the sum over outcomes."""
    if loss == "minimax":
        return p @ np.log1p(np.exp(-d)) + q @ np.log1p(np.exp(d))
    if loss == "least-squares":
        return (p @ (d - 1) ** 2 + q @ d**2) / 2
    if loss == "hinge":
        return p @ np.maximum(0, 1 - d) + q @ np.maximum(0, 1 + d)
    return p @ np.log1p(np.exp(d[None] - d[:, None])) @ q


@pytest.mark.parametrize("n", [2, 5, 9, 12])
def test_the_best_guess_is_the_best_of_all_policies(rng, n):
    policies = (np.arange(2**n)[:, None] >> np.arange(n)) & 1  # [2^n, n]
    for _ in range(5):
        p, q = draw(rng, n), draw(rng, n)
        errors = game.guess_error(policies, p, q)
        guess = game.best_guess(p, q)
        np.testing.assert_array_equal(guess, policies[errors.argmin()])
        assert game.guess_error(guess, p, q) == pytest.approx(errors.min(), abs=1e-15)
        assert game.best_error(p, q) == pytest.approx(errors.min(), abs=1e-15)


def test_ties_are_guessed_to_be_real_and_cost_nothing():
    p, q = [0.5, 0.25, 0.25, 0], [0.25, 0.25, 0.5, 0]
    np.testing.assert_array_equal(game.best_guess(p, q), [1, 1, 0, 1])
    assert game.best_error(p, q) == game.guess_error([1, 0.3, 0, 0], p, q) == 0.375
    assert game.best_error([1, 0], [0, 1]) == 0
    tiny = game.best_error([1, 1e-30], [1e-40, 1])  # 1 less the distance would be 0
    assert tiny == pytest.approx(5e-31, rel=1e-9)
    assert game.optimal_loss([1, 1e-30], [1e-40, 1], "hinge") == 4 * tiny


@given(distributions, distributions, outputs)
def test_no_policy_errs_less_often(p, q, d):
    eta = 1 / (1 + np.exp(-d))
    best = game.best_error(p, q)
    assert 0 <= best + 1e-15 <= 0.5 + 2e-15
    assert best <= game.guess_error(eta, p, q) + 1e-15
    assert game.least_error(kl_divergence(p, q)) <= best + 1e-12
    merged = [np.add.reduceat(x, [0, len(x) // 2]) if len(x) > 1 else x for x in (p, q)]
    assert best <= game.best_error(*merged) + 1e-15  # no function of a point says more than it


@given(distributions, distributions, outputs, st.sampled_from(NAMES))
def test_no_output_has_a_lower_loss(p, q, d, loss):
    least = game.optimal_loss(p, q, loss)
    assert least <= discriminator_loss(p, q, d, loss) + 1e-12
    with np.errstate(divide="ignore"):
        best = game.optimal_output(np.log(p), np.log(q), loss)
    best = np.clip(best, -40, 40)
    assert discriminator_loss(p, q, best, loss) == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("loss", NAMES)
def test_losses_are_those_of_training(rng, loss):
    """The mean over samples of two distributions is the sum over outcomes."""
    p, q, d = np.array([3, 0, 2, 1]), np.array([1, 1, 1, 3]), rng.normal(size=4) * 2
    real, fake = (torch.from_numpy(np.repeat(d, counts)) for counts in (p, q))  # [6]
    if loss == "relativistic":  # all pairs
        real, fake = real.repeat(6), fake.repeat_interleave(6)
    actual = LOSSES[loss].discriminator(real, fake).item()
    assert actual == pytest.approx(discriminator_loss(p / 6, q / 6, d, loss), rel=1e-12)


def test_outputs_of_known_densities():
    log_p, log_q = np.array([0.0, -np.inf, -np.inf, -800]), np.array([0, 0.0, -np.inf, -801])
    shares = [0.5, 0, 0.5, 1 / (1 + np.exp(-1))]
    np.testing.assert_allclose(game.optimal_discriminator(log_p, log_q), shares, rtol=1e-15)
    for loss, expected in {
        "minimax": [0, -np.inf, 0, 1],
        "non-saturating": [0, -np.inf, 0, 1],
        "relativistic": [0, -np.inf, 0, 1],
        "hinge": [0, -1, 0, 1],
        "least-squares": shares,
    }.items():
        np.testing.assert_allclose(game.optimal_output(log_p, log_q, loss), expected, rtol=1e-15)
    tiny = game.optimal_discriminator(-700.0, 0.0)
    assert tiny == pytest.approx(np.exp(-700), rel=1e-12)
    with pytest.raises(ValueError, match="loss='wasserstein' has no closed form here; pass one of"):
        game.optimal_output(log_p, log_q, "wasserstein")
    with pytest.raises(ValueError, match="pass one of minimax, non-saturating, least-squares, h"):
        game.generator_divergence([1.0], [1.0], "relativistic")


def test_two_normal_distributions():
    """N(m, 1) and N(-m, 1): errors by Phi, losses at their optimum by adaptive quadrature."""
    x, step = np.linspace(-12, 12, 4801, retstep=True)
    for m in (0.25, SIDE, 2.0):
        p, q = (game.on_grid(log_normal(mean), x, step) for mean in (m, -m))
        assert total_variation(p, q) == pytest.approx(2 * scipy.stats.norm.cdf(m) - 1, abs=2e-6)
        assert game.best_error(p, q) == pytest.approx(scipy.stats.norm.cdf(-m), abs=1e-6)
        best = game.optimal_discriminator(log_normal(m)(x), log_normal(-m)(x))
        np.testing.assert_allclose(best, 1 / (1 + np.exp(-2 * m * x)), rtol=1e-12)
        f, g = scipy.stats.norm(m).pdf, scipy.stats.norm(-m).pdf

        def cross_entropy(x, f=f, g=g, m=m):
            return f(x) * np.logaddexp(0, -2 * m * x) + g(x) * np.logaddexp(0, 2 * m * x)

        minimax = integral(cross_entropy)
        squares = integral(lambda x, f=f, g=g: f(x) * g(x) / (f(x) + g(x))) / 2
        assert game.optimal_loss(p, q, "minimax") == pytest.approx(minimax, abs=1e-11)
        assert game.optimal_loss(p, q, "non-saturating") == game.optimal_loss(p, q, "minimax")
        assert game.optimal_loss(p, q, "least-squares") == pytest.approx(squares, abs=1e-11)
    few = slice(
        None, None, 12
    )  # the relativistic loss is over pairs, of which the difference counts
    m = SIDE
    p, q = (game.on_grid(log_normal(mean), x[few], 12 * step) for mean in (m, -m))
    shift = scipy.stats.norm(2 * m, np.sqrt(2)).pdf
    pairs = integral(lambda t: shift(t) * np.logaddexp(0, -2 * m * t))
    assert game.optimal_loss(p, q, "relativistic") == pytest.approx(pairs, abs=1e-9)


def test_values_of_the_normal_pair():
    x, step = np.linspace(-12, 12, 4801, retstep=True)
    p, q = (game.on_grid(log_normal(mean), x, step) for mean in (SIDE, -SIDE))
    assert js_divergence(p, q) == pytest.approx(0.33683, abs=5e-6)
    assert total_variation(p, q) == pytest.approx(0.68269, abs=5e-6)
    assert game.optimal_loss(p, q, "minimax") == pytest.approx(0.71263, abs=5e-6)
    assert 2 * game.optimal_loss(p, q, "least-squares") == pytest.approx(0.22480, abs=5e-6)
    assert game.optimal_loss(p, q, "hinge") == pytest.approx(0.63462, abs=1e-5)
    # In the plane, where the second coordinate tells nothing.
    grid = np.stack(np.meshgrid(x[::24], x[::24], indexing="ij"), -1).reshape(-1, 2)
    planes = [
        game.on_grid(lambda z, m=m: log_normal(m)(z[:, 0]) + log_normal(0)(z[:, 1]), grid, w)
        for m, w in ((SIDE, (24 * step) ** 2), (-SIDE, np.full(len(grid), (24 * step) ** 2)))
    ]
    assert js_divergence(*planes) == pytest.approx(js_divergence(p, q), abs=1e-10)
    with pytest.raises(ValueError, match=r"a mass of 0\.5\d* of the density, not 1 within 1e-05"):
        game.on_grid(log_normal(0), x[2400:], step)


def test_logistic_regression_finds_the_slope(rng):
    """It is 2 m and the offset 0, within three standard errors by the Fisher information."""
    n = 50_000
    x = np.concatenate([rng.normal(SIDE, 1, n), rng.normal(-SIDE, 1, n)])
    y = np.repeat([1.0, 0.0], n)
    columns, w = np.stack([x, np.ones_like(x)], 1), np.zeros(2)
    for _ in range(12):  # Newton's method
        guess = 1 / (1 + np.exp(-columns @ w))
        fisher = (columns * (guess * (1 - guess))[:, None]).T @ columns
        w += np.linalg.solve(fisher, columns.T @ (y - guess))
    errors = np.sqrt(np.diag(np.linalg.inv(fisher)))
    assert np.abs(w - [2 * SIDE, 0] <= 3 * errors).all()
    assert errors[0] < 0.02


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "least-squares", "hinge"])
def test_generators_follow_the_gradient_of_their_divergence(loss):
    """By central differences: the discriminator held fixed on one side, its best on the other."""
    x, step = np.linspace(-14, 14, 28_001, retstep=True)
    p, h = game.on_grid(log_normal(0), x, step), 1e-5

    def q(mean):
        return game.on_grid(log_normal(mean), x, step)

    for mean in (-2.0007, -0.4003, 0.0, 0.3003, 1.1001):  # where densities cross is no point
        d = game.optimal_output(log_normal(0)(x), log_normal(mean)(x), loss)
        alone = torch.from_numpy(d)[:, None]  # the generator's loss of each point
        costs = torch.func.vmap(LOSSES[loss].generator)(alone, alone).numpy()
        own = (q(mean + h) - q(mean - h)) @ costs / (2 * h)
        up, down = (game.generator_divergence(p, q(mean + s * h), loss) for s in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(own, abs=1e-6)
        assert np.sign(np.round(own, 9)) == np.sign(mean)  # none vanishes but at the data


def test_saturation():
    """Far from the data the first loss has hardly a gradient, the second the more of it."""
    x, step = np.linspace(-30, 30, 6001, retstep=True)
    p = game.on_grid(log_normal(-6), x, step)
    q = [game.on_grid(log_normal(6 + s), x, step) for s in (0, 1e-3)]
    falls = {
        loss: (game.generator_divergence(p, q[1], loss) - game.generator_divergence(p, q[0], loss))
        for loss in ("minimax", "non-saturating")
    }
    assert 0 <= falls["minimax"] < 1e-9
    assert falls["non-saturating"] > 5e-3


@given(distributions, distributions)
def test_divergences_of_generators(p, q):
    m = (p + q) / 2
    js, tv = js_divergence(p, q), total_variation(p, q)
    assert game.generator_divergence(p, q, "minimax") == pytest.approx(2 * js)
    assert game.generator_divergence(p, q, "hinge") == pytest.approx(2 * tv)
    expected = kl_divergence(q, p) - 2 * js
    divergence = game.generator_divergence(p, q, "non-saturating")
    assert divergence == pytest.approx(expected, rel=1e-9, abs=1e-12)
    both = p + q > 0
    triangle = ((p - q)[both] ** 2 / (p + q)[both]).sum()
    assert game.optimal_loss(p, q, "least-squares") == pytest.approx(0.25 - triangle / 8)
    divergence = game.generator_divergence(p, q, "least-squares")
    assert divergence == pytest.approx(kl_divergence(p, m) - triangle / 8, abs=1e-12)
    assert divergence >= -1e-12
    for loss in ("minimax", "non-saturating", "least-squares", "hinge"):
        assert game.generator_divergence(p, p, loss) == pytest.approx(0, abs=1e-15)


def test_bounds_hold_on_random_pairs(rng):
    p, q = draw(rng, 1000, 7), draw(rng, 1000, 7)
    q[:300] = (1 - 1e-3) * p[:300] + 1e-3 * q[:300]  # near pairs, for which Pinsker is tight
    divergence, distance = kl_divergence(p, q), total_variation(p, q)
    assert (distance <= pinsker_bound(divergence)).all()
    assert (distance <= bretagnolle_huber_bound(divergence)).all()
    assert (game.least_error(divergence) <= game.best_error(p, q)).all()
    assert (game.best_error(p, q) >= np.exp(-divergence) / 4).all()
    assert (pinsker_bound(divergence) > 1).any()  # where the other still says something


def test_batches_tensors_and_gradients(rng):
    p, q = draw(rng, 3, 1, 6), draw(rng, 4, 6)
    for loss in NAMES:
        actual = game.optimal_loss(p, q, loss)
        assert actual.shape == (3, 4)
        assert actual[2, 1] == pytest.approx(game.optimal_loss(p[2, 0], q[1], loss), rel=1e-14)
        tensor = game.optimal_loss(torch.from_numpy(p), torch.from_numpy(q), loss)
        np.testing.assert_allclose(tensor.numpy(), actual, rtol=1e-13)
    assert game.best_guess(p, q).shape == (3, 4, 6)
    assert game.best_guess(np.float32(p), torch.from_numpy(np.float32(q))).dtype == torch.float32
    log_q = torch.from_numpy(np.log(q[0])).requires_grad_()
    logits = torch.from_numpy(np.log(p[0, 0])) - log_q.detach()
    loss = game.generator_divergence(torch.from_numpy(p[0, 0]), log_q.softmax(-1), "minimax")
    fixed = (log_q.softmax(-1) * torch.nn.functional.logsigmoid(-logits)).sum()
    pair = (torch.autograd.grad(each, log_q)[0] for each in (loss, fixed))
    torch.testing.assert_close(*pair, rtol=1e-10, atol=1e-14)
    with pytest.raises(ValueError, match=r"q sums to 0\.5"):
        game.best_error([0.5, 0.5], [0.25, 0.25])

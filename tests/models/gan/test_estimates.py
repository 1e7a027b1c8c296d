"""Estimates from outputs of discriminators and critics, known and trained, against the truth."""

import numpy as np
import pytest
import scipy.stats

torch = pytest.importorskip("torch")

from unsup_fast.models.gan import LOSSES, estimates, game, wasserstein  # noqa: E402
from unsup_fast.models.gan.penalties import clip_weights, gradient_penalty, squared_gradient_norm  # noqa: E402

SIDE = 1.0  # half the distance of the means of two normal distributions
JS, TV, LEAST_SQUARES = 0.33683, 0.68269, 0.22480 / 2  # by quadrature, see test_game.py


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def draw(rng, *shape):
    p = rng.exponential(size=shape) ** 2
    return p / p.sum(axis=-1, keepdims=True)


def test_samples_of_known_densities(rng):
    """Estimates by the best outputs are the divergences, within what they say of themselves."""
    x, y = rng.normal(SIDE, 1, 100_000), rng.normal(-SIDE, 1, 50_000)
    real, fake = 2 * SIDE * x, torch.from_numpy(2 * SIDE * y).float()
    for estimate, true in (
        (estimates.js_from_logits(real, fake), JS),
        (estimates.tv_from_logits(real, fake), TV),
        (estimates.wasserstein_from_critic(2 * x, torch.from_numpy(2 * y), slope=2), 2 * SIDE),
    ):
        assert abs(estimate.value - true) <= 3.5 * estimate.standard_error
        assert 0 < estimate.standard_error < 0.01
    shares = 1 / (1 + np.exp(-real)), torch.sigmoid(fake)
    actual = estimates.tv_from_logits(*shares, threshold=0.5)
    assert actual.value == pytest.approx(estimates.tv_from_logits(real, fake).value, abs=1e-4)


def test_standard_errors(rng):
    """They are the spread of estimates over draws of samples."""
    x, y = rng.normal(SIDE, 1, (400, 500)), rng.normal(-SIDE, 1, (400, 300))
    for estimate in (
        estimates.js_from_logits,
        estimates.tv_from_logits,
        estimates.wasserstein_from_critic,
    ):
        each = [estimate(a, b) for a, b in zip(x, y, strict=True)]
        stated = np.mean([one.standard_error for one in each])
        assert np.std([one.value for one in each]) == pytest.approx(stated, rel=0.15)


def test_bad_samples():
    with pytest.raises(ValueError, match="fake has 1 numbers; an estimate needs at least 2"):
        estimates.js_from_logits([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="real has NaN at 1"):
        estimates.tv_from_logits([0.0, np.nan], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"slope=0\.0 is not positive"):
        estimates.wasserstein_from_critic([0.0, 1.0], [0.0, 1.0], slope=0.0)


def test_the_best_critic_on_a_line(rng):
    for n in (1, 2, 30):
        x = np.sort(rng.normal(size=n))
        p, q = draw(rng, n), draw(rng, n)
        critic = wasserstein.optimal_critic(x, p, q)
        assert (np.abs(np.diff(critic)) <= np.diff(x) * (1 + 1e-12)).all()
        true = scipy.stats.wasserstein_distance(x, x, p, q)
        assert (p - q) @ critic == pytest.approx(true, rel=1e-12, abs=1e-15)
    with pytest.raises(ValueError, match="must be vectors of one length, with points in rising"):
        wasserstein.optimal_critic([1.0, 0.0], [0.5, 0.5], [0.5, 0.5])


def test_wasserstein_distances_of_normal_distributions(rng):
    x, step = np.linspace(-20, 20, 40_001, retstep=True)
    for pair in ((0, 1, 0.7, 1), (0, 1, 0, 2.5), (-0.3, 0.8, 0.5, 1.7), (4, 1, 0, 1.01)):
        p, q = (
            game.on_grid(scipy.stats.norm(*each).logpdf, x, step) for each in (pair[:2], pair[2:])
        )
        true = (p - q) @ wasserstein.optimal_critic(x, p, q)
        assert wasserstein.wasserstein_gaussian(*pair) == pytest.approx(true, abs=1e-6)
    zero = np.zeros(2)
    assert wasserstein.wasserstein_gaussian(zero, 2, zero, 1) == pytest.approx(1.2533, abs=5e-5)
    assert wasserstein.wasserstein_gaussian([3, 4], 2, zero, 2) == 5
    scaled = wasserstein.wasserstein_gaussian(np.zeros(500), 1, np.zeros(500), 3)
    assert scaled == pytest.approx(2 * scipy.stats.chi(500).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="differ by 5 and deviations by 1 in 2 dimensions"):
        wasserstein.wasserstein_gaussian([3, 4], 2, zero, 1)


def mlp(width=64):
    """Return a network from the plane to a number."""
    layers = torch.nn.Linear, torch.nn.LeakyReLU
    return torch.nn.Sequential(
        layers[0](2, width),
        layers[1](0.2),
        layers[0](width, width),
        layers[1](0.2),
        layers[0](width, 1),
        torch.nn.Flatten(0),
    )


def two(n, generator, distance=2 * SIDE, std=1.0):
    """Return n points of each of two normal distributions in the plane."""
    real, fake = torch.randn(2, n, 2, generator=generator)
    shift = torch.tensor([0.6, 0.8]) * distance / 2
    return std * real + shift, fake - shift


def trained(loss, steps, sample, batch=512, betas=(0.5, 0.99), lr=5e-3):
    """Return a network that minimizes a loss of (network, real, fake)."""
    torch.manual_seed(0)
    network, generator = mlp(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network, *sample(batch, generator)).backward()
        optimizer.step()
        schedule.step()
    return network


@pytest.mark.parametrize("name", ["minimax", "least-squares", "hinge"])
def test_trained_discriminators_measure_divergences(name):
    """On 100,000 fresh points of each side, to 0.01."""
    of_outputs = LOSSES[name].discriminator
    steps = 600 if name == "hinge" else 400
    network = trained(lambda d, real, fake: of_outputs(d(real), d(fake)), steps, two)
    with torch.no_grad():
        real, fake = (network(x).double() for x in two(100_000, torch.Generator().manual_seed(2)))
        loss = float(of_outputs(real, fake))
    if name == "minimax":
        js = estimates.js_from_logits(real, fake)
        assert js.value == pytest.approx(np.log(2) - loss / 2, rel=1e-12)
        assert js.value == pytest.approx(JS, abs=0.01)
    elif name == "least-squares":
        assert loss == pytest.approx(LEAST_SQUARES, abs=0.01)
    else:
        assert 1 - loss / 2 == pytest.approx(TV, abs=0.01)
    tv = estimates.tv_from_logits(real, fake, threshold=0.5 if name == "least-squares" else 0.0)
    assert tv.value == pytest.approx(TV, abs=0.01)


def slopes(critic, real, fake, mix):
    """Return the norm of a critic's gradient between pairs of points."""
    x = (mix[:, None] * real + (1 - mix[:, None]) * fake).requires_grad_()
    return squared_gradient_norm(critic(x), x).detach().sqrt()


def critic_of(sample, weight, steps):
    """Return a critic trained with a gradient penalty on samples, and 100,000 fresh ones."""
    of_outputs = LOSSES["wasserstein"].discriminator

    def drawn(n, generator):
        return *sample(n, generator), torch.rand(n, generator=generator)

    def loss(critic, real, fake, mix):
        penalty = gradient_penalty(critic, real, fake, mix).mean()
        return of_outputs(critic(real), critic(fake)) + weight * penalty

    critic = trained(loss, steps, drawn, batch=256, betas=(0.5, 0.9))
    return critic, drawn(100_000, torch.Generator().manual_seed(2))


def test_a_gradient_penalty_overestimates_the_distance_by_a_known_factor():
    distance, weight = 3.0, 10.0
    critic, (real, fake, mix) = critic_of(lambda *a: two(*a, distance), weight, 400)
    slope = wasserstein.gradient_penalty_slope(distance, weight)
    assert slope == 1.15
    with torch.no_grad():
        outputs = critic(real), critic(fake)
    raw = estimates.wasserstein_from_critic(*outputs)
    assert raw.value == pytest.approx(distance * slope, rel=0.03)
    mean = float(slopes(critic, real, fake, mix).mean())
    assert mean == pytest.approx(slope, rel=0.03)
    normalized = estimates.wasserstein_from_critic(*outputs, slope=mean)
    assert normalized.value == pytest.approx(distance, rel=0.03)


def test_a_gradient_penalty_between_distributions_of_unlike_widths():
    """The slope is not the same everywhere, so its mean corrects less well."""
    critic, (real, fake, mix) = critic_of(lambda *a: two(*a, distance=0.0, std=2.0), 10.0, 400)
    with torch.no_grad():
        outputs = critic(real), critic(fake)
    mean = float(slopes(critic, real, fake, mix).mean())
    actual = estimates.wasserstein_from_critic(*outputs, slope=mean)
    true = wasserstein.wasserstein_gaussian(np.zeros(2), 2, np.zeros(2), 1)
    assert actual.value == pytest.approx(true, rel=0.07)


def test_clipped_weights_measure_a_multiple_of_the_distance():
    """By the largest slope it is a lower bound, by whose share the distance is not known."""
    of_outputs, limit, shares, means = LOSSES["wasserstein"].discriminator, 0.05, [], []
    for distance in (0.5, 1.0, 2.0, 4.0):

        def loss(critic, real, fake):
            clip_weights(critic.parameters(), limit)
            return of_outputs(critic(real), critic(fake))

        critic = trained(loss, 150, lambda *a, d=distance: two(*a, d), batch=256, betas=(0.5, 0.9))
        clip_weights(critic.parameters(), limit)
        generator = torch.Generator().manual_seed(2)
        real, fake = two(20_000, generator, distance)
        norms = slopes(critic, real, fake, torch.rand(20_000, generator=generator))
        with torch.no_grad():
            outputs = critic(real), critic(fake)
        for ratios, slope in ((shares, norms.max()), (means, norms.mean())):
            measured = estimates.wasserstein_from_critic(*outputs, slope=float(slope))
            ratios.append(measured.value / distance)
    assert max(shares) < 1
    assert shares == pytest.approx([np.mean(shares)] * 4, rel=0.1)
    assert means == pytest.approx([np.mean(means)] * 4, rel=0.05)

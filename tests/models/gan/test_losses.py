"""Losses and penalties against formulas, one number at a time."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from unsup_fast.models.gan import penalties  # noqa: E402
from unsup_fast.models.gan.losses import LOSSES  # noqa: E402


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# of single scores a of a real and b of a generated sample
DISCRIMINATORS = {
    "minimax": lambda a, b: -math.log(sigmoid(a)) - math.log(1 - sigmoid(b)),
    "non-saturating": lambda a, b: -math.log(sigmoid(a)) - math.log(1 - sigmoid(b)),
    "least-squares": lambda a, b: ((a - 1) ** 2 + b**2) / 2,
    "wasserstein": lambda a, b: b - a,
    "hinge": lambda a, b: max(0, 1 - a) + max(0, 1 + b),
    "relativistic": lambda a, b: -math.log(sigmoid(a - b)),
}
GENERATORS = {
    "minimax": lambda a, b: math.log(1 - sigmoid(b)),
    "non-saturating": lambda a, b: -math.log(sigmoid(b)),
    "least-squares": lambda a, b: (b - 1) ** 2 / 2,
    "wasserstein": lambda a, b: -b,
    "hinge": lambda a, b: -b,
    "relativistic": lambda a, b: -math.log(sigmoid(b - a)),
}
GUESSES = {  # the discriminator's loss where all scores are zero
    "minimax": math.log(4),
    "non-saturating": math.log(4),
    "least-squares": 0.5,
    "wasserstein": 0.0,
    "hinge": 2.0,
    "relativistic": math.log(2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_formulas(name):
    random = np.random.default_rng(0)
    a, b = 3 * random.normal(size=(2, 17))
    real, fake = torch.from_numpy(a), torch.from_numpy(b)
    discriminator = np.mean([DISCRIMINATORS[name](*pair) for pair in zip(a, b, strict=True)])
    generator = np.mean([GENERATORS[name](*pair) for pair in zip(a, b, strict=True)])
    loss = LOSSES[name]
    assert float(loss.discriminator(real, fake)) == pytest.approx(discriminator, abs=1e-12)
    assert float(loss.generator(fake, real)) == pytest.approx(generator, abs=1e-12)
    zero = torch.zeros(5, dtype=torch.float64)
    assert float(loss.discriminator(zero, zero)) == pytest.approx(GUESSES[name])


@pytest.mark.parametrize("name", LOSSES)
def test_only_paired_generators_see_real_scores(name):
    fake, real = torch.randn(6), torch.randn(6)
    loss = LOSSES[name]
    same = torch.equal(loss.generator(fake, real), loss.generator(fake, real + 1))
    assert same != loss.paired


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_losses_of_large_scores_are_finite(scale):
    scores = torch.full((3,), scale, requires_grad=True)
    for loss in LOSSES.values():
        for value in (loss.discriminator(scores, -scores), loss.generator(scores, -scores)):
            (gradient,) = torch.autograd.grad(value, scores)
            assert value.isfinite()
            assert gradient.isfinite().all()


def test_the_gradient_norm_of_a_quadratic():
    """D(x) = x^T A x / 2, whose gradient is A x, so that of |A x|^2 in x is 2 A^2 x."""
    torch.manual_seed(0)
    a = torch.randn(4, 4, dtype=torch.float64)
    a = a + a.T
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    norms = penalties.squared_gradient_norm(((x @ a) * x).sum(1) / 2, x)
    torch.testing.assert_close(norms, (x @ a).square().sum(1))
    (gradient,) = torch.autograd.grad(norms.sum(), x)
    torch.testing.assert_close(gradient, 2 * x @ a @ a)


def test_the_penalty_of_a_linear_critic():
    """D(x) = w x has the gradient w everywhere, so the penalty is (|w| - 1)^2."""
    w = torch.tensor([3.0, -4.0], dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 6, 2, dtype=torch.float64)
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x @ w

    mix = torch.linspace(0, 1, 6, dtype=torch.float64)
    values = penalties.gradient_penalty(critic, real, fake, mix)
    torch.testing.assert_close(values, torch.full((6,), 16.0, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(values.sum(), w)
    torch.testing.assert_close(gradient, 6 * 2 * 4 * w.detach() / 5)
    torch.testing.assert_close(seen[0], mix[:, None] * real + (1 - mix[:, None]) * fake)


def test_the_penalty_of_a_constant_critic_has_a_gradient():
    w = torch.zeros(2, requires_grad=True)
    x = torch.randn(2, 3, 2)
    values = penalties.gradient_penalty(lambda x: x @ w, x[0], x[1], torch.rand(3))
    (gradient,) = torch.autograd.grad(values.sum(), w)
    assert torch.equal(values, torch.ones(3))
    assert gradient.isfinite().all()


def test_clipped_weights():
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight.fill_(5)
        network.bias.fill_(-5)
    penalties.clip_weights(network.parameters(), 0.01)
    assert torch.equal(network.weight, torch.full((2, 3), 0.01))
    assert torch.equal(network.bias, torch.full((2,), -0.01))

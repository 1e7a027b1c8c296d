"""The alarm: rules on numbers, and trainings that fail or do not."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.alarm import BEGIN, CHECKS, PATIENCE  # noqa: E402

HEALTHY = {"spread": 0.9, "sign": 0.5, "generator_norm": 0.1}


def signals(values, steps):
    alarm = gan.Alarm()
    return [signal for step in steps for signal in alarm.add(step, {**HEALTHY, **values})]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"spread": 0.2}, "collapse"),
        ({"spread": 5.0}, "divergence"),
        ({"sign": 0.99}, "discriminator won"),
        ({"sign": -0.99}, "discriminator lost"),
        ({"generator_norm": 1e-8}, "dead gradient"),
    ],
)
def test_each_is_raised_once_when_it_has_lasted(values, name):
    raised = signals(values, range(10, 5000, 10))
    check = next(check for check in CHECKS if check.name == name)
    step = check.begin + check.patience
    assert [(signal.name, signal.step) for signal in raised] == [(name, step)]
    assert "Train again with" in raised[0].message
    assert not signals(values, range(10, step, 10))


def test_healthy_and_missing_numbers_raise_none():
    assert not signals({}, range(10, 2000, 10))
    assert not signals({"spread": float("nan")}, range(10, 2000, 10))
    alarm = gan.Alarm()
    assert not [each for step in range(0, 2000, 10) for each in alarm.add(step, {"other": 0.0})]


def test_a_number_that_recovers_or_comes_and_goes():
    steps = range(BEGIN, BEGIN + 4 * PATIENCE, 10)
    for share, raised in ((0.4, 0), (0.8, 1)):
        alarm = gan.Alarm()
        spread = [0.1 if step // 10 % 10 < 10 * share else 0.9 for step in steps]
        signals = [
            alarm.add(step, {**HEALTHY, "spread": value})
            for step, value in zip(steps, spread, strict=True)
        ]
        assert sum(map(len, signals)) == raised


def ring(seed):
    """Return rows of 8 Gaussians on a circle."""
    random = np.random.default_rng(seed)
    angle = random.integers(8, size=500) * np.pi / 4
    centers = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (centers + 0.05 * random.normal(size=(500, 2))).astype(np.float32)


class Critic(nn.Module):
    """Two layers; with `frozen` they do not learn."""

    def __init__(self, frozen=False):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        self.body.requires_grad_(not frozen)
        self.scale = nn.Parameter(torch.ones(()))
        self.frozen = frozen

    def forward(self, x, label):
        score = self.body(x)[:, 0]
        return score + 0 * self.scale if self.frozen else score


class Generator(nn.Module):
    """Two layers; with `constant` they do not see the latents."""

    def __init__(self, constant=False):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
        self.constant = constant

    def forward(self, z, label):
        return self.body(torch.ones_like(z) if self.constant else z)


def alarms(folder, recipe, *, seed=0, steps=520, rate=1.0, frozen=False, constant=False):
    """Return the alarms of a training, by their warnings."""
    options = gan.train_config(
        "r3gan", steps=steps, batch_size=32, seed=seed, save_every=10**6, learning_rate=1e-3 * rate
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gan.train(
            ring(seed),
            folder,
            config=gan.Config((2,), network="custom", latent=4),
            options=options,
            recipe=recipe,
            generator=Generator(constant),
            discriminator=Critic(frozen),
            device="cpu",
            progress=False,
        )
    return [str(each.message) for each in caught if each.category is RuntimeWarning]


R3GAN = gan.FAMILIES["r3gan"]
PLAIN = gan.Recipe(loss="non-saturating", betas=(0.5, 0.999))


def test_a_generator_that_is_fed_constants(tmp_path):
    messages = alarms(tmp_path, R3GAN, constant=True)
    assert any("has collapsed" in each for each in messages)


def test_a_discriminator_that_does_not_learn(tmp_path):
    messages = alarms(tmp_path, R3GAN, frozen=True, rate=5)
    assert any("does not learn" in each for each in messages)


@pytest.mark.parametrize("recipe", [R3GAN, PLAIN])
def test_a_learning_rate_that_is_far_too_high(recipe, tmp_path):
    """Of 1: fifty times the usual one does no harm to networks as small as these."""
    messages = alarms(tmp_path, recipe, rate=1000, steps=700)
    assert any("collapsed" in each or "diverges" in each for each in messages)


@pytest.mark.parametrize("recipe", [R3GAN, replace(R3GAN, loss="hinge", r2=0.0)])
def test_a_healthy_run_raises_none(recipe, tmp_path):
    assert alarms(tmp_path, recipe, seed=1, steps=800) == []

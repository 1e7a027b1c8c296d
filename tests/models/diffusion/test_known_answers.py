"""Known distributions: a Gaussian with its best network, and a mixture that is learned.

Samples are compared by the energy distance with those of the distribution, against all the random
halves of both; bits per dimension with the entropy.
"""

import functools
import math

import numpy as np
import pytest
import torch

from unsup_fast.models.diffusion import Config, Diffusion, train
from unsup_fast.models.diffusion.config import SAMPLERS
from unsup_fast.models.diffusion.likelihood import nll_bits_per_dim
from unsup_fast.models.diffusion.objective import OBJECTIVES
from unsup_fast.models.diffusion.process import convert_prediction
from unsup_fast.models.training import TrainConfig

N = 2000
MEAN = np.array([0.4, -0.3, 0.1])
ROOT = np.array([[0.6, 0.0, 0.0], [0.3, 0.4, 0.0], [-0.1, 0.2, 0.15]])
COVARIANCE = ROOT @ ROOT.T
STEPS = {"ddpm": 200, "euler_a": 200, "heun": 60, "ddim": 80, "euler": 80}  # by default 40
FEW_STEPS = ("consistency", "lcm")  # for consistency models
BITS = 1 / math.log(2)

ANGLES = np.arange(8) * np.pi / 4
CENTRES = 0.8 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)  # [8, 2]
SPREAD = 0.15


class Best(torch.nn.Module):
    """Returns the best prediction for a noisy sample of the Gaussian.

    E(x_0 | x_t) = m + a C (a^2 C + s^2)^-1 (x - a m). A consistency model returns where the
    probability-flow equation ends, m + C^(1/2) (a^2 C + s^2)^(-1/2) (x - a m).
    """

    def __init__(self, config, dtype, consistent=False):
        super().__init__()
        self.consistent = consistent
        self.levels = config.training_objective()
        variances, axes = np.linalg.eigh(COVARIANCE)
        self.mean = torch.nn.Parameter(torch.tensor(MEAN, dtype=dtype))
        self.register_buffer("variances", torch.tensor(variances, dtype=dtype))
        self.register_buffer("axes", torch.tensor(axes, dtype=dtype))

    def forward(self, x, time, label=None):
        if self.levels.prediction == "flow_prediction":
            a, s = 1 - time.to(x) / 1000, time.to(x) / 1000
        else:
            logs = np.log(self.levels.sigma / self.levels.signal)  # those of Heun lie between
            sigma = np.exp(np.interp(time.double().numpy(), self.levels.times, logs))
            size = np.hypot(1, sigma)
            a, s = torch.from_numpy(1 / size).to(x), torch.from_numpy(sigma / size).to(x)
        spread = a[:, None] ** 2 * self.variances + s[:, None] ** 2
        gain = a[:, None] * self.variances / spread
        if self.consistent:
            gain = (self.variances / spread).sqrt()
        along = (x - a[:, None] * self.mean) @ self.axes  # [B, 3]
        image = self.mean + (gain * along) @ self.axes.T
        return convert_prediction(
            image, x, a, s, prediction_type="sample", to=self.levels.prediction
        )


class Learner(torch.nn.Module):
    """Four layers on Fourier features of the point and of time."""

    def __init__(self, width=96):
        super().__init__()
        random = torch.Generator().manual_seed(7)
        self.register_buffer("of_point", 4 * torch.randn(2, 32, generator=random))
        self.register_buffer("of_time", 2.0 ** torch.arange(-1, 7) * math.pi / 1000)
        layers = []
        for inputs in (2 + 64 + 16, width, width):
            layers += [torch.nn.Linear(inputs, width), torch.nn.SiLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(width, 2))

    def forward(self, x, time, label=None):
        point, phase = x @ self.of_point, time.to(x)[:, None] * self.of_time
        return self.layers(
            torch.cat([x, point.cos(), point.sin(), phase.cos(), phase.sin()], dim=1)
        )


def best(objective, n_timesteps=1000, dtype=torch.float64, consistent=False):
    config = Config((3,), network="custom", objective=objective, n_timesteps=n_timesteps, clip=None)
    return Diffusion(Best(config, dtype, consistent), config)


def gaussian(n, seed):
    return MEAN + np.random.default_rng(seed).standard_normal((n, 3)) @ ROOT.T


def gaussian_log_density(x):
    whitened = np.linalg.solve(ROOT, (x - MEAN).T)  # [3, N]
    return -(whitened**2).sum(0) / 2 - np.linalg.slogdet(2 * np.pi * COVARIANCE)[1] / 2


def mixture(n, seed):
    random = np.random.default_rng(seed)
    return CENTRES[random.integers(8, size=n)] + SPREAD * random.standard_normal((n, 2))


def mixture_log_density(x):
    logs = -((x[:, None] - CENTRES) ** 2).sum(2) / (2 * SPREAD**2)  # [N, 8]
    return np.logaddexp.reduce(logs, axis=1) - math.log(8 * 2 * np.pi * SPREAD**2)


def excess(model, x, log_density, **options):
    """Return the excess of the bound over the bits of the density, and its standard error."""
    likelihood = nll_bits_per_dim(model, x, batch_size=4096, **options)
    gap = likelihood.per_sample + log_density(x) * BITS / x.shape[1]
    return gap.mean(), gap.std() / len(gap) ** 0.5


@functools.cache
def halves(n_permutations=200):
    """Return signs of the samples, +1 or -1, as given and then permuted: [2 N, 1 + n]."""
    random = np.random.default_rng(0)
    first = np.repeat([1.0, -1.0], N)
    return np.stack([first, *(random.permutation(first) for _ in range(n_permutations))], axis=1)


def energy(x, y):
    """Return the energy distance of samples [N, D], and the largest of random splits of both."""
    both = torch.as_tensor(np.concatenate([x, y]), dtype=torch.float64)
    signs = torch.from_numpy(halves())
    distances = -(signs * (torch.cdist(both, both) @ signs)).sum(0) / N**2
    return distances[0].item(), distances[1:].max().item()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bits_per_dimension_of_a_gaussian_approach_its_entropy(objective):
    few = [excess(best(objective, t), gaussian(4096, 1), gaussian_log_density)[0] for t in (8, 32)]
    assert few[0] > 0.3
    assert 0.4 * few[0] > few[1] > 0.05
    many, error = excess(best(objective), gaussian(16384, 1), gaussian_log_density, n_timesteps=32)
    assert error < 0.015
    assert abs(many) < 4 * error


@pytest.mark.parametrize("objective", ["v_prediction", "flow_prediction"])
def test_the_mean_over_samples_is_the_entropy(objective):
    """Samples whose mean and covariance are exact have the entropy as their mean."""
    whitened = np.linalg.qr(np.random.default_rng(2).standard_normal((N, 3)))[0]
    whitened -= whitened.mean(axis=0)
    root = np.linalg.cholesky(whitened.T @ whitened / N)
    x = MEAN + np.linalg.solve(root, whitened.T).T @ ROOT.T
    entropy = np.linalg.slogdet(2 * np.pi * np.e * COVARIANCE)[1] / 2 / 3 * BITS
    np.testing.assert_allclose(-gaussian_log_density(x).mean() / 3 * BITS, entropy, rtol=1e-9)
    likelihood = nll_bits_per_dim(best(objective, dtype=torch.float32), x, batch_size=N)
    assert abs(likelihood.bits_per_dim - entropy) < 0.07
    assert likelihood.variance == "fixed_large"


@pytest.mark.parametrize("objective", ["v_prediction", "flow_prediction"])
def test_few_timesteps_estimate_all_of_them(objective):
    x, model = gaussian(N, 3), best(objective, 200)
    all_of_them = nll_bits_per_dim(model, x, batch_size=N, variance="fixed_small")
    for count in (1, 5, 40):
        few = nll_bits_per_dim(
            model, x, batch_size=N, n_timesteps=count, variance="fixed_small", seed=1
        )
        assert few.prior == pytest.approx(all_of_them.prior)
        difference = few.per_sample - all_of_them.per_sample
        assert abs(difference.mean()) < 4 * difference.std() / N**0.5


@pytest.mark.parametrize(
    ("objective", "sampler"),
    [
        *(("v_prediction", name) for name in SAMPLERS if name not in (*FEW_STEPS, "tcd")),
        ("flow_prediction", "ddpm"),
        ("flow_prediction", "dpm++2m"),
    ],
)
def test_samples_of_a_gaussian(objective, sampler):
    samples_are_gaussian(best(objective, dtype=torch.float32), sampler, STEPS.get(sampler, 40))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("sampler", FEW_STEPS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_few_samples_of_a_consistency_model(objective, sampler, steps):
    samples_are_gaussian(best(objective, dtype=torch.float32, consistent=True), sampler, steps)


def samples_are_gaussian(model, sampler, steps):
    x = model.sample(N, sampler=sampler, steps=steps, seed=2, precision="float32")
    distance, largest = energy(x.numpy(), gaussian(N, 5))
    assert distance < largest
    spreads = np.sqrt(np.diag(COVARIANCE))
    scores = (x.double().numpy() - MEAN) / spreads
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=4 / N**0.5)
    correlations = COVARIANCE / np.outer(spreads, spreads)
    np.testing.assert_allclose(np.cov(scores.T), correlations, atol=6 / N**0.5)


@pytest.mark.parametrize("objective", ["v_prediction", "flow_prediction"])
@pytest.mark.parametrize(("steps", "error"), [(20, 0.12), (40, 0.05)])
def test_heun_comes_near_in_few_steps(objective, steps, error):
    model = best(objective, dtype=torch.float32)
    x = model.sample(N, sampler="heun", steps=steps, seed=2, precision="float32").numpy()
    many = model.sample(N, sampler="ddim", steps=1000, seed=2, precision="float32").numpy()
    np.testing.assert_allclose(np.cov(x.T), np.cov(many.T), rtol=error)
    np.testing.assert_allclose(x.mean(axis=0), many.mean(axis=0), atol=0.02)


def test_the_energy_distance_sees_a_spread_that_is_a_tenth_too_small():
    x = gaussian(N, 4)
    distance, largest = energy(MEAN + 0.9 * (x - MEAN), gaussian(N, 5))
    assert distance > largest


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    return train(
        mixture(100_000, 0).astype(np.float32),
        tmp_path_factory.mktemp("mixture"),
        config=Config((2,), network="custom", objective="v_prediction", clip=None),
        options=TrainConfig(
            1000, batch_size=512, learning_rate=5e-3, warmup=50, decay=700, ema=0.99,
            save_every=1000, sample_every=1000,
        ),
        network=Learner(),
        precision="float32",
        device="cpu",
    )  # fmt: skip


def untrained(model):
    return Diffusion(Learner().eval(), model.config)


@pytest.mark.parametrize("sampler", ["dpm++2m", "ddpm"])
def test_samples_of_a_learned_mixture(learned, sampler):
    options = {"sampler": sampler, "steps": 50, "seed": 3, "precision": "float32"}
    x = learned.sample(N, **options).numpy()
    distance, largest = energy(x, mixture(N, 9))
    assert distance < largest
    near = np.linalg.norm(x[:, None] - CENTRES, axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(near, minlength=8) / N, 1 / 8, atol=0.04)
    distance, largest = energy(untrained(learned).sample(N, **options).numpy(), mixture(N, 9))
    assert distance > 5 * largest


def test_bits_per_dimension_of_a_learned_mixture(learned):
    side = np.linspace(-1.7, 1.7, 401)
    grid = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    logs = mixture_log_density(grid)
    entropy = -(np.exp(logs) * logs).sum() * (side[1] - side[0]) ** 2 / 2 * BITS
    x = mixture(8192, 1)
    likelihood = nll_bits_per_dim(learned, x, n_timesteps=32, batch_size=4096)
    assert -4 * likelihood.standard_error < likelihood.bits_per_dim - entropy < 0.15
    above, error = excess(learned, x, mixture_log_density, n_timesteps=32)
    assert -4 * error < above < 0.15
    worse, _ = excess(untrained(learned), x, mixture_log_density, n_timesteps=32)
    assert worse > 0.6

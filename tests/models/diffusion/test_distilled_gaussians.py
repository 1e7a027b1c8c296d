"""Few-step students of a mixture of eight Gaussians, end to end: is the mixture still there?"""

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from unsup_fast.models import diffusion  # noqa: E402
from unsup_fast.models.diffusion import Config  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402

CONFIG = Config((2,), network="custom", clip=None)
TEACHER = TrainConfig(3000, batch_size=256, learning_rate=2e-3, warmup=0, decay=1500, ema=0.995)
STUDENT = TrainConfig(1200, batch_size=256, learning_rate=1e-3, warmup=0, decay=600, ema=0.99)
TUNED = replace(STUDENT, steps=1800, decay=900, ema=0.998)
SAMPLES = 3000


class Network(nn.Module):
    """Two residual layers on a point and waves of its time."""

    def __init__(self, width=96):
        super().__init__()
        self.first, self.last = nn.Linear(18, width), nn.Linear(width, 2)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.register_buffer("frequencies", torch.tensor([0.5, 1, 2, 3, 4, 6, 8, 12]))

    def forward(self, x, time, label=None):
        angles = time[:, None] * (math.pi / 2000) * self.frequencies  # [B, 8]
        h = F.silu(self.first(torch.cat([x, angles.sin(), angles.cos()], 1)))  # [B, width]
        for layer in self.layers:
            h = h + F.silu(layer(h))
        return self.last(h)


def mixture(n, seed):
    """Return n points of eight Gaussians on a circle, of unit variance in all: [n, 2]."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    centers = torch.stack([angle.cos(), angle.sin()], 1)
    return math.sqrt(2) * (centers + 0.08 * torch.randn(n, 2, generator=generator))


def energy_distance(x, y):
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely & Rizzo 2013)."""
    between, within_x, within_y = (torch.cdist(*pair).mean() for pair in ((x, y), (x, x), (y, y)))
    return float(2 * between - within_x - within_y)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the teacher, its distance in 64 steps, and real points."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    shared = {"config": CONFIG, "options": TEACHER, "device": "cpu", "progress": False}
    teacher = diffusion.train(mixture(20_000, 1), folder, network=Network(), **shared)
    real = mixture(SAMPLES, 2)
    return teacher, distance(teacher, real, 64), real


def distance(model, real, steps):
    sampler = "consistency" if model.config.sampler == "consistency" else "ddim"
    return energy_distance(model.sample(SAMPLES, sampler=sampler, steps=steps, seed=5), real)


def test_the_teacher_needs_its_steps(trained):
    teacher, best, real = trained
    assert best < 0.012
    assert distance(teacher, real, 2) > 10 * best


@pytest.mark.parametrize("method", ["progressive", "tune", "distill"])
def test_students_need_few_steps(trained, tmp_path, method):
    teacher, best, real = trained
    options = TUNED if method == "tune" else STUDENT
    arguments = {"options": options, "device": "cpu", "progress": False, "n_samples": 0}
    student = diffusion.distill(teacher, mixture(20_000, 1), tmp_path, method=method, **arguments)
    if method == "progressive":
        assert distance(student, real, 1) < 2 * best
        student = diffusion.load(tmp_path, steps=2, network=Network())
    assert distance(student, real, 2) < 1.5 * best

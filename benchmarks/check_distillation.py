"""Check that distillation keeps what a model can: 8 x 8 digits by class, in two minutes.

    python benchmarks/check_distillation.py --out OUT [--method tune]

trains a small network on scikit-learn's digits, distills it, and compares student and teacher by
`unsup_fast.metrics.Judge`: the accuracy of a classifier that was trained on real digits alone, and
the Frechet distance of principal components. OUT gets the run of the teacher, that of the student
with `distilled.json`, and `digits.png`: digits of one seed by the teacher in 50 steps, and by the
student in 8, 4, 2 and 1. The exit status is 0 if, at 8, 4, 2 and 1 steps of a progressive student,
the accuracy is within one point of the teacher's at 50 steps and the distance at most 1.2, 1.5, 2
and 3 times as large. The other methods are measured, without a limit.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from unsup_fast import pictures
from unsup_fast.models import diffusion
from unsup_fast.models.training import TrainConfig

FARTHEST = {8: 1.2, 4: 1.5, 2: 2.0, 1: 3.0}
POINT = 0.01
WIDTH, CONDITION = 224, 64
CONFIG = diffusion.Config((1, 8, 8), tuple("0123456789"), network="custom")
TEACHER = TrainConfig(steps=2000, learning_rate=2e-3, warmup=100, decay=1000, ema=0.995)
STUDENT = TrainConfig(steps=1200, learning_rate=1e-3, warmup=20, ema=0.99)
TUNED = TrainConfig(steps=1200, learning_rate=1e-3, warmup=20, decay=600, ema=0.998)


class Block(nn.Module):
    """Two matrices, and before them a layer norm that time and class scale and shift."""

    def __init__(self):
        super().__init__()
        self.condition = nn.Linear(CONDITION, 2 * WIDTH)
        self.inner, self.outer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(self.outer.weight)

    def forward(self, h, condition):
        """Return what the block adds to h [B, WIDTH]."""
        scale, shift = self.condition(condition).chunk(2, 1)  # [B, WIDTH] each
        h = F.layer_norm(h, (WIDTH,)) * (1 + scale) + shift
        return self.outer(F.silu(self.inner(h)))


class Network(nn.Module):
    """Three residual blocks on the 64 pixels."""

    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(11, CONDITION)
        self.time = nn.Linear(16, CONDITION)
        self.first, self.last = nn.Linear(64, WIDTH), nn.Linear(WIDTH, 64)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.register_buffer("frequencies", torch.tensor([0.5, 1, 2, 3, 4, 6, 8, 12]))

    def forward(self, x, time, label=None):
        """Return the prediction for x [B, 1, 8, 8]."""
        label = torch.tensor(10) if label is None else label
        angles = time[:, None] * (math.pi / 2000) * self.frequencies  # [B, 8]
        embedding = torch.cat([angles.sin(), angles.cos()], 1)
        condition = F.silu(self.time(embedding) + self.label(label))  # [B, CONDITION]
        h = self.first(x.flatten(1))  # [B, WIDTH]
        for block in self.blocks:
            h = h + block(h, condition)
        return self.last(F.layer_norm(h, (WIDTH,))).view(x.shape)


def digits():
    """Return scikit-learn's digits as bytes [N, 1, 8, 8], and their classes [N]."""
    data = load_digits()
    return np.round(data.images * 255 / 16).astype(np.uint8)[:, None], data.target


def picture(teacher, folder, method):
    """Return digits of one seed: a row for each class, and a column for each number of steps."""
    labels, columns = list(range(10)), []
    for steps in (50, *FARTHEST):
        model = teacher
        if steps != 50:
            alone = {"steps": steps} if method == "progressive" else {}
            model = diffusion.load(folder, network=Network(), **alone)
        sampler = "ddim" if steps == 50 else model.config.sampler
        columns.append(model.sample(10, label=labels, sampler=sampler, steps=steps, seed=3))
    stacked = torch.stack(columns, 1).flatten(0, 1)  # [10 columns, 1, 8, 8]
    return stacked.repeat_interleave(4, 2).repeat_interleave(4, 3), len(columns)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="progressive")
    arguments = parser.parse_args()
    out, method = arguments.out, arguments.method
    images, labels = digits()
    torch.manual_seed(0)
    begun = time.perf_counter()
    shared = {"labels": labels, "device": "cpu", "progress": False}
    teacher = diffusion.train(
        images, out / "teacher", config=CONFIG, options=TEACHER, network=Network(), **shared
    )
    trained = time.perf_counter()
    options = STUDENT if method == "progressive" else TUNED
    folder = out / method
    diffusion.distill(
        teacher, images, folder, method=method, options=options, n_samples=0, **shared
    )
    distilled = time.perf_counter()
    result = diffusion.compare(teacher, folder, images, labels=labels)
    print(f"teacher {trained - begun:.0f} s, student {distilled - trained:.0f} s ({method})")
    print(f"real digits: {result['real']['accuracy']:.3f}, {result['real']['distance']:.3f}")
    for who in ("teacher", "student"):
        for quality in result[who]:
            print(
                f"{who} {quality['steps']:2d} steps: read as requested {quality['accuracy']:.3f}, "
                f"distance {quality['distance']:.3f}, {quality['images_per_second']:.0f} images/s"
            )
    grid, columns = picture(teacher, folder, method)
    pictures.save_grid(out / "digits.png", grid, columns=columns)
    best = next(quality for quality in result["teacher"] if quality["steps"] == 50)
    wrong = [
        quality["steps"]
        for quality in result["student"]
        if method == "progressive"
        and quality["steps"] in FARTHEST
        and (
            quality["accuracy"] < best["accuracy"] - POINT
            or quality["distance"] > FARTHEST[quality["steps"]] * best["distance"]
        )
    ]
    if wrong:
        print(f"not within the limits at {wrong} steps")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

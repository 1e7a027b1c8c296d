"""Updates as CUDA graphs; run by test_gpu_cases.py, and skipped where Triton interprets.

A graph launches the same kernels as an update without, with the same numbers. Those of cuDNN and
cuBLAS may be others in a capture, so that results are near, and not the same bits.
"""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
import triton

pytest.importorskip("accelerate")

from safetensors.torch import load_file

from unsup_fast.models import gan

pytestmark = pytest.mark.skipif(
    triton.knobs.runtime.interpret or not torch.cuda.is_available(),
    reason="no CUDA GPU, or Triton interprets",
)
CLASSES = ("dark", "bright")
RECIPES = {
    "r3gan": replace(gan.FAMILIES["r3gan"], penalty_every=2, r1=0.3, r_final=0.2),
    "stylegan2": replace(
        gan.FAMILIES["stylegan2"], penalty_every=2, path_every=3, augment="ada", augment_examples=99
    ),
    "wgan-gp": replace(gan.FAMILIES["wgan-gp"], n_critic=2, augment="diffaugment"),
    "biggan": gan.FAMILIES["biggan"],
}


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    labels = random.integers(2, size=20)
    pixels = random.integers(0, 60, size=(20, 3, 16, 16), dtype=np.uint8)
    pixels[labels == 1] += 180
    return pixels, labels


def train(data, folder, family, precision="float32", **arguments):
    """Rates are numbers of float32, as in a graph."""
    options = {"steps": 6, "batch_size": 8, "learning_rate": 2**-9, "warmup": 4, "decay": 0}
    return gan.train(
        data[0],
        folder,
        config=gan.Config((3, 16, 16), CLASSES, gan.NETWORKS[family], size="tiny", latent=6),
        options=gan.train_config(family, save_every=2, seed=4, **options),
        labels=data[1],
        recipe=RECIPES[family],
        device="cuda",
        precision=precision,
        **{"progress": False, **arguments},
    )


def assert_near(one, other, tolerance):
    """Compare weights by the largest of each tensor, as Adam moves all by about the rate."""
    states = [load_file(folder / "checkpoint.safetensors") for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        scale = float(value.abs().max()) + 2**-9
        torch.testing.assert_close(
            states[1][key], value, rtol=0, atol=tolerance * scale, msg=lambda m, key=key: key + m
        )


@pytest.mark.parametrize("family", RECIPES)
def test_graphs_train_to_the_same_weights(family, data, tmp_path):
    for folder, use in (("plain", False), ("again", False), ("graphs", True)):
        train(data, tmp_path / folder, family, graphs=use)
    assert_near(tmp_path / "plain", tmp_path / "again", 1e-2)  # what the device's order does
    assert_near(tmp_path / "plain", tmp_path / "graphs", 1e-2)


def test_the_first_steps_report_the_same(data, tmp_path):
    rows = []
    for use in (False, True):
        train(data, tmp_path / str(use), "stylegan2", graphs=use)
        with (tmp_path / str(use) / "metrics.csv").open() as file:
            rows.append(next(csv.DictReader(file)))
    for name in ("d_loss", "real", "fake", "spread", "g_loss", "discriminator_norm"):
        assert float(rows[1][name]) == pytest.approx(float(rows[0][name]), rel=1e-2, abs=1e-3), name


@pytest.mark.parametrize("family", ["r3gan", "stylegan2"])
def test_bfloat16_is_captured(family, data, tmp_path):
    model = train(data, tmp_path, family, "bfloat16", graphs=True)
    assert model.sample(3, seed=1).isfinite().all()


def test_a_run_resumes_with_and_without_graphs(data, tmp_path):
    train(data, tmp_path / "whole", "stylegan2")
    for first in (True, False):
        folder = tmp_path / f"graphs first {first}"
        stop = {"progress": lambda state, losses, rate: state.step >= 2}
        train(data, folder, "stylegan2", graphs=first, **stop)
        train(data, folder, "stylegan2", graphs=not first)
        assert_near(tmp_path / "whole", folder, 1e-2)


def test_a_loss_that_is_not_finite_ends_training(data, tmp_path):
    options = gan.train_config("r3gan", steps=6, batch_size=8, learning_rate=1e30, warmup=0)
    config = gan.Config((3, 16, 16), size="tiny")
    with pytest.raises(FloatingPointError, match="training has diverged"):
        gan.train(
            data[0],
            tmp_path,
            config=config,
            options=options,
            device="cuda",
            graphs=True,
            progress=False,
        )

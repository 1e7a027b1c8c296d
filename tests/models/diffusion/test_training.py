"""`train`: a diffusion model from pictures, rows and labels."""

import csv
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from unsup_fast.models import diffusion  # noqa: E402
from unsup_fast.models.diffusion import Config  # noqa: E402
from unsup_fast.models.diffusion.objective import OBJECTIVES, loss, sample_levels  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402

CONFIG = Config(shape=(1, 8, 8), classes=("left", "right"), size="tiny", patch=4)
OPTIONS = TrainConfig(steps=6, batch_size=8, warmup=2, save_every=2, sample_every=3, seed=4)


def halves(n):
    """Return pictures that are bright on one side, and the index of that side."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=n)
    pixels = random.integers(0, 60, size=(n, 1, 8, 8), dtype=np.uint8)
    pixels[labels == 0, :, :, :4] += 180
    pixels[labels == 1, :, :, 4:] += 180
    return pixels, labels


@pytest.fixture(scope="module")
def data():
    return halves(40)


def weights(model):
    return dict(model.network.state_dict())


def first_loss(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return float(next(csv.DictReader(file))["loss"])


def train(data, folder, *, options=OPTIONS, config=CONFIG, **arguments):
    pixels, labels = data
    arguments = {"labels": labels if config.classes else None, "device": "cpu", **arguments}
    return diffusion.train(pixels, folder, config=config, options=options, **arguments)


def test_what_was_trained_is_in_the_folder(data, tmp_path):
    model = train(data, tmp_path / "run")
    loaded = diffusion.load(tmp_path / "run")
    assert loaded.config == CONFIG
    assert all(torch.equal(value, weights(model)[name]) for name, value in weights(loaded).items())
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == OPTIONS.steps
    assert float(rows[-1]["loss"]) > 0


def test_a_single_class_trains(data, tmp_path):
    config = Config(shape=(1, 8, 8), classes=("all",), size="tiny", patch=4, network="dit")
    options = TrainConfig(steps=1, batch_size=4)
    labels = np.zeros(len(data[0]), int)
    model = train(data, tmp_path / "run", config=config, options=options, labels=labels)
    assert diffusion.load(tmp_path / "run").config.classes == ("all",)
    assert model.sample(2, label="all", guidance=2.0, steps=2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("network", ["unet", "dit"])
def test_the_loss_falls(data, tmp_path, objective, network):
    config = Config(shape=(1, 8, 8), size="tiny", patch=4, objective=objective, network=network)
    options = TrainConfig(steps=40, batch_size=40, warmup=5, learning_rate=3e-3, ema=0.9)
    trained = train(data, tmp_path, config=config, options=options)
    images = torch.from_numpy(data[0]).float() / 127.5 - 1
    levels = sample_levels(trained.objective, 40, torch.Generator().manual_seed(0))

    @torch.no_grad()
    def loss_of(model):
        seeds = spread_seed(0, 40)
        return loss(model.network, images, None, model.objective, noise_levels=levels, seed=seeds)

    assert loss_of(trained) < 0.8 * loss_of(diffusion.Diffusion.build(config))


def test_two_runs_of_a_seed_are_the_same(data, tmp_path):
    one, two = (train(data, tmp_path / name) for name in ("one", "two"))
    assert all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())


def test_another_seed_is_another_run(data, tmp_path):
    one = train(data, tmp_path / "one")
    two = train(data, tmp_path / "two", options=TrainConfig(steps=6, batch_size=8, seed=5))
    assert any(not torch.equal(value, weights(two)[name]) for name, value in weights(one).items())


def test_a_run_in_two_parts_is_the_run_in_one(data, tmp_path):
    def stop(model, step):
        os.kill(os.getpid(), signal.SIGINT)

    whole = train(data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "parts", on_sample=stop)
    again = train(data, tmp_path / "parts")
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(whole).items())


def test_what_is_shown_is_one_model(data, tmp_path):
    shown = []
    trained = train(data, tmp_path, on_sample=lambda model, step: shown.append(model))
    assert len(shown) == 2
    assert all(model is trained for model in shown)


def test_it_shows_models_that_sample(data, tmp_path):
    shown = []
    train(
        data, tmp_path, on_sample=lambda model, step: shown.append((step, model.sample(2, steps=2)))
    )
    assert [step for step, _ in shown] == [3, 6]
    assert all(samples.isfinite().all() for _, samples in shown)


def test_it_learns_sides_and_classes(data, tmp_path):
    options = TrainConfig(steps=150, batch_size=40, learning_rate=3e-3, warmup=10, ema=0.97)
    samples = train(data, tmp_path, options=options, precision="float32").sample(
        label=[0, 0, 0, 1, 1, 1], steps=10, precision="float32"
    )
    right = samples[..., 4:].mean((1, 2, 3)) > samples[..., :4].mean((1, 2, 3))
    assert right.tolist() == [False, False, False, True, True, True]


def test_labels_that_are_always_dropped_change_nothing(data, tmp_path):
    options = TrainConfig(steps=3, batch_size=8)
    unconditional = train(data, tmp_path / "a", options=options, label_dropout=1.0)
    other = (data[0], 1 - data[1])
    again = train(other, tmp_path / "b", options=options, label_dropout=1.0)
    assert all(
        torch.equal(value, weights(again)[name]) for name, value in weights(unconditional).items()
    )


def test_flipped_pictures_are_seen(data, tmp_path):
    options = TrainConfig(steps=3, batch_size=8)
    config = Config(shape=(1, 8, 8), size="tiny", patch=4)
    plain = train(data, tmp_path / "a", options=options, config=config)
    flipped = train(data, tmp_path / "b", options=options, config=config, flip=True)
    assert any(not torch.equal(v, weights(flipped)[name]) for name, v in weights(plain).items())
    even = ((data[0] + data[0][..., ::-1]) // 2, data[1])
    plain = train(even, tmp_path / "c", options=options, config=config)
    flipped = train(even, tmp_path / "d", options=options, config=config, flip=True)
    assert all(torch.equal(v, weights(flipped)[name]) for name, v in weights(plain).items())


@pytest.mark.parametrize("parts", [2, 8])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(data, tmp_path, parts):
    options = TrainConfig(steps=3, batch_size=8, warmup=0, learning_rate=1e-3)
    whole = train(data, tmp_path / "a", options=options, precision="float32")
    options = replace(options, accumulation=parts)
    split = train(data, tmp_path / "b", options=options, precision="float32")
    for name, value in weights(whole).items():  # each step moves a weight by 1e-3 or so
        assert (weights(split)[name] - value).abs().mean() < 5e-5
    one, other = (first_loss(tmp_path / name) for name in "ab")
    assert other == pytest.approx(one, rel=1e-5)


def test_floats_are_taken_as_they_are(data, tmp_path):
    options = TrainConfig(steps=3, batch_size=8)
    pixels, labels = data
    floats = (pixels.astype(np.float32) / np.float32(127.5) - 1, labels)
    one = train(data, tmp_path / "a", options=options)
    two = train(floats, tmp_path / "b", options=options)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labels": None}, "labels and config.classes go together"),
        ({"labels": np.zeros(3, dtype=int)}, "pass 40 whole numbers"),
        ({"labels": np.zeros(40)}, "pass 40 whole numbers"),
        ({"labels": np.full(40, 2)}, "labels lie between 2 and 2"),
        ({"label_dropout": 1.5}, "label_dropout=1.5 must be between"),
        ({"network": torch.nn.Identity()}, "network is one of your own"),
        ({"precision": "half"}, "precision='half' is unknown"),
    ],
)
def test_refusals(data, tmp_path, arguments, said):
    with pytest.raises(ValueError, match=said):
        train(data, tmp_path, **arguments)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:, :, :4], "data has shape"),
        (lambda x: x[:0], "N of at least 1"),
        (lambda x: x.astype(np.float32), "data reaches"),
        (lambda x: np.full(x.shape, np.nan), "NaN or infinite"),
    ],
)
def test_data_that_is_refused(data, tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        train((change(data[0]), data[1]), tmp_path)


def test_whole_numbers_that_are_no_bytes_are_refused(data, tmp_path):
    with pytest.raises(TypeError, match="pass uint8 pictures or floats"):
        train((data[0].astype(np.int32), data[1]), tmp_path)


def test_a_folder_of_another_run_is_refused(data, tmp_path):
    train(data, tmp_path)
    with pytest.raises(ValueError, match="use another folder"):
        train(data, tmp_path, config=Config(shape=(1, 8, 8), size="tiny", patch=2))

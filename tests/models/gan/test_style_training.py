"""Training with styles: mixed ones, path lengths, running means, and runs that resume."""

import csv
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402

from unsup_fast.kernels.randn import randn  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.path_length import (  # noqa: E402
    path_lengths,
    path_penalty,
    update_path_mean,
)
from unsup_fast.models.gan.players import generator_of  # noqa: E402
from unsup_fast.models.gan.style_updates import StyleUpdates  # noqa: E402
from unsup_fast.models.gan.styled import first_mixed_layers, mixed_styles  # noqa: E402
from unsup_fast.models.networks.stylegan import Size, StyleGenerator  # noqa: E402
from unsup_fast.models.training import StepContext, fold_in  # noqa: E402
from unsup_fast.models.training.accelerator import accelerator_for  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402

CLASSES = ("left", "right")
SHAPE = (1, 8, 8)
RECIPE = replace(gan.FAMILIES["stylegan2"], path_every=2, penalty_every=3)


@pytest.fixture(scope="module")
def data():
    """Pictures that are bright on one side, and the index of that side."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=30)
    pixels = random.integers(0, 60, size=(30, *SHAPE), dtype=np.uint8)
    pixels[labels == 0, :, :, :4] += 180
    pixels[labels == 1, :, :, 4:] += 180
    return pixels, labels


def config_of(**settings):
    options = {"network": "stylegan2", "size": "tiny", "latent": 5, "classes": CLASSES}
    return gan.Config(SHAPE, **{**options, **settings})


def options_of(**settings):
    options = {"steps": 5, "batch_size": 8, "warmup": 2, "save_every": 2, "seed": 4}
    return gan.train_config("stylegan2", **{**options, **settings})


def train(data, folder, **arguments):
    pixels, labels = data
    arguments = {
        "config": config_of(),
        "options": options_of(),
        "recipe": RECIPE,
        "precision": "float32",
        "progress": False,
        **arguments,
    }
    if arguments["config"].classes:
        arguments["labels"] = labels
    return gan.train(pixels, folder, device="cpu", **arguments)


def context_of(index, **settings):
    accelerator, _ = accelerator_for(None, "float32", "cpu")
    context = StepContext(accelerator, options_of(**settings))
    context.begin(index)
    return context


def small_body(adaptive=False):
    torch.manual_seed(0)
    body = StyleGenerator((2, 8, 4), 5, 5, Size(3, 2, 4, 1), adaptive=adaptive).double()
    for layer in body.layers:
        layer.strength.data.fill_(0.2)
    return body


@pytest.mark.parametrize("network", ["stylegan2", "stylegan"])
def test_a_stopped_run_resumes_to_the_same_bits(network, data, tmp_path):
    """With style mixing, path lengths, lazy R1 and both running means."""
    arguments = {"config": config_of(network=network), "flip": True}
    whole = train(data, tmp_path / "whole", **arguments)
    stop = {"progress": lambda state, losses, rate: state.step >= 2}
    train(data, tmp_path / "parts", **arguments, **stop)
    resumed = train(data, tmp_path / "parts", **arguments)
    states = [load_file(tmp_path / each / "checkpoint.safetensors") for each in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    loaded = gan.load(tmp_path / "parts")
    assert torch.equal(loaded.sample(3, seed=1), whole.sample(3, seed=1))
    for model in (whole, resumed, loaded):
        assert float(model.network.body.w_avg.abs().max()) > 0
        assert float(model.network.body.path_mean) > 0
    assert torch.equal(loaded.network.body.w_avg, whole.network.body.w_avg)
    assert torch.equal(loaded.network.body.path_mean, whole.network.body.path_mean)


def test_the_mean_of_styles_is_that_of_the_step(data, tmp_path):
    """After one step: nine tenths of the mean over the samples of both updates."""
    config = config_of(classes=())
    model = train(data, tmp_path, config=config, options=options_of(steps=1))
    generator = generator_of(config, fold_in("weights", 4, 0))  # before its update
    means = []
    for number in (0, 1):
        seeds = spread_seed(fold_in("latents", 4, number), 8)
        z = randn((8, 5), seed=seeds, device="cpu")
        means.append(mixed_styles(generator, z, None, seeds, RECIPE.mixing).mean((0, 1)))
    expected = 0.9 * torch.stack(means).mean(0)
    torch.testing.assert_close(model.network.body.w_avg, expected.detach())


def test_running_means_remember():
    generator = generator_of(config_of(classes=()), 0)
    updates = StyleUpdates(generator, gan.Recipe())
    context = context_of(100_000)
    z, seeds = torch.randn(4, 5), torch.arange(4)
    generator.body.w_avg.fill_(3.0)
    updates.sample(z, None, seeds)
    updates.end([updates.take()], context)
    assert not updates.take()
    mean = generator.body.map(z).mean(0)
    expected = (0.998 * 3 + 0.002 * mean).detach()
    torch.testing.assert_close(generator.body.w_avg, expected)
    update_path_mean(generator.body, torch.tensor(5.0))
    assert float(generator.body.path_mean) == 5
    update_path_mean(generator.body, torch.tensor(7.0))
    assert float(generator.body.path_mean) == pytest.approx(0.99 * 5 + 0.01 * 7)


def test_styles_are_mixed_sample_by_sample():
    """Against a loop, with first layers from 1 to L - 1 and about as many mixed as asked for."""
    generator = generator_of(config_of(), 0)
    seeds = spread_seed(1, 20)
    z, label = randn((20, 5), seed=seeds, device="cpu"), torch.arange(20) % 2
    ws = mixed_styles(generator, z, label, seeds, 0.7)
    first = first_mixed_layers(seeds, 4, 0.7)
    w = generator.body.map(generator.embed(z, label))
    for b in range(20):
        second = torch.from_numpy(randn((1, 5), seed=int(seeds[b]) % 2**64, stream=2))
        other = generator.body.map(generator.embed(second, label[b : b + 1]))[0]
        for layer in range(4):
            expected = other if layer >= first[b] else w[b]
            torch.testing.assert_close(ws[b, layer], expected)
    assert not torch.equal(first, torch.full((20,), 4))
    assert torch.equal(mixed_styles(generator, z, label, seeds, 0.0), generator.body.repeated(w))
    first = first_mixed_layers(spread_seed(2, 4000), 4, 0.7)
    shares = torch.bincount(first, minlength=5).tolist()
    assert shares[0] == 0
    assert shares[1:] == pytest.approx([0.7 / 3 * 4000] * 3 + [0.3 * 4000], rel=0.1)


@pytest.mark.parametrize("adaptive", [False, True])
def test_path_lengths_are_those_of_a_jacobian(adaptive):
    body, seeds = small_body(adaptive), torch.tensor([5, 8])
    ws = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths = path_lengths(body, ws, seeds)
    for b in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda w, b=b: body.synthesize(w, seeds[b : b + 1])[0], ws[b : b + 1].detach()
        )[:, :, :, 0]  # [C, H, W, L, 3]
        y = torch.from_numpy(randn((2, 8, 4), seed=int(seeds[b]), stream=4)).double()
        product = torch.einsum("chw,chwln->ln", y, jacobian) / 32**0.5
        expected = product.square().sum(1).mean().sqrt()
        torch.testing.assert_close(lengths[b], expected)


def test_the_penalty_of_path_lengths_has_a_gradient():
    """Of all weights of the synthesis network, by finite differences."""
    body, seeds = small_body(), torch.tensor([5, 8])
    ws = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    body.path_mean.fill_(0.3)
    weights = [weight for name, weight in body.named_parameters() if "mapping" not in name]

    def value():
        return path_penalty(path_lengths(body, ws, seeds), body.path_mean)

    gradients = torch.autograd.grad(value(), [*weights, ws], allow_unused=True)
    assert sum(gradient is not None for gradient in gradients) > 10
    for weight, gradient in zip([*weights, ws], gradients, strict=True):
        direction = torch.randn_like(weight)
        values = []
        for sign in (1, -1):
            weight.data.add_(direction, alpha=sign * 1e-6)
            values.append(float(value().detach()))
            weight.data.sub_(direction, alpha=sign * 1e-6)
        slope = (values[0] - values[1]) / 2e-6
        product = 0.0 if gradient is None else float((gradient * direction).sum().detach())
        assert product == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_the_penalty_is_the_distance_to_the_running_mean():
    lengths = torch.tensor([1.0, 3.0])
    assert float(path_penalty(lengths, torch.tensor(4.0))) == (9 + 1) / 2
    assert float(path_penalty(lengths, torch.tensor(0.0))) == 1  # no mean yet: 2, their own


def test_path_lengths_are_of_every_second_sample_at_some_steps():
    generator = generator_of(config_of(), 0)
    generator.body.path_mean.fill_(0.5)
    recipe = replace(RECIPE, path_every=4, path_length=3.0)
    updates = StyleUpdates(generator, recipe)
    seeds = spread_seed(1, 8)
    z, label = randn((8, 5), seed=seeds, device="cpu"), torch.arange(8) % 2
    assert [updates.due(context_of(step)) for step in (0, 3, 4, 8)] == [True, False, True, True]
    whole = updates.path_penalty(z, label, seeds)
    ws = mixed_styles(generator, z, label, seeds, recipe.mixing)
    lengths = path_lengths(generator.body, ws, seeds)[::2].detach()
    expected = 3 * 4 * (lengths - 0.5).square().mean()
    torch.testing.assert_close(whole.loss.detach(), expected)
    torch.testing.assert_close(whole.length, lengths.mean())
    parts = [
        updates.path_penalty(z[rows], label[rows], seeds[rows]).loss.detach()
        for rows in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), expected)
    without = StyleUpdates(generator, replace(recipe, path_length=0.0))
    assert not without.due(context_of(8))


def test_path_lengths_are_computed_in_float32(data, tmp_path):
    rows = {}
    for precision in ("float32", "bfloat16"):
        options = options_of(steps=1)
        train(data, tmp_path / precision, options=options, precision=precision)
        with (tmp_path / precision / "metrics.csv").open() as file:
            (rows[precision],) = csv.DictReader(file)
    one, other = (float(row["path_length"]) for row in rows.values())
    assert other == pytest.approx(one, rel=1e-5)
    for name in ("d_loss", "g_loss", "r1", "generator_norm"):
        one, other = (float(row[name]) for row in rows.values())
        assert other == pytest.approx(one, rel=0.05, abs=0.02), name
    assert rows["float32"]["g_loss"] != rows["bfloat16"]["g_loss"]


def test_parts_of_a_batch_train(data, tmp_path):
    model = train(data, tmp_path, options=options_of(steps=3, accumulation=2))
    assert model.sample(2).isfinite().all()
    assert float(model.network.body.path_mean) > 0


def test_families():
    paper = gan.FAMILIES["stylegan2"]
    assert (paper.loss, paper.penalty_every, paper.mixing) == ("non-saturating", 16, 0.9)
    assert (paper.path_length, paper.path_every, paper.betas) == (2.0, 8, (0.0, 0.99))
    assert gan.FAMILIES["stylegan"] == replace(paper, path_length=0.0)
    assert options_of().learning_rate == 2e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixing": 1.5}, "mixing=1.5 must be a probability"),
        ({"path_length": -1.0}, "path_length=-1.0 must be at least 0"),
        ({"path_every": 0}, "path_every=0 must be at least 1"),
    ],
)
def test_refused_recipes(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.Recipe(**settings)


def test_refused_settings(data, tmp_path):
    for arguments, message in (
        ({"config": config_of(network="r3gan")}, "are of the networks"),
        ({"recipe": replace(RECIPE, spectral_norm=True)}, "without equalised layers"),
        ({"options": options_of(shards=4)}, "shards=4 needs a generator without running means"),
        ({"recipe": replace(RECIPE, norm="layer")}, 'is of the network "dcgan"'),
    ):
        with pytest.raises(ValueError, match=message):
            train(data, tmp_path, **arguments)

"""ProgressiveGAN: networks that grow, and a training whose level follows from its step."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.growing import level_of_step, pictures_at  # noqa: E402
from unsup_fast.models.gan.penalties import drift  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.networks import progressive  # noqa: E402
from unsup_fast.models.networks.equalized import EqualizedLinear, pixel_norm  # noqa: E402

RECIPE = gan.FAMILIES["progressive"]
SHAPE = (2, 16, 12)  # 4 x 3, 8 x 6, 16 x 12
CLASSES = ("a", "b")
TINY = 1e-9  # of a level in float64


def config_of(shape=SHAPE, **settings):
    return gan.Config(shape, network="progressive", size="tiny", latent=6, **settings)


def players(dtype=torch.float64, **settings):
    config = config_of(**settings)
    return generator_of(config, 0).to(dtype), discriminator_of(config, RECIPE, 1).to(dtype)


def set_levels(level, *networks):
    for network in networks:
        network.body.set_level(level)


def averaged(x, factor):
    """Return means of squares, by a loop."""
    out = torch.empty(*x.shape[:2], x.shape[2] // factor, x.shape[3] // factor, dtype=x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            square = x[:, :, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            out[:, :, i, j] = square.mean((2, 3))
    return out


def repeated(x, factor):
    """Return pixels repeated in squares, by indices."""
    rows, columns = (torch.arange(side * factor) // factor for side in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((1, 32, 32), [(4, 4), (8, 8), (16, 16), (32, 32)]),
        ((3, 28, 28), [(7, 7), (14, 14), (28, 28)]),
        ((1, 10, 22), [(5, 11), (10, 22)]),
    ],
)
def test_a_stage_has_the_sides_of_the_one_before_doubled(shape, sides):
    generator, discriminator = players(torch.float32, shape=shape)
    assert generator.body.sides == discriminator.body.sides == sides
    assert float(generator.body.level) == len(sides) - 1
    z = torch.randn(4, 6)
    for level in range(len(sides)):
        for fraction in (0, 0.25):
            if level + fraction > len(sides) - 1:
                continue
            set_levels(level + fraction, generator, discriminator)
            x = generator(z)
            assert x.shape == (4, shape[0], *sides[level + (fraction > 0)])
            assert discriminator(x).shape == (4,)


def test_sides_must_be_even():
    with pytest.raises(ValueError, match="9 x 16 cannot be halved"):
        generator_of(config_of((1, 9, 16)), 0)


@pytest.mark.parametrize("level", [-0.5, 2.5, float("nan")])
def test_a_level_is_one_of_a_stage(level):
    generator, _ = players(torch.float32)
    with pytest.raises(ValueError, match="must be from 0 to 2, that of the last of 3 stages"):
        generator.body.set_level(level)
    generator.body.level.fill_(level)  # as a damaged file might
    with pytest.raises(ValueError, match="must be from 0 to 2"):
        generator(torch.randn(2, 6))


def test_pictures_must_have_the_sides_of_the_stage():
    _, discriminator = players(torch.float32)
    set_levels(0.5, discriminator)
    with pytest.raises(ValueError, match=r"\(2, 2, 16, 12\); at level=0.5 .* takes 8 x 6"):
        discriminator(torch.randn(2, *SHAPE))


@pytest.mark.parametrize("stage", [0, 1])
def test_samples_are_continuous_in_the_level(stage):
    generator, _ = players()
    z = torch.randn(4, 6, dtype=torch.float64)
    set_levels(stage, generator)
    before = repeated(generator(z), 2)
    set_levels(stage + TINY, generator)
    assert (generator(z) - before).abs().max() < 1e-5
    set_levels(stage + 1, generator)
    after = generator(z)
    set_levels(stage + 1 - TINY, generator)
    assert (generator(z) - after).abs().max() < 1e-5
    assert (after - before).abs().max() > 0.1
    set_levels(stage + 0.25, generator)
    torch.testing.assert_close(generator(z), 0.75 * before + 0.25 * after)


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("stage", [0, 1])
def test_scores_are_continuous_in_the_level(stage, conditioning):
    _, discriminator = players(classes=CLASSES, conditioning=conditioning)
    height, width = discriminator.body.sides[stage + 1]
    x = torch.randn(4, 2, height, width, dtype=torch.float64)
    label = torch.tensor([0, 1, 1, 0])
    set_levels(stage, discriminator)
    before = discriminator(averaged(x, 2), label)
    set_levels(stage + TINY, discriminator)
    assert (discriminator(x, label) - before).abs().max() < 1e-5
    set_levels(stage + 1, discriminator)
    after = discriminator(x, label)
    set_levels(stage + 1 - TINY, discriminator)
    assert (discriminator(x, label) - after).abs().max() < 1e-5
    assert (after - before).abs().max() > 1e-2


def test_a_fading_discriminator_is_the_formula_of_the_paper():
    """Layer by layer, with torch's own operations."""
    _, discriminator = players()
    body = discriminator.body
    set_levels(1.25, discriminator)
    x = torch.randn(4, *SHAPE, dtype=torch.float64)

    def layer(layer, h):
        weight = layer.conv.weight * (2 / (layer.conv.weight[0].numel())) ** 0.5
        return F.leaky_relu(F.conv2d(h, weight, layer.bias, padding="same"), 0.2)

    for each in body.parameters():
        each.data += 0.1 * torch.randn_like(each)  # biases begin at zero
    h = layer(body.pictures[2], x)
    h = averaged(layer(body.blocks[2][1], layer(body.blocks[2][0], h)), 2)
    h = 0.75 * layer(body.pictures[1], averaged(x, 2)) + 0.25 * h
    h = averaged(layer(body.blocks[1][1], layer(body.blocks[1][0], h)), 2)
    deviation = (h.var(0, correction=0) + 1e-8).sqrt().mean().expand(4, 1, 4, 3)
    h = layer(body.blocks[0], torch.cat([h, deviation], 1)).flatten(1)
    h = h @ body.end.weight.T * (2 / h.shape[1]) ** 0.5 + body.end.bias
    h = F.leaky_relu(h, 0.2)
    score = h @ discriminator.score.weight[0] / h.shape[1] ** 0.5 + discriminator.score.bias
    torch.testing.assert_close(discriminator(x), score)


def test_a_generator_is_the_formula_of_the_paper():
    generator, _ = players()
    body = generator.body
    set_levels(1, generator)
    for each in body.parameters():
        each.data += 0.1 * torch.randn_like(each)

    def norm(h):
        return h / (h.square().mean(1, keepdim=True) + 1e-8).sqrt()

    def layer(layer, h):
        weight = layer.conv.weight * (2 / (layer.conv.weight[0].numel())) ** 0.5
        return norm(F.leaky_relu(F.conv2d(h, weight, layer.bias, padding=1), 0.2))

    z = torch.randn(3, 6, dtype=torch.float64)
    h = norm(z) @ body.start.weight.T * (2 / 6) ** 0.5 + body.start.bias
    h = layer(body.blocks[0], norm(F.leaky_relu(h.view(3, 32, 4, 3), 0.2)))
    h = layer(body.blocks[1][1], layer(body.blocks[1][0], repeated(h, 2)))
    to = body.pictures[1]
    expected = F.conv2d(h, to.conv.weight / 16**0.5, to.bias)
    torch.testing.assert_close(generator(z), expected)


def test_second_derivatives_of_a_fading_discriminator():
    body = progressive.ProgressiveDiscriminator((1, 8, 10), "tiny").double()
    body.set_level(0.3)
    x = torch.randn(2, 1, 8, 10, dtype=torch.float64, requires_grad=True)
    weights = [body.pictures[1].conv.weight, body.pictures[0].bias]
    assert torch.autograd.gradcheck(lambda x, *_: body(x)[:, :3], (x, *weights))
    assert torch.autograd.gradgradcheck(lambda x, *_: body(x)[:, :3], (x, *weights))


def test_a_new_layer_keeps_the_variance():
    """But for a factor 1 + 0.2^2: He's constant is that of a rectifier whose slope is 0."""
    torch.manual_seed(0)
    for inputs, kernel in ((3, 1), (32, 3)):
        h = progressive.Layer(inputs, 500, kernel)(torch.randn(4, inputs, 40, 40))
        mean = float(h.detach()[:, :, 1:-1, 1:-1].square().mean())
        assert mean == pytest.approx(1.04, rel=0.05)


def test_new_networks_keep_the_variance():
    """Features of the generator are normalised; the discriminator's hardly change."""
    torch.manual_seed(0)
    config = gan.Config((3, 28, 28), network="progressive", size="base", latent=64)
    generator, discriminator = generator_of(config, 0), discriminator_of(config, RECIPE, 1)
    seen = {}

    def see(name):
        return lambda module, inputs, output: seen.__setitem__(name, output.detach())

    for name, network in (("generator", generator), ("discriminator", discriminator)):
        for key, module in network.named_modules():
            if isinstance(module, progressive.Layer | progressive.ToPicture | EqualizedLinear):
                module.register_forward_hook(see(f"{name}.{key}"))
    generator(torch.randn(32, 64))
    discriminator(torch.randn(32, 3, 28, 28))
    for name, h in seen.items():
        mean = float(h.square().mean())
        if name.startswith("generator.body.blocks"):
            assert mean == pytest.approx(1, abs=1e-4), name
        else:  # three channels are few draws, and borders of zeros lower it from layer to layer
            assert 0.3 < mean < 3, name
    assert len([name for name in seen if ".pictures" in name]) == 2  # of the last stage alone
    every = [*generator.parameters(), *discriminator.parameters()]
    weights = torch.cat([each.detach().flatten() for each in every if each.ndim > 1])
    assert float(weights.std()) == pytest.approx(1, rel=0.01)  # all are equalised


def test_latents_of_any_length_give_the_same_samples():
    generator, _ = players()
    z = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(generator(5 * z), generator(z), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(generator(pixel_norm(z)), generator(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", [0, 0.5, 1, 1.75, 2])
@pytest.mark.parametrize("conditioning", ["projection", "concat"])
def test_samples_and_scores_depend_on_the_class_at_each_level(conditioning, level):
    generator, discriminator = players(classes=CLASSES, conditioning=conditioning)
    set_levels(level, generator, discriminator)
    z, one, other = torch.randn(1, 6).double(), torch.tensor([0]), torch.tensor([1])
    x = generator(z, one)
    assert (generator(z, other) - x).abs().max() > 0
    assert (discriminator(x, other) - discriminator(x, one)).abs() > 0


def test_levels_of_a_training():
    """By hand: 3 stages and 16 growing steps are four phases of 4 steps."""
    table = [0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1.25, 1.5, 1.75, 2, 2, 2]
    assert [level_of_step(step, 16, 3) for step in range(19)] == table
    # 6 steps of 2 stages: 3 of the first, 3 in which the second fades in
    expected = [0, 0, 0, 0, 1 / 3, 2 / 3, 1]
    assert [level_of_step(step, 6, 2) for step in range(7)] == pytest.approx(expected, abs=1e-15)
    # 5 steps of 4 stages: a phase is 5 / 6 of a step, so steps begin at the phases 0, 1.2, 2.4,
    # 3.6, 4.8 and 6, of which the odd ones are fades
    expected = [0, 0.2, 1, 1.6, 2, 3]
    assert [level_of_step(step, 5, 4) for step in range(6)] == pytest.approx(expected, abs=1e-15)
    assert [level_of_step(step, 0, 4) for step in (0, 7)] == [3, 3]
    levels = [level_of_step(step, 1001, 5) for step in range(1500)]
    assert levels == sorted(levels)
    assert max(np.diff(levels)) < 0.01


@pytest.mark.parametrize("level", [0, 0.25, 1, 1.75, 2])
def test_real_pictures_are_averaged_and_fade_in(level):
    _, discriminator = players()
    set_levels(level, discriminator)
    x = torch.randn(3, *SHAPE, dtype=torch.float64)
    top = int(np.ceil(level))
    expected = averaged(x, 2 ** (2 - top))
    if level != top:
        alpha = level - (top - 1)
        for sample in range(3):
            for channel in range(2):
                small = averaged(expected[sample, channel][None, None], 2)[0, 0]
                for i in range(expected.shape[2]):
                    for j in range(expected.shape[3]):
                        old, new = small[i // 2, j // 2], expected[sample, channel, i, j].clone()
                        expected[sample, channel, i, j] = (1 - alpha) * old + alpha * new
    torch.testing.assert_close(pictures_at(x, discriminator.body), expected)


def test_drift():
    assert float(drift(torch.tensor([1.0, -2.0, 3.0]))) == pytest.approx(14 / 3)


@pytest.fixture(scope="module")
def data():
    """Pictures that are bright on one side, and the index of that side."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=24)
    pixels = random.integers(0, 60, size=(24, *SHAPE), dtype=np.uint8)
    pixels[labels == 0, :, :, :6] += 180
    pixels[labels == 1, :, :, 6:] += 180
    return pixels, labels


def options_of(**settings):
    options = {
        "decay": 0,
        "ema": 0.5,
        "steps": 16,
        "batch_size": 4,
        "warmup": 2,
        "save_every": 1,
        "seed": 4,
    }
    return gan.train_config("progressive", **{**options, **settings})


def train(data, folder, *, config=None, recipe=RECIPE, **arguments):
    pytest.importorskip("accelerate")
    config = config or config_of(classes=CLASSES)
    options = {"options": options_of(), "device": "cpu", "progress": False, "precision": "float32"}
    labels = data[1] if config.classes else None
    arguments = {**options, "labels": labels, "recipe": recipe, **arguments}
    return gan.train(data[0], folder, config=config, **arguments)


def checkpoint(folder):
    from safetensors.torch import load_file

    return load_file(folder / "checkpoint.safetensors")


def stopping(step):
    """Return what ends a training after a step."""
    return lambda state, losses, rate: state.step >= step - 1


@pytest.mark.filterwarnings("ignore:samples are grown")
@pytest.mark.parametrize("conditioning", ["projection", "concat"])
def test_a_run_that_stops_while_a_stage_fades_in_resumes_to_the_same_bits(
    conditioning, data, tmp_path
):
    arguments = {"config": config_of(classes=CLASSES, conditioning=conditioning), "flip": True}
    train(data, tmp_path / "whole", **arguments)
    train(data, tmp_path / "parts", progress=stopping(4), **arguments)
    middle = checkpoint(tmp_path / "parts")
    level = float(middle["network.generator.body.level"])
    assert 0 < level < 2
    assert level % 1 > 0
    assert float(middle["network.discriminator.body.level"]) == level
    assert float(middle["ema.generator.body.level"]) == level
    train(data, tmp_path / "parts", **arguments)
    states = [checkpoint(tmp_path / each) for each in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert float(states[0]["ema.generator.body.level"]) == 2


@pytest.mark.filterwarnings("ignore:samples are grown")
def test_stages_that_are_not_in_use_do_not_change(data, tmp_path):
    new = new_weights()
    train(data, tmp_path / "run", options=options_of(steps=40), progress=stopping(4))
    now = checkpoint(tmp_path / "run")
    assert float(now["network.generator.body.level"]) == 0
    changed = {name for name in new if not torch.equal(now[f"network.{name}"], new[name])}
    stages = {name.split(".")[3] for name in changed if ".blocks." in name or ".pictures." in name}
    assert stages == {"0"}
    parameters = dict(generator_of(config_of(classes=CLASSES), 0).named_parameters())
    moments = [name for name in now if name.startswith("optimizer.generator.")]
    used = changed & {f"generator.{name}" for name in parameters}
    assert len(moments) == 3 * len(used)  # the step and two moments of each weight


def new_weights():
    """Return the weights of new networks by name, as of a training with seed 4."""
    from unsup_fast.models.training import fold_in

    config = config_of(classes=CLASSES)
    networks = {
        "generator": generator_of(config, fold_in("weights", 4, 0)),
        "discriminator": discriminator_of(config, RECIPE, fold_in("weights", 4, 1)),
    }
    return {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def test_levels_of_a_run_and_of_its_averaged_generator(data, tmp_path):
    seen = []

    def show(model, step):
        seen.append((step, float(model.network.body.level), model.sample(2, seed=1)))

    train(data, tmp_path, options=options_of(sample_every=1), on_sample=show)
    expected = [level_of_step(step, 8, 3) for step in range(16)]
    assert expected[:9] == [0, 0, 0, 0.5, 1, 1, 1, 1.5, 2]
    assert [level for _, level, _ in seen] == expected
    for _, level, x in seen:
        assert x.shape == (2, *SHAPE)
        factor = 2 ** (2 - int(np.ceil(level)))
        small = x[:, :, ::factor, ::factor]
        assert torch.equal(repeated(small, factor), x)
    assert not torch.equal(repeated(x[:, :, ::2, ::2], 2), x)


@pytest.mark.filterwarnings("ignore:samples are grown")
def test_an_extended_run_does_not_fall_back(data, tmp_path):
    train(data, tmp_path, progress=stopping(8))
    before = checkpoint(tmp_path)
    assert float(before["network.generator.body.level"]) == 1.5
    seen = []
    train(
        data,
        tmp_path,
        options=options_of(steps=40, sample_every=1),
        on_sample=lambda model, step: seen.append(float(model.network.body.level)),
        progress=lambda state, losses, rate: state.step >= 10,
    )
    assert seen[:3] == [2, 2, 2]  # the 8 growing steps of the 16 that it began with
    assert int(checkpoint(tmp_path)["network.discriminator.body.growing_steps"]) == 8


@pytest.mark.filterwarnings("ignore:samples are grown")
def test_a_model_that_still_grows_is_saved_and_loaded(data, tmp_path):
    model = train(data, tmp_path, progress=stopping(2))
    loaded = gan.load(tmp_path)
    assert float(loaded.network.body.level) == float(model.network.body.level) == 0
    x = loaded.sample(3, label="a", seed=2)
    assert x.shape == (3, *SHAPE)
    assert torch.equal(x, model.sample(3, label="a", seed=2))
    assert torch.equal(repeated(x[:, :, ::4, ::4], 4), x)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_levels_train_in_parts_of_a_batch(precision, data, tmp_path):
    """With a penalty of each second step, for both types that networks compute in."""
    options = options_of(accumulation=2)
    recipe = replace(RECIPE, penalty_every=2, n_critic=2)
    model = train(data, tmp_path, options=options, recipe=recipe, precision=precision)
    assert float(model.network.body.level) == 2
    assert float(model.sample(4, seed=0).std(0).mean()) > 0


def test_without_growth_the_last_stage_is_trained(data, tmp_path):
    recipe = replace(RECIPE, growth=0.0)
    for settings in ({}, {"shards": 2}):
        options = options_of(steps=2, **settings)
        model = train(data, tmp_path / str(len(settings)), recipe=recipe, options=options)
        assert float(model.network.body.level) == 2


def test_the_drift_is_part_of_the_gradient(data, tmp_path):
    """Its weight moves the discriminator's gradient in proportion."""
    norms = []
    for weight in (0.0, 1000.0, 2000.0):
        recipe = replace(RECIPE, drift=weight, gradient_penalty=0.0, growth=0.0)
        seen = []
        train(
            data,
            tmp_path / str(weight),
            recipe=recipe,
            options=options_of(steps=1),
            progress=lambda state, losses, rate, seen=seen: seen.append(losses),
        )
        norms.append(seen[0]["discriminator_norm"])
    assert norms[2] == pytest.approx(2 * norms[1], rel=0.05)
    assert norms[1] > 2 * norms[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"growth": -0.1}, "growth=-0.1 must be from 0, which is none, to 1"),
        ({"growth": 1.5}, "growth=1.5 must be from 0"),
        ({"growth": float("nan")}, "growth=nan must be from 0"),
        ({"drift": -1.0}, "drift=-1.0 must be at least 0 and finite"),
    ],
)
def test_recipes_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.Recipe(**settings)


def test_settings_that_do_not_fit_the_network(data, tmp_path):
    with pytest.raises(ValueError, match=r'growth=0\.5 is for the network "progressive"'):
        train(data, tmp_path, config=gan.Config(SHAPE, size="tiny", latent=6))
    with pytest.raises(ValueError, match="spectral_norm=True is for networks without equalised"):
        train(data, tmp_path, recipe=replace(RECIPE, spectral_norm=True))
    with pytest.raises(ValueError, match="shards=2 needs networks whose buffers do not change"):
        train(data, tmp_path, options=options_of(shards=2))
    with pytest.raises(ValueError, match="size='huge' is unknown"):
        replace(config_of(), size="huge")


def test_copies_have_the_level():
    generator, _ = players(torch.float32)
    set_levels(1.5, generator)
    assert float(deepcopy(generator).body.level) == 1.5
    other, _ = players(torch.float32)
    other.load_state_dict(generator.state_dict())
    z = torch.randn(2, 6)
    assert torch.equal(other(z), generator(z))
    with torch.device("meta"):
        assert generator_of(config_of(), 0)(torch.zeros(1, 6)).shape == (1, *SHAPE)

"""BigGAN: its layers against loops, spectral norms by SVD, chunks of latents and its training."""

import csv
import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrize  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import standing  # noqa: E402
from unsup_fast.models.gan.penalties import (  # noqa: E402
    matrices,
    orthogonal_penalty,
    squared_gradient_norm,
)
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.gan.standing import measure_batch_norms  # noqa: E402
from unsup_fast.models.networks import biggan  # noqa: E402
from unsup_fast.models.networks.biggan_layers import (  # noqa: E402
    ConditionalBatchNorm,
    SelfAttention,
)
from unsup_fast.models.networks.equalized import EqualizedConv2d  # noqa: E402
from unsup_fast.models.networks.sides import halved  # noqa: E402
from unsup_fast.models.networks.spectral import (  # noqa: E402
    SpectralNorm,
    solve_singular_vectors,
    spectrally_normalize,
)

SHAPE = (2, 12, 20)  # sides 12 x 20 and 6 x 10 and 3 x 5
CONFIG = gan.Config(SHAPE, ("a", "b", "c"), network="biggan", size="tiny", latent=8)
RECIPE = gan.FAMILIES["biggan"]


def normalized(network):
    """Return the layers with a spectral norm, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module)
    }


def largest(module):
    """Return the largest singular value of the weight of a layer, as its next pass has it."""
    with torch.no_grad():
        return float(torch.linalg.svdvals(module.weight.flatten(1).double())[0])


def disturb(network, seed=0):
    """Add noise to all weights, so that singular values differ."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn_like(weight)


def inputs(n, config=CONFIG, seed=0):
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(n, config.latent, generator=random)
    return z, torch.arange(n) % len(config.classes)


def test_each_layer_has_the_spectral_norm_one():
    generator, discriminator = generator_of(CONFIG, 0), discriminator_of(CONFIG, RECIPE, 1)
    z, label = inputs(4)
    for network, x in ((generator, z), (discriminator, torch.randn(4, *SHAPE))):
        disturb(network)
        for _ in range(60):
            network(x, label)
        network.eval()
        norms = {name: largest(module) for name, module in normalized(network).items()}
        assert norms == pytest.approx(dict.fromkeys(norms, 1.0), abs=0.05)
        weights = {name for name, weight in network.named_parameters() if weight.ndim in (2, 4)}
        covered = {f"{name}.parametrizations.weight.original" for name in norms}
        assert weights - covered == ({"label.weight"} if network is generator else set())
        assert len(norms) >= 15


def test_singular_vectors_rest_in_evaluation_mode():
    generator = generator_of(CONFIG, 0)
    disturb(generator)
    z, label = inputs(4)
    before = deepcopy(dict(generator.named_buffers()))
    generator.eval()
    generator(z, label)
    assert all(torch.equal(value, before[name]) for name, value in generator.named_buffers())
    generator.train()
    generator(z, label)
    moved = [n for n, value in generator.named_buffers() if not torch.equal(value, before[n])]
    assert {name.rsplit(".")[-1] for name in before} == {name.rsplit(".")[-1] for name in moved}


def test_a_step_of_the_power_method_against_a_loop():
    layer = nn.Linear(3, 2, bias=False).double()
    spectrally_normalize(layer)
    disturb(layer)
    (norm,) = layer.parametrizations.weight
    weight = layer.parametrizations.weight.original.detach().clone()
    v = norm._v.clone()
    out = layer(torch.eye(3, dtype=torch.float64)).T  # [2, 3]
    u = [sum(float(weight[i, j] * v[j]) for j in range(3)) for i in range(2)]
    u = [each / math.hypot(*u) for each in u]
    v = [sum(float(weight[i, j]) * u[i] for i in range(2)) for j in range(3)]
    v = [each / math.sqrt(sum(one**2 for one in v)) for each in v]
    sigma = sum(u[i] * float(weight[i, j]) * v[j] for i in range(2) for j in range(3))
    torch.testing.assert_close(out.detach(), weight / sigma)


def test_singular_vectors_of_averaged_weights_are_solved():
    """The vectors of the last weights do not fit the average; both orientations, and bits."""
    layers = nn.Sequential(nn.Linear(5, 9), nn.Linear(9, 4))
    spectrally_normalize(layers)
    torch.manual_seed(3)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.normal_()
    layers.eval()
    assert max(abs(largest(layer) - 1) for layer in layers) > 0.05
    solve_singular_vectors(layers)
    assert [largest(layer) for layer in layers] == pytest.approx([1, 1], abs=1e-6)
    before = deepcopy(layers.state_dict())
    solve_singular_vectors(layers)
    assert all(torch.equal(value, before[key]) for key, value in layers.state_dict().items())


def test_spectral_norms_are_of_full_precision_under_autocast():
    layer = nn.Linear(6, 5)
    spectrally_normalize(layer)
    other = deepcopy(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layer.weight
    assert rough.dtype == torch.float32
    assert torch.equal(rough, other.weight)


def test_the_gradient_of_a_spectral_norm():
    """Of W / sigma with the vectors of the pass, which are constants (Miyato et al. 2018)."""
    norm = SpectralNorm(torch.randn(3, 4, dtype=torch.float64)).eval()
    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, weight)
    assert torch.autograd.gradgradcheck(norm, weight)


@pytest.mark.parametrize("training", [True, False])
def test_a_conditional_norm_against_a_loop(training):
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(3, 4).double().train(training)
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    x, c = torch.randn(5, 3, 2, 3).double(), torch.randn(5, 4).double()
    mean, var = layer.norm.running_mean.clone(), layer.norm.running_var.clone()
    out = layer(x, c)
    for channel in range(3):
        if training:
            values = x[:, channel].flatten()
            mean[channel], var[channel] = values.mean(), values.var(correction=0)
        for sample in range(5):
            gain = 1 + sum(layer.gain.weight[channel, i] * c[sample, i] for i in range(4))
            shift = sum(layer.shift.weight[channel, i] * c[sample, i] for i in range(4))
            expected = (x[sample, channel] - mean[channel]) / (var[channel] + 1e-5).sqrt()
            torch.testing.assert_close(out[sample, channel], gain * expected + shift)


def test_attention_against_a_loop():
    torch.manual_seed(0)
    layer = SelfAttention(16).double()
    x = torch.randn(2, 16, 2, 3).double()
    assert torch.equal(layer(x), x)  # gamma is 0
    layer.gamma.data.fill_(0.7)
    out = layer(x)
    f, g, h = (part.weight.flatten(1) for part in (layer.key, layer.query, layer.value))  # [2, 16]
    v = layer.out.weight.flatten(1)  # [16, 2]
    for sample in range(2):
        pixels = x[sample].flatten(1).T  # [6, 16]
        for j in range(6):
            scores = torch.stack([(f @ pixels[i]) @ (g @ pixels[j]) for i in range(6)])
            beta = scores.exp() / scores.exp().sum()
            o = v @ sum(beta[i] * (h @ pixels[i]) for i in range(6))
            expected = pixels[j] + 0.7 * o
            torch.testing.assert_close(out[sample].flatten(1)[:, j], expected)


def test_attention_of_few_channels():
    layer = SelfAttention(3)
    layer.gamma.data.fill_(1.0)
    x = torch.randn(2, 3, 3, 1)
    assert layer(x).shape == x.shape
    assert layer.key.weight.shape == (1, 3, 1, 1)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((28, 28), 14), ((32, 32), 16), ((64, 40), 16), ((20, 20), 20), ((66, 66), 33), ((8, 8), 8)],
)
def test_attention_is_at_the_resolution_nearest_to_16(sides, expected):
    levels = halved(sides, biggan.LARGEST_START)
    assert max(levels[biggan.attended(levels)]) == expected
    shape = (1, *sides)
    seen = []
    discriminator = biggan.BigGANDiscriminator(shape, "tiny").eval()
    generator = biggan.BigGANGenerator(shape, 6, "tiny", 6).eval()
    for network in (generator, discriminator):
        network.attention.register_forward_hook(
            lambda module, args, out: seen.append(max(out.shape[2:]))
        )
    assert discriminator(generator(torch.randn(1, 6))).shape == (1, discriminator.n_features)
    assert seen == [expected] * 2


def test_the_orthogonal_penalty_against_a_loop():
    torch.manual_seed(0)
    weights = [torch.randn(3, 2, 2, 2).double(), torch.randn(4, 5).double()]
    expected = 0.0
    for weight in weights:
        rows = weight.reshape(len(weight), -1)
        for i in range(len(rows)):
            for j in range(len(rows)):
                expected += float(rows[i] @ rows[j]) ** 2 if i != j else 0.0
    assert float(orthogonal_penalty(weights)) == pytest.approx(expected, rel=1e-12)
    long = 3 * torch.eye(4).double()
    assert float(orthogonal_penalty([long])) == 0  # lengths are free


def test_matrices_are_those_of_layers():
    network = nn.Sequential(nn.Linear(2, 3), nn.Embedding(4, 3), EqualizedConv2d(3, 2, 1))
    assert [tuple(weight.shape) for weight, _ in matrices(network)] == [(3, 2), (2, 3, 1, 1)]
    generator = generator_of(CONFIG, 0)
    assert len(matrices(generator)) == len(normalized(generator))


def test_new_matrices_are_orthogonal():
    network = biggan.BigGANDiscriminator(SHAPE, "tiny")
    for weight, _ in matrices(network):
        rows = weight.flatten(1)
        gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
        torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)


def test_chunks_of_latents_go_to_their_block_only():
    """A change of a chunk changes what its block gets, and no block before it."""
    assert biggan.chunk_sizes(8, 3) == [3, 3, 2]
    body = generator_of(CONFIG, 0).eval().body
    start, states, conditions = [], [], []
    body.start.register_forward_hook(lambda module, args, out: start.append(args[0]))
    for block in body.blocks:
        block.register_forward_pre_hook(lambda module, args: states.append(args[0]))
        block.register_forward_pre_hook(lambda module, args: conditions.append(args[1]))
    z = torch.randn(2, 16)  # latents, then the embedding of the class
    body(z)
    assert torch.equal(start[0], z[:, :3])
    assert torch.equal(conditions[0], torch.cat([z[:, 8:], z[:, 3:6]], 1))
    assert torch.equal(conditions[1], torch.cat([z[:, 8:], z[:, 6:8]], 1))
    for column, differs in ((0, [True, True]), (4, [False, True]), (7, [False, False])):
        states.clear()
        body(z)
        moved = z.clone()
        moved[:, column] += 1
        assert not torch.equal(body(moved), body(z))
        assert [not torch.equal(states[i], states[2 + i]) for i in range(2)] == differs


def test_a_generator_without_classes_has_chunks_alone():
    config = replace(CONFIG, classes=())
    generator = generator_of(config, 0).eval()
    assert generator.label is None
    assert [block.norm1.gain.in_features for block in generator.body.blocks] == [3, 2]
    x = generator(torch.randn(3, 8))
    assert x.shape == (3, *SHAPE)
    assert x.abs().max() <= 1


def test_standing_statistics_are_those_of_the_latents():
    """The first norm's input is linear in standard normal numbers, so its moments are known."""
    generator = generator_of(CONFIG, 0)
    disturb(generator)
    generator.eval()
    solve_singular_vectors(generator)
    before = deepcopy(dict(generator.named_buffers()))
    measure_batch_norms(generator, CONFIG.latent, 3)
    assert not any(module.training for module in generator.modules())
    body = generator.body
    channels, height, width = body.start_shape
    rows = body.scale * body.start.weight.detach().view(channels, height * width, -1)  # [C, H W, Z]
    bias = body.start_bias.detach().view(channels, -1)  # [C, H W]
    norm = body.blocks[0].norm1.norm
    var = rows.square().sum(2).mean(1) + bias.var(1, correction=0)
    torch.testing.assert_close(norm.running_mean, bias.mean(1), rtol=0, atol=0.05)
    torch.testing.assert_close(norm.running_var, var, rtol=0.15, atol=0)
    vectors = [name for name in before if name.endswith(("._u", "._v"))]
    now = dict(generator.named_buffers())
    assert vectors
    assert all(torch.equal(now[name], before[name]) for name in vectors)


def test_second_derivatives_of_the_discriminator():
    """Of R1 through spectral norms, attention and pooling, in float64."""
    config = gan.Config((1, 8, 8), ("a", "b"), network="biggan", size="tiny", latent=4)
    discriminator = discriminator_of(config, RECIPE, 0).double().eval()
    discriminator.body.attention.gamma.data.fill_(0.5)
    torch.manual_seed(0)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1])
    scores = lambda x: discriminator(x, label)  # noqa: E731
    assert torch.autograd.gradcheck(scores, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(scores, x, fast_mode=True)
    weight = discriminator.body.enter.parametrizations.weight.original

    def r1():
        return squared_gradient_norm(scores(x), x).sum()

    (gradient,) = torch.autograd.grad(r1(), weight)
    step = 1e-6 * torch.randn_like(weight)
    with torch.no_grad():
        weight += step
    above = float(r1().detach())
    with torch.no_grad():
        weight -= 2 * step
    slope = (above - float(r1().detach())) / 2
    assert slope == pytest.approx(float((gradient * step).sum()), rel=1e-4)


def test_samples_of_smaller_latents_are_more_alike():
    model = gan.GAN.build(CONFIG, seed=1)
    measure_batch_norms(model.network, CONFIG.latent, 3)
    spreads = []
    for truncation in (0.1, 0.6, None):
        z = model.latents(64, seed=2, truncation=truncation)
        assert truncation is None or z.abs().max() <= truncation
        x = model.sample(64, label="b", seed=2, truncation=truncation)
        torch.testing.assert_close(x[:2], model.generate(z[:2], "b"), atol=1e-5, rtol=1e-5)
        spreads.append(float(x.std(0).mean()))
    assert spreads[0] < spreads[1] < spreads[2]


@pytest.fixture
def data(monkeypatch):
    """Return pictures and classes; statistics of batch norms are measured on few samples."""
    monkeypatch.setattr(standing, "BATCHES", 1)
    random = np.random.default_rng(0)
    return random.integers(0, 255, size=(24, *SHAPE), dtype=np.uint8), np.arange(24) % 3


def train(data, folder, *, steps=3, recipe=RECIPE, options=None, **arguments):
    settings = {"batch_size": 8, "warmup": 1, "save_every": 4, "seed": 4, "learning_rate": 2e-2}
    return gan.train(
        data[0],
        folder,
        config=CONFIG,
        labels=data[1],
        recipe=recipe,
        options=gan.train_config("biggan", **{**settings, **(options or {})}, steps=steps),
        **{"device": "cpu", "progress": False, "precision": "float32", **arguments},
    )


def test_layers_of_averaged_weights_have_the_spectral_norm_one(data, tmp_path):
    shown = []

    def look(model, step):
        norms = [largest(module) for module in normalized(model.network).values()]
        shown.append(norms)

    options = {"sample_every": 2, "ema": 0.5}
    model = train(data, tmp_path, steps=4, on_sample=look, options=options)
    assert len(shown) == 2
    for norms in shown:
        assert norms == pytest.approx([1.0] * len(norms), abs=1e-5)
    loaded = gan.load(tmp_path)
    weights = loaded.network.state_dict()
    assert all(torch.equal(value, weights[k]) for k, value in model.network.state_dict().items())
    with pytest.raises(ValueError, match=r"shards=4 needs networks without batch norms"):
        train(data, tmp_path / "shards", options={"shards": 4})


def test_the_first_step_in_bfloat16_is_close(data, tmp_path):
    losses = []
    for precision in ("float32", "bfloat16"):
        train(data, tmp_path / precision, steps=1, precision=precision)
        with (tmp_path / precision / "metrics.csv").open() as file:
            (row,) = csv.DictReader(file)
        losses.append([float(row["d_loss"]), float(row["spread"])])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_the_orthogonal_penalty_is_trained_and_resumes(data, tmp_path):
    recipe = replace(RECIPE, orthogonal=1e-3)
    whole = train(data, tmp_path / "whole", recipe=recipe)
    with (tmp_path / "whole" / "metrics.csv").open() as file:
        values = [float(row["orthogonal"]) for row in csv.DictReader(file)]
    assert values[0] > 0
    stop = lambda state, losses, rate: True  # noqa: E731
    train(data, tmp_path / "parts", recipe=recipe, progress=stop)
    resumed = train(data, tmp_path / "parts", recipe=recipe).network.state_dict()
    assert all(torch.equal(value, resumed[k]) for k, value in whole.network.state_dict().items())
    plain = train(data, tmp_path / "plain").network.state_dict()
    assert not all(torch.equal(value, resumed[k]) for k, value in plain.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 2}, "latent=2 must be at least 3: the start .* each of its 2 blocks"),
        ({"shape": (1, 250, 250)}, "attention, which is between at most 2048 pixels: 125 x 125"),
        ({"shape": (1, 9, 16)}, "9 x 16 cannot be halved"),
    ],
)
def test_refused_networks(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.GAN.build(replace(CONFIG, **settings))


def test_refused_settings():
    with pytest.raises(ValueError, match=r'\(C, H, W\) for network="biggan"'):
        gan.Config((4,), network="biggan")
    with pytest.raises(ValueError, match="size='huge' is unknown"):
        replace(CONFIG, size="huge")
    with pytest.raises(ValueError, match=r"orthogonal=-1\.0 must be at least 0"):
        replace(RECIPE, orthogonal=-1.0)


def test_the_start_has_variance_one():
    """Otherwise its biases soon outweigh the latents, and samples of a class become one picture."""
    body = generator_of(gan.Config((1, 28, 28), network="biggan", size="tiny"), 0).body
    z = torch.randn(2000, body.chunks[0], generator=torch.Generator().manual_seed(0))
    h = body.start(z) * body.scale + body.start_bias
    assert 0.9 < float(h.detach().var()) < 1.1
    stored = body.start.parametrizations.weight.original
    assert float(stored.detach().norm(dim=1).square().mean()) == pytest.approx(1.0)

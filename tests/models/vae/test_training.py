"""`train`, and what a trained model does."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402

OPTIONS = TrainConfig(steps=6, batch_size=8, warmup=2, save_every=2, sample_every=3, seed=4)
CONFIGS = {
    "mlp": vae.Config((1, 9, 7), size="tiny", latent=5),
    "conv": vae.Config((1, 9, 7), network="conv", size="tiny", latent=5, likelihood="logistic"),
    "classes": vae.Config((1, 9, 7), ("left", "right"), size="tiny", latent=3),
    "gaussian": vae.Config((1, 9, 7), size="tiny", latent=5, likelihood="gaussian"),
}


@pytest.fixture(scope="module")
def data():
    """Pictures that are bright on one side, and the index of that side."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=40)
    pixels = random.integers(0, 60, size=(40, 1, 9, 7), dtype=np.uint8)
    pixels[labels == 0, :, :, :4] += 180
    pixels[labels == 1, :, :, 4:] += 180
    return pixels, labels


def train(data, folder, config, options=OPTIONS, **arguments):
    pixels, labels = data
    arguments = {"device": "cpu", "progress": False, **arguments}
    if config.classes:
        arguments["labels"] = labels
    return vae.train(pixels, folder, config=config, options=options, **arguments)


def weights(model):
    return model.network.state_dict()


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    """A trained model of each configuration, with its folder."""
    folders = {name: tmp_path_factory.mktemp(name) for name in CONFIGS}
    return {
        name: (train(data, folders[name], config), folders[name])
        for name, config in CONFIGS.items()
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_trained_is_in_the_folder(models, name):
    model, folder = models[name]
    loaded = vae.load(folder)
    assert loaded.config == CONFIGS[name]
    assert all(torch.equal(value, weights(model)[key]) for key, value in weights(loaded).items())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mlp", {"beta_warmup": 4, "free_bits": 0.1}),
        ("classes", {"importance_samples": 3}),
        ("conv", {"beta": 4.0, "flip": True}),
        ("gaussian", {}),
    ],
)
def test_a_stopped_run_resumes_to_the_same_bits(data, tmp_path, name, arguments):
    whole = train(data, tmp_path / "whole", CONFIGS[name], **arguments)

    def third(state, losses, rate):
        return state.step >= 3

    train(data, tmp_path / "parts", CONFIGS[name], progress=third, **arguments)
    resumed = train(data, tmp_path / "parts", CONFIGS[name], **arguments)
    assert all(torch.equal(value, weights(whole)[key]) for key, value in weights(resumed).items())


def test_shards_sum_to_the_same_loss(data, tmp_path):
    options = replace(OPTIONS, steps=2)
    plain = train(data, tmp_path / "plain", CONFIGS["mlp"], options, precision="float32")
    options = replace(options, shards=4)
    shards = train(data, tmp_path / "shards", CONFIGS["mlp"], options, precision="float32")
    for key, value in weights(shards).items():
        torch.testing.assert_close(value, weights(plain)[key], rtol=1e-3, atol=1e-5)


def test_a_run_continues_from_another_model(data, models, tmp_path):
    model, _ = models["mlp"]
    options = replace(OPTIONS, steps=1, learning_rate=1e-12)
    tuned = train(data, tmp_path, CONFIGS["mlp"], options, start=model, importance_samples=5)
    for key, value in weights(tuned).items():
        torch.testing.assert_close(value, weights(model)[key])
    with pytest.raises(ValueError, match="another configuration"):
        train(data, tmp_path, CONFIGS["gaussian"], start=model)


@pytest.mark.parametrize("name", CONFIGS)
def test_bounds_are_in_order(data, models, name):
    model, _ = models[name]
    label = data[1] if CONFIGS[name].classes else None
    bounds = np.array(
        [
            [
                float(model.elbo(data[0], label, seed=seed).elbo.mean()),
                *(
                    float(-model.nll(data[0], label, n_samples=k, seed=seed).mean())
                    for k in (8, 300)
                ),
            ]
            for seed in range(6)
        ]
    )
    elbo, few, many = bounds.mean(0)
    assert elbo < few < many + 0.02


@pytest.mark.parametrize("name", CONFIGS)
def test_likelihoods_do_not_depend_on_batches(data, models, name):
    model, _ = models[name]
    label = data[1] if CONFIGS[name].classes else None
    seeds = np.arange(40)
    whole = model.nll(data[0], label, n_samples=30, seed=seeds)
    parts = model.nll(data[0], label, n_samples=30, seed=seeds, batch_size=7)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=0)
    some = None if label is None else label[10:20]
    part = model.nll(data[0][10:20], some, n_samples=30, seed=seeds[10:20])
    torch.testing.assert_close(part, whole[10:20], rtol=1e-5, atol=0)


def test_a_likelihood_is_the_integral_over_latents(tmp_path):
    """One latent, by the trapezoidal rule over a fine grid."""
    config = vae.Config((1, 2, 2), size="tiny", latent=1)
    model = vae.VAE.build(config)
    x = np.array([[[[0, 255], [255, 0]]], [[[255, 255], [255, 0]]]], dtype=np.uint8)
    z = torch.linspace(-9, 9, 20_001)[:, None]
    with torch.no_grad():
        logits = model.network.decode(z, None).double().flatten(1)  # [G, 4]
    targets = torch.from_numpy(x).flatten(1) / 255.0
    logs = (targets[:, None] * logits - nn.functional.softplus(logits)).sum(2)  # [2, G]
    density = logs.exp() * (-(z[:, 0].double() ** 2) / 2).exp() / math.sqrt(2 * math.pi)
    exact = -torch.trapezoid(density, z[:, 0].double(), dim=1).log()
    torch.testing.assert_close(model.nll(x, n_samples=20_000), exact, rtol=2e-3, atol=0)


def test_samples_follow_from_their_seeds(models):
    model, _ = models["mlp"]
    whole = model.sample(6, seed=3)
    assert whole.shape == (6, 1, 9, 7)
    assert whole.abs().max() <= 1
    torch.testing.assert_close(model.sample(2, seed=3), whole[:2])
    assert torch.equal(model.sample(3, temperature=0.0)[:1].expand(3, -1, -1, -1),
                       model.sample(3, temperature=0.0))  # fmt: skip


def test_classes_are_by_name_or_drawn(data, models):
    model, _ = models["classes"]
    named = model.sample(label=["left", "right"], seed=1)
    torch.testing.assert_close(named, model.sample(2, label=[0, 1], seed=1))
    assert model.sample(4).shape == (4, 1, 9, 7)
    assert model.traverse(data[0][:1], 1).shape == (3, 7, 1, 9, 7)
    assert model.interpolate(data[0][:1], data[0][1:2], 4, label=0).shape == (4, 1, 9, 7)
    with pytest.raises(ValueError, match="conditional on 2 classes; pass label"):
        model.encode(data[0])
    with pytest.raises(ValueError, match="pass one for each"):
        model.encode(data[0], [0, 1])


def test_a_traversal_changes_one_latent(data, models):
    model, _ = models["mlp"]
    x = data[0][:1]
    mean = model.encode(x).mean
    pictures = model.traverse(x, latents=[2, 4], values=[0.5, float(mean[0, 4])])
    assert pictures.shape == (2, 2, 1, 9, 7)
    torch.testing.assert_close(pictures[1, 1], model.reconstruct(x)[0])
    moved = mean.clone()
    moved[0, 2] = 0.5
    torch.testing.assert_close(pictures[0, 0], model.decode(moved)[0])
    assert model.traverse(x).shape == (5, 7, 1, 9, 7)


def test_statistics_of_latents(data, models):
    model, _ = models["mlp"]
    statistics = vae.latent_statistics(model, data[0])
    q = model.encode(data[0])
    z = q.samples(0, 4000).flatten(0, 1).double()
    torch.testing.assert_close(statistics.mean, z.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(statistics.std, z.std(0), rtol=0.02, atol=0)
    assert statistics.kl[statistics.busiest].diff().le(0).all()
    assert torch.equal(statistics.active, q.mean.double().var(0, correction=0) > 0.01)


class Linear(nn.Module):
    """One matrix each for means and values."""

    def __init__(self, n_values, latent):
        super().__init__()
        self.means, self.values = nn.Linear(n_values, latent), nn.Linear(latent, n_values)
        self.log_variance = nn.Parameter(torch.zeros(latent))

    def encode(self, x, label):
        means = self.means(x.flatten(1))
        return torch.cat([means, self.log_variance.expand_as(means)], 1)

    def decode(self, z, label):
        return self.values(z)


def test_bits_of_bytes_of_a_known_entropy(tmp_path):
    """Rounded values of a Gaussian with two factors: bits are those of its entropy."""
    random = np.random.default_rng(0)
    n, d = 4000, 6
    factors = np.linalg.qr(random.standard_normal((d, 2)))[0].T * [[30.0], [18.0]]
    x = random.standard_normal((n, 2)) @ factors + 6 * random.standard_normal((n, d)) + 128
    x = x.round().clip(0, 255).astype(np.uint8)
    covariance = factors.T @ factors + 36 * np.eye(d)
    entropy = d / 2 * math.log2(2 * math.pi * math.e) + np.linalg.slogdet(covariance)[1] / math.log(
        4
    )
    torch.manual_seed(0)
    model = vae.train(
        x,
        tmp_path,
        config=vae.Config((d,), network="custom", latent=2, likelihood="gaussian"),
        options=TrainConfig(steps=700, batch_size=500, learning_rate=2e-2, decay=500, ema=0.98),
        network=Linear(d, 2),
        device="cpu",
        progress=False,
    )
    bits = model.nll_bits_per_dim(x, n_samples=50)
    assert bits.bits_per_dim == pytest.approx(entropy / d, abs=0.02)
    assert bits.bits_per_dim == pytest.approx(bits.per_sample.mean())


def test_lists_are_judged_as_arrays(data, models):
    model, _ = models["gaussian"]
    x = data[0][:3]
    bits = model.nll_bits_per_dim(torch.from_numpy(x), n_samples=5)
    assert bits.per_sample.tolist() == model.nll_bits_per_dim(x, n_samples=5).per_sample.tolist()


def test_bits_of_bytes_under_one_logistic_distribution():
    """A decoder that says the same of all: bits follow from the distribution function."""

    class Constant(Linear):
        def decode(self, z, label):
            return torch.cat([torch.zeros(len(z), 6), torch.full((len(z), 6), -1.2)], 1)

    config = vae.Config((6,), network="custom", latent=2, likelihood="logistic")
    model = vae.VAE(Constant(6, 2), config)
    x = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 6, axis=1)
    edges = stats.logistic(0, math.exp(-1.2)).cdf((np.arange(1, 256) - 128) / 127.5)
    expected = -np.log2(np.diff(np.concatenate([[0], edges, [1]]))).mean()
    model.network.body.means.weight.data.zero_()  # so that the posterior is the prior
    model.network.body.means.bias.data.zero_()
    assert model.nll_bits_per_dim(x, n_samples=5).bits_per_dim == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -1.0}, "beta=-1.0 must be at least 0"),
        ({"importance_samples": 5, "beta": 2.0}, "leave out beta"),
        ({"importance_samples": 0}, "must be at least 1"),
        ({"network": Linear(63, 5)}, 'config.network="custom"'),
        ({"free_bits": 0.1, "options": replace(OPTIONS, accumulation=2)}, "in 2 parts"),
        ({"free_bits": 0.1, "options": replace(OPTIONS, shards=4)}, "in 4 parts"),
    ],
)
def test_settings_that_do_not_fit_are_refused(data, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path, CONFIGS["mlp"], **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 3)}, "must hold numbers of at least 1"),
        ({"shape": (1, 8, 8), "network": "dense"}, "is unknown; pass one of"),
        ({"shape": (64,), "network": "conv"}, "must be"),
        ({"shape": (1, 8, 8), "latent": 0}, "latent=0 must be from 1"),
        ({"shape": (1, 8, 8), "likelihood": "cauchy"}, "is unknown; pass one of"),
        ({"shape": (1, 8, 8), "network": "conv", "size": "large"}, "is unknown; pass one of"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        vae.Config(**arguments)


def test_data_that_do_not_fit_are_refused(data, models, tmp_path):
    model, _ = models["mlp"]
    with pytest.raises(ValueError, match=r"config\.shape"):
        model.encode(data[0][:, :, 1:])
    with pytest.raises(ValueError, match="floats reach 200"):
        model.encode(np.full((2, 1, 9, 7), 200.0))
    with pytest.raises(ValueError, match="must be a whole number"):
        model.traverse(data[0][:1], latents=[0.7])
    with pytest.raises(ValueError, match="pass one each"):
        model.interpolate(data[0][:2], data[0][:1])
    with pytest.raises(ValueError, match="steps=0"):
        model.interpolate(data[0][:1], data[0][:1], 0)
    with pytest.raises(ValueError, match="floats reach 3"):
        vae.train(np.full((4, 1, 9, 7), 3.0), tmp_path, config=CONFIGS["mlp"], options=OPTIONS)
    with pytest.raises(ValueError, match="the model decodes"):
        model.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="n_samples=0"):
        model.nll(data[0], n_samples=0)

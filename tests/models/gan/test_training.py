"""`train`, and what a trained model does."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

import unsup_fast  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.training.scores import load_best  # noqa: E402

CLASSES = ("left", "right")
SHAPE = (1, 14, 10)
NETWORKS = {
    "r3gan": "r3gan",
    "dcgan": "dcgan",
    "lsgan": "dcgan",
    "wgan": "dcgan",
    "wgan-gp": "dcgan",
}


@pytest.fixture(scope="module")
def data():
    """Pictures that are bright on one side, and the index of that side."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=40)
    pixels = random.integers(0, 60, size=(40, *SHAPE), dtype=np.uint8)
    pixels[labels == 0, :, :, :5] += 180
    pixels[labels == 1, :, :, 5:] += 180
    return pixels, labels


def config_of(family, **settings):
    options = {"network": NETWORKS[family], "size": "tiny", "latent": 5, "classes": CLASSES}
    return gan.Config(SHAPE, **{**options, **settings})


def options_of(family, **settings):
    options = {"steps": 4, "batch_size": 8, "warmup": 2, "save_every": 2, "seed": 4}
    return gan.train_config(family, **{**options, **settings})


def train(data, folder, family="r3gan", *, config=None, options=None, **arguments):
    config = config or config_of(family)
    pixels, labels = data
    arguments = {"device": "cpu", "progress": False, "recipe": gan.FAMILIES[family], **arguments}
    return gan.train(
        pixels,
        folder,
        config=config,
        options=options or options_of(family),
        labels=labels if config.classes else None,
        **arguments,
    )


def same(one, other):
    weights = other.network.state_dict()
    return all(torch.equal(value, weights[key]) for key, value in one.network.state_dict().items())


@pytest.mark.parametrize("family", gan.FAMILIES)
def test_a_stopped_run_resumes_to_the_same_bits(family, data, tmp_path):
    arguments = {"flip": True}
    if family == "r3gan":  # penalties of every third step, which get weaker
        recipe = replace(gan.FAMILIES[family], penalty_every=3)
        arguments |= {"recipe": recipe, "config": config_of(family, conditioning="concat")}
    whole = train(data, tmp_path / "whole", family, **arguments)
    stop = {"progress": lambda state, losses, rate: state.step >= 1}
    train(data, tmp_path / "parts", family, **arguments, **stop)
    resumed = train(data, tmp_path / "parts", family, **arguments)
    assert same(whole, resumed)
    loaded = unsup_fast.load(tmp_path / "parts")
    assert isinstance(loaded, gan.GAN)
    assert loaded.config == resumed.config
    assert same(loaded, resumed)
    assert torch.equal(loaded.sample(3, seed=1), resumed.sample(3, seed=1))


def test_a_recipe_must_be_the_same_to_resume(data, tmp_path):
    train(data, tmp_path)
    recipe = replace(gan.FAMILIES["r3gan"], r1=2.0)
    with pytest.raises(ValueError, match=r"recipe\.r1"):
        train(data, tmp_path, recipe=recipe, options=options_of("r3gan", steps=5))


def test_parts_of_a_batch_have_the_same_gradient(data, tmp_path):
    options = options_of("r3gan", steps=2)
    plain = train(data, tmp_path / "plain", options=options)
    for name, settings in (("parts", {"accumulation": 2}), ("shards", {"shards": 4})):
        other = train(data, tmp_path / name, options=replace(options, **settings))
        for key, value in other.network.state_dict().items():
            expected = plain.network.state_dict()[key]
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5)


class Recorder(nn.Module):
    """A discriminator that stores the samples that it scores."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.seen = []

    def forward(self, x, label):
        self.seen.append(x.detach().clone())
        return x @ self.weight


class Linear(nn.Module):
    """A generator of rows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, z, label):
        return z[:, :1] * self.weight


def test_each_update_of_the_critic_has_its_own_batch(tmp_path):
    """Five batches a step, of an epoch without repeats."""
    rows = np.arange(60, dtype=np.float32)[:, None].repeat(3, 1)
    critic = Recorder()
    recipe = gan.Recipe(loss="wasserstein", n_critic=5, weight_clip=0.25, optimizer="rmsprop")
    model = gan.train(
        rows,
        tmp_path,
        config=gan.Config((3,), network="custom", latent=2),
        options=options_of("wgan", steps=2, batch_size=6, learning_rate=1.0),
        recipe=recipe,
        generator=Linear(),
        discriminator=critic,
        device="cpu",
        progress=False,
    )
    # a step scores real and generated samples five times, then generated ones for the generator
    real = [critic.seen[step * 11 + 2 * i] for step in range(2) for i in range(5)]
    assert sorted(torch.cat(real)[:, 0].tolist()) == list(range(60))
    assert critic.weight.abs().max() == 0.25
    assert model.sample(4).shape == (4, 3)
    latents = [each for i, each in enumerate(critic.seen) if i % 11 in (1, 3, 5, 7, 9, 10)]
    assert len({tuple(each[:, 0].tolist()) for each in latents}) == 12
    loaded = gan.load(tmp_path, network=Linear())
    assert torch.equal(loaded.sample(3), model.sample(3))


def test_generated_samples_are_of_the_classes_of_the_batch(tmp_path, data):
    labels = []

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(SHAPE))

        def forward(self, z, label):
            labels.append(label)
            return self.weight.expand(len(z), *SHAPE)

    class Discriminator(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(SHAPE))

        def forward(self, x, label):
            labels.append(label)
            return (x * self.weight).flatten(1).sum(1)

    train(
        data,
        tmp_path,
        config=config_of("r3gan", network="custom"),
        options=options_of("r3gan", steps=1),
        generator=Generator(),
        discriminator=Discriminator(),
    )
    assert len(labels) == 6
    assert all(torch.equal(label, labels[0]) for label in labels)


def test_scores_are_those_of_the_averaged_weights(data, tmp_path):
    brightness = []

    def judge(model):
        brightness.append(float(model.sample(8, seed=2).mean()))
        return {"brightness": brightness[-1]}

    options = options_of("dcgan", judge_every=2)
    model = train(data, tmp_path, "dcgan", options=options, judge=judge, best=("brightness", "min"))
    assert brightness[-1] == float(model.sample(8, seed=2).mean())
    rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4"]
    note = load_best(tmp_path, {"generator": gan.GAN.build(model.config).network})
    assert note["scores"]["brightness"] == min(brightness)


def test_batch_norms_have_the_statistics_of_the_averaged_weights(data, tmp_path):
    """The first norm's input is linear in latents and classes, so its moments are known."""
    model = train(data, tmp_path, "dcgan", config=config_of("dcgan", classes=()))
    body = model.network.body
    z = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    h = (z @ body.start.weight.T).view(-1, *body.start_shape)
    norm = body.norms[0]
    torch.testing.assert_close(norm.running_mean, h.mean((0, 2, 3)), rtol=0, atol=3e-3)
    torch.testing.assert_close(norm.running_var, h.var((0, 2, 3)), rtol=0.1, atol=0)


def test_samples_follow_from_their_seeds(data, tmp_path):
    model = train(data, tmp_path)
    whole = model.sample(6, seed=3)
    assert whole.shape == (6, *SHAPE)
    assert whole.abs().max() <= 1
    torch.testing.assert_close(model.sample(2, seed=3), whole[:2])
    named = model.sample(label=["left", "right"], seed=1)
    torch.testing.assert_close(named, model.sample(2, label=[0, 1], seed=1))
    z = model.latents(500, seed=1, truncation=0.7)
    assert z.abs().max() <= 0.7
    assert torch.equal(z.sign(), model.latents(500, seed=1).sign())
    path = model.interpolate(z[0], z[1], 5, label="left")
    torch.testing.assert_close(path[0], model.generate(z[:1], "left")[0])
    torch.testing.assert_close(path[4], model.generate(z[1:2], "left")[0])


def test_truncated_latents_have_the_truncated_distribution():
    from scipy import stats

    model = gan.GAN.build(gan.Config((2,), network="mlp", size="tiny", latent=50))
    z = model.latents(2000, truncation=1.2).flatten().numpy()
    expected = stats.truncnorm(-1.2, 1.2)
    assert stats.kstest(z[::10], expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "labels and config.classes go together"),
        ({"generator": Linear()}, "pass both or neither"),
        ({"options": options_of("r3gan", batch_size=8, shards=8)}, "without batch norms"),
        ({"config": gan.Config((2, 14, 10), CLASSES, size="tiny")}, "config.shape"),
    ],
)
def test_refused_arguments(change, message, data, tmp_path):
    pixels, labels = data
    family = "dcgan" if "options" in change else "r3gan"
    arguments = {"labels": labels, "config": config_of(family), "options": options_of(family)}
    with pytest.raises(ValueError, match=message):
        gan.train(pixels, tmp_path, device="cpu", **{**arguments, **change})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "batch", "r1": 1.0}, 'norm="batch" mixes samples'),
        ({"loss": "l2"}, "loss='l2' is unknown"),
        ({"n_critic": 0}, "n_critic=0 must be at least 1"),
        ({"r_final": 0.0}, "r_final=0.0 must be above 0"),
        ({"weight_clip": -1.0}, "weight_clip=-1.0 must be at least 0"),
        ({"betas": (0.5, 1.0)}, "must be two numbers"),
    ],
)
def test_refused_recipes(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.Recipe(**settings)


def test_refused_configurations():
    with pytest.raises(ValueError, match='must be \\(C, H, W\\) for network="r3gan"'):
        gan.Config((3,))
    with pytest.raises(ValueError, match="no options of training"):
        gan.train_config("r3gan", steps=3, rate=1.0)
    with pytest.raises(ValueError, match="family='gan' is unknown"):
        gan.train_config("gan", steps=3)
    with pytest.raises(ValueError, match="cannot be halved"):
        gan.GAN.build(gan.Config((1, 9, 9)))


def test_samples_of_wrong_arguments(data, tmp_path):
    model = train(data, tmp_path)
    for call, message in (
        (lambda: model.generate(torch.zeros(2, 4), 0), "takes \\(n, 5\\) latents"),
        (lambda: model.generate(torch.zeros(2, 5)), "conditional on 2 classes"),
        (lambda: model.latents(2, truncation=0.0), "truncation=0.0"),
        (lambda: model.interpolate(torch.zeros(5), torch.zeros(4), label=0), "shape \\(5,\\)"),
        (lambda: model.interpolate(torch.zeros(5), torch.ones(5), 1, label=0), "steps=1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_run_that_diverges_says_so(data, tmp_path):
    recipe = replace(gan.FAMILIES["r3gan"], r1=0.0, r2=0.0, loss="wasserstein")
    options = options_of("r3gan", steps=200, learning_rate=1e8, warmup=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FloatingPointError, match="training has diverged"):
            train(data, tmp_path, recipe=recipe, options=options)

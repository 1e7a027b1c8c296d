"""`train`, and what a trained model does."""

import csv
import warnings
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

import unsup_fast  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of  # noqa: E402
from unsup_fast.models.gan.training import device_and_type  # noqa: E402
from unsup_fast.models.gan.updates import Updates  # noqa: E402
from unsup_fast.models.training import StepContext  # noqa: E402
from unsup_fast.models.training.accelerator import accelerator_for  # noqa: E402
from unsup_fast.models.training.scores import load_best  # noqa: E402

CLASSES = ("left", "right")
SHAPE = (1, 14, 10)
NETWORKS = {name: network for name, network in gan.NETWORKS.items() if name != "projected"}


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


@pytest.mark.filterwarnings("ignore:samples are grown to")  # it is stopped early
@pytest.mark.parametrize("family", NETWORKS)
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
    states = [load_file(tmp_path / each / "checkpoint.safetensors") for each in ("whole", "parts")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
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
    """Seen by its norm, which a factor changes as it does not change a step of Adam."""
    options, norms = options_of("r3gan", steps=2), []
    for name, settings in {
        "plain": {},
        "parts": {"accumulation": 2},
        "shards": {"shards": 4},
    }.items():
        train(data, tmp_path / name, options=replace(options, **settings))
        with (tmp_path / name / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        names = ("generator_norm", "discriminator_norm", "spread")
        norms.append([float(row[each]) for row in rows for each in names])
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert norms[2] == pytest.approx(norms[0], rel=1e-3)


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


class Scores(nn.Module):
    """A discriminator of rows, D(x) = w x, whose gradient is w everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 2.0]))

    def forward(self, x, label):
        return x @ self.weight


@pytest.mark.parametrize("index", [0, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_of_penalties(index, dtype):
    """|w|^2 = 9: R1 / 2, R2 / 2 and lambda (3 - 1)^2, times the steps between them, falling."""
    recipe = gan.Recipe(r1=2.0, r2=4.0, gradient_penalty=5.0, penalty_every=4, r_final=0.25)
    pair = {"generator": Linear(), "discriminator": Scores()}
    optimizers = {name: torch.optim.SGD(each.parameters(), 0.1) for name, each in pair.items()}
    updates = Updates(*pair.values(), optimizers, recipe, latent=2, dtype=dtype)
    options = options_of("r3gan", steps=8, batch_size=6)
    accelerator, _ = accelerator_for(None, "float32", "cpu")
    context = StepContext(accelerator, options)
    context.begin(index)
    real, fake = torch.randn(2, 6, 3)
    real, fake = real.requires_grad_(), fake.requires_grad_()
    scores = [pair["discriminator"](x, None) for x in (real, fake)]
    inputs = updates._inputs(real, None, 0, context, penalized=True)
    penalties = updates._penalties(real, fake, *scores, inputs, context)
    factor = 4 * 0.25 ** (index / 8)
    assert float(penalties.loss.detach()) == pytest.approx(
        factor * (1 + 2) * 9 + 4 * 5 * 4, rel=1e-5
    )
    assert {name: float(value) for name, value in penalties.parts.items()} == pytest.approx(
        {"r1": 9.0, "r2": 9.0, "gradient_penalty": 4.0}, rel=1e-5
    )


@pytest.mark.parametrize("family", ["r3gan", "wgan-gp"])
def test_bfloat16_is_near_float32(family, data, tmp_path):
    rows = {}
    for precision in ("float32", "bfloat16"):
        options = options_of(family, steps=1)
        train(data, tmp_path / precision, family, options=options, precision=precision)
        with (tmp_path / precision / "metrics.csv").open() as file:
            (rows[precision],) = csv.DictReader(file)
    for name in ("d_loss", "real", "fake", "g_loss", "spread", "discriminator_norm"):
        one, other = (float(row[name]) for row in rows.values())
        assert other == pytest.approx(one, rel=0.05, abs=0.02), name
    assert rows["float32"] != rows["bfloat16"]


@pytest.mark.parametrize(
    ("settings", "precision", "dtype"),
    [
        ({}, "auto", torch.float32),
        ({"penalty_every": 4}, "auto", torch.bfloat16),
        ({"r1": 0.0, "r2": 0.0}, "auto", torch.bfloat16),
        ({}, "bfloat16", torch.bfloat16),
    ],
)
def test_steps_with_penalties_are_faster_in_float32(monkeypatch, settings, precision, dtype):
    monkeypatch.setattr("unsup_fast.models.training.precision._has_bfloat16", lambda device: True)
    recipe = replace(gan.FAMILIES["r3gan"], **settings)
    assert device_and_type(None, precision, "cpu", recipe)[1] == dtype


def test_the_generator_leaves_the_discriminator_without_gradients(data, tmp_path):
    seen = []

    class Watched(Scores):
        def forward(self, x, label):
            seen.append(self.weight.requires_grad)
            return super().forward(x, label)

    rows = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    critic = Watched()
    gan.train(
        rows,
        tmp_path,
        config=gan.Config((3,), network="custom", latent=2),
        options=options_of("r3gan", steps=1),
        generator=Linear(),
        discriminator=critic,
        device="cpu",
        precision="float32",  # in which one graph serves scores and penalties
        progress=False,
    )
    assert seen == [True, True, False, False]
    assert critic.weight.requires_grad


@pytest.mark.parametrize("network", ["r3gan", "dcgan", "mlp"])
def test_spectral_norms_are_of_all_layers(network):
    shape = (3,) if network == "mlp" else SHAPE
    config = gan.Config(shape, CLASSES, network=network, size="tiny")
    discriminator = discriminator_of(config, gan.Recipe(spectral_norm=True), 0)
    x, label = torch.randn(2, *shape), torch.tensor([0, 1])
    for _ in range(30):
        discriminator(x, label)
    layers = {
        name: float(torch.linalg.matrix_norm(module.weight.detach().flatten(1), ord=2))
        for name, module in discriminator.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.ndim > 1
    }
    assert len(layers) >= 3
    assert layers == pytest.approx(dict.fromkeys(layers, 1.0), abs=0.1)


@pytest.mark.parametrize(
    ("family", "settings", "shards", "message"),
    [
        ("biggan", {"growth": 0.5, "discriminator": "projected"}, 0, "does not grow"),
        ("r3gan", {"spectral_norm": True}, 2, "moves singular vectors"),
    ],
)
def test_parts_that_exclude_each_other(data, tmp_path, family, settings, shards, message):
    with pytest.raises(ValueError, match=message):
        train(
            data,
            tmp_path,
            family,
            recipe=replace(gan.FAMILIES[family], **settings),
            options=options_of(family, shards=shards),
        )


def test_tables_of_classes_as_channels_have_no_bound():
    """As a channel of the input; as an inner product with features they have."""
    for conditioning, expected in (("concat", False), ("projection", True)):
        config = config_of("biggan", conditioning=conditioning)
        names = dict(discriminator_of(config, gan.FAMILIES["biggan"], 0).named_parameters())
        assert ("append.weight" in names) == (not expected)
        assert ("project.parametrizations.weight.original" in names) == expected


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
        precision="float32",  # penalties call the discriminator once more in another precision
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
        ({"penalty_every": 2.5}, "penalty_every=2.5 must be a whole number"),
        ({"r_final": 0.0}, "r_final=0.0 must be above 0"),
        ({"weight_clip": -1.0}, "weight_clip=-1.0 must be at least 0"),
        ({"betas": (0.5, 1.0)}, "must be two numbers"),
    ],
)
def test_refused_recipes(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.Recipe(**settings)


def test_settings_that_a_network_does_not_have(data, tmp_path):
    with pytest.raises(ValueError, match='is of the network "dcgan"'):
        train(data, tmp_path, recipe=gan.FAMILIES["wgan-gp"])
    own = {
        "config": config_of("r3gan", network="custom"),
        "generator": nn.Linear(5, 3),
        "discriminator": nn.BatchNorm2d(1),
    }
    with pytest.raises(ValueError, match="the discriminator has batch norms"):
        train(data, tmp_path, **own)
    with pytest.raises(ValueError, match="is for networks of the library"):
        train(data, tmp_path, recipe=gan.Recipe(spectral_norm=True), **own)


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

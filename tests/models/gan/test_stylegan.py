"""Networks of StyleGAN and StyleGAN2, and the layers that a style controls."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.kernels.randn import randn  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.penalties import squared_gradient_norm  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.networks.modulated import (  # noqa: E402
    AdaptiveConv2d,
    ModulatedConv2d,
    StyledLayer,
    normalized,
)
from unsup_fast.models.networks.stylegan import (  # noqa: E402
    NOISE_STREAM,
    SIZES,
    Size,
    StyleDiscriminator,
    StyleGenerator,
)

SMALL = Size(width=5, channels=4, most=6, mapping=2)
SEEDS = torch.tensor([3, 11, 5])


def body_of(shape=(2, 8, 12), adaptive=False, size=SMALL, noise=0.0):
    torch.manual_seed(0)
    body = StyleGenerator(shape, 7, 4, size, adaptive=adaptive)
    for layer in body.layers:
        layer.strength.data.fill_(noise)
    return body


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulated_convolutions_are_those_of_weights_of_each_sample(kernel, demodulate):
    torch.manual_seed(1)
    layer = ModulatedConv2d(3, 4, kernel, 6, demodulate=demodulate).double()
    x, w = torch.randn(2, 3, 5, 7).double(), torch.randn(2, 6).double()
    out = layer(x, w)
    for b in range(2):
        weight = layer.conv.weight / (3 * kernel**2) ** 0.5  # [O, I, k, k]
        style = layer.scale.weight @ w[b] / 6**0.5 + 1
        for o in range(4):
            own = weight[o] * style[:, None, None]  # eq. 1
            if demodulate:
                own = own / (own.square().sum() + 1e-8).sqrt()  # eq. 3
            expected = F.conv2d(x[b : b + 1], own[None], padding=kernel // 2)
            torch.testing.assert_close(out[b, o], expected[0, 0])


def test_demodulated_outputs_have_variance_1():
    """Of white noise, whatever the style; without demodulation they do not."""
    torch.manual_seed(2)
    x, w = torch.randn(3, 8, 60, 60), 5 * torch.randn(3, 6)
    deviations = {}
    for demodulate in (True, False):
        out = ModulatedConv2d(8, 4, 3, 6, demodulate=demodulate)(x, w)
        deviations[demodulate] = out[:, :, 1:-1, 1:-1].std((2, 3)).detach()  # [B, O]
    torch.testing.assert_close(deviations[True], torch.ones(3, 4), rtol=0, atol=0.1)
    assert float((deviations[False] - 1).abs().max()) > 1


def test_adain_gives_channels_the_moments_of_the_style():
    torch.manual_seed(3)
    layer = AdaptiveConv2d(3, 4, 3, 6).double()
    x, w = 7 + 3 * torch.randn(2, 3, 9, 5).double(), torch.randn(2, 6).double()
    y = layer.adapt(x, w)
    scale = w @ layer.scale.weight.T / 6**0.5 + 1  # [B, I]
    shift = w @ layer.shift.weight.T / 6**0.5
    torch.testing.assert_close(y.mean((2, 3)), shift)
    torch.testing.assert_close(y.std((2, 3), correction=0), scale.abs(), rtol=1e-6, atol=0)
    torch.testing.assert_close(layer(x, w), layer.conv(y))
    assert normalized(torch.full((1, 2, 3, 3), 5.0)).abs().max() == 0


def test_a_layer_adds_noise_before_the_bias_and_the_rectifier():
    torch.manual_seed(4)
    x, w, noise = torch.randn(2, 3, 5, 6), torch.randn(2, 6), torch.randn(2, 1, 5, 6)
    for convolution, strength in (
        (ModulatedConv2d, torch.tensor(0.7)),
        (AdaptiveConv2d, torch.tensor([0.7, -1, 0, 2])[:, None, None]),
    ):
        layer = StyledLayer(3, 4, 6, convolution)
        assert layer.strength.shape == torch.Size([strength.numel(), 1, 1])
        layer.strength.data.copy_(strength)
        layer.bias.data.normal_()
        before = layer.conv(x, w) + strength * noise + layer.bias[:, None, None]
        torch.testing.assert_close(layer(x, w, noise), F.leaky_relu(before, 0.2) * 2**0.5)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("side", "start", "n_styles"), [(28, 7, 6), (32, 4, 8), (8, 4, 4)])
@pytest.mark.parametrize("network", ["stylegan2", "stylegan"])
def test_shapes(network, side, start, n_styles, channels):
    config = gan.Config((channels, side, side), network=network, size="tiny", latent=5)
    generator = generator_of(config, 0)
    assert generator.body.start.shape[1:] == (start, start)
    assert (generator.body.n_styles, generator.body.width) == (n_styles, 64)
    pictures = generator(torch.randn(3, 5))
    assert pictures.shape == (3, channels, side, side)
    assert 0.1 < float(pictures.std().detach()) < 10
    discriminator = discriminator_of(config, gan.FAMILIES[network], 0)
    assert discriminator(pictures).shape == (3,)


def test_sizes():
    for name, (width, channels, most, mapping) in {
        "tiny": (64, 16, 64, 4),
        "small": (128, 32, 128, 4),
        "base": (512, 64, 512, 8),
        "large": (512, 128, 512, 8),
    }.items():
        with torch.device("meta"):
            body = StyleGenerator((3, 64, 64), 4, 4, name)
        assert SIZES[name] == (width, channels, most, mapping)
        assert len(body.mapping.layers) == mapping
        assert body.to_picture[-1].conv.conv.weight.shape[1] == channels
        assert body.start.shape[0] == most
        assert body.w_avg.shape == (width,)


def test_pictures_are_the_sum_of_those_of_all_resolutions():
    """By a loop over resolutions as in figure 7 of the paper."""
    body = body_of().double()
    w = torch.randn(2, 4, 5).double()
    h = body.layers[0](body.start.expand(2, -1, -1, -1), w[:, 0], None)
    small = body.to_picture[0](h, w[:, 1])
    up = torch.nn.Upsample(scale_factor=2, mode="bilinear")
    h = body.layers[2](body.layers[1](up(h), w[:, 1], None), w[:, 2], None)
    expected = up(small) + body.to_picture[1](h, w[:, 3])
    torch.testing.assert_close(body.synthesize(w), expected)


def test_only_directions_of_latents_and_classes_count():
    body = body_of()
    z, label = torch.randn(3, 4), torch.randn(3, 3)
    w = body.map(torch.cat([z, label], 1))
    torch.testing.assert_close(body.map(torch.cat([2 * z, 5 * label], 1)), w)
    assert not torch.allclose(body.map(torch.cat([-z, label], 1)), w)
    assert not torch.allclose(body.map(torch.cat([z, -label], 1)), w)
    assert 0.3 < float(w.std().detach()) < 3


@pytest.mark.parametrize("adaptive", [False, True])
def test_noise_follows_from_the_sample_and_the_layer(adaptive):
    body = body_of(adaptive=adaptive, noise=0.5)
    ws = torch.randn(3, 4, 5)
    seen = []
    for layer in body.layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    whole = body.synthesize(ws, SEEDS)
    for number, noise in enumerate(seen):
        for b in range(3):
            expected = randn(
                (1, *noise.shape[2:]),
                seed=int(SEEDS[b]),
                stream=NOISE_STREAM + number,
                dtype=torch.float32,
            )
            assert torch.equal(noise[b], expected)
    assert len(seen) == 3
    torch.testing.assert_close(body.synthesize(ws[1:], SEEDS[1:]), whole[1:])
    changed = body.synthesize(ws, torch.tensor([3, 12, 5]))
    difference = (changed - whole).flatten(1).abs().amax(1)
    assert (difference > 1e-3).tolist() == [False, True, False]
    assert not torch.allclose(body.synthesize(ws), whole)
    for layer in body.layers:
        layer.strength.data.zero_()
    torch.testing.assert_close(body.synthesize(ws, SEEDS), body.synthesize(ws))


@pytest.mark.parametrize("adaptive", [False, True])
def test_second_derivatives_of_a_generator(adaptive):
    size = Size(width=2, channels=2, most=2, mapping=1)
    body = body_of((1, 8, 4), adaptive, size, noise=0.1).double()
    ws = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    weight = body.layers[1].conv.conv.weight.detach().clone().requires_grad_()

    def pictures(ws, weight):
        name = "layers.1.conv.conv.weight"
        call = torch.func.functional_call
        return call(Synthesis(body), {f"body.{name}": weight}, (ws,))

    assert torch.autograd.gradcheck(pictures, (ws, weight))
    assert torch.autograd.gradgradcheck(pictures, (ws, weight))


class Synthesis(torch.nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, ws):
        return self.body.synthesize(ws, SEEDS[:1])


def test_r1_through_the_discriminator():
    """Its value by finite differences of scores, and its gradient by those of its value."""
    torch.manual_seed(5)
    size = Size(width=2, channels=2, most=3, mapping=1)
    config = gan.Config((1, 8, 4), network="stylegan2", size="tiny")
    discriminator = discriminator_of(config, gan.FAMILIES["stylegan2"], 0)
    discriminator.body = StyleDiscriminator((1, 8, 4), size)
    discriminator.score = torch.nn.Linear(3, 1)
    discriminator.double()
    x = torch.randn(3, 1, 8, 4, dtype=torch.float64, requires_grad=True)
    norms = squared_gradient_norm(discriminator(x), x)
    step = 1e-6
    for b in range(3):
        total = 0.0
        for i in range(32):
            moved = x.detach().clone()
            values = []
            for sign in (1, -1):
                moved[b].view(-1)[i] = x.detach()[b].reshape(-1)[i] + sign * step
                values.append(float(discriminator(moved).sum().detach()))
            total += ((values[0] - values[1]) / (2 * step)) ** 2
        assert float(norms[b].detach()) == pytest.approx(total, rel=1e-4)
    weight = discriminator.body.blocks[0].first.weight
    (gradient,) = torch.autograd.grad(norms.sum(), weight)
    direction = torch.randn_like(weight)
    values = []
    for sign in (1, -1):
        weight.data.add_(direction, alpha=sign * step)
        values.append(float(squared_gradient_norm(discriminator(x), x).sum().detach()))
        weight.data.sub_(direction, alpha=sign * step)
    slope = (values[0] - values[1]) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


def test_the_discriminator_sees_how_much_samples_differ():
    body = StyleDiscriminator((1, 8, 8), SMALL)
    x = torch.randn(4, 1, 8, 8)
    alone, together = body(x[:1].expand(4, -1, -1, -1)), body(x)
    assert alone.shape == (4, body.n_features)
    assert not torch.allclose(alone[0], together[0])


@torch.no_grad()
@pytest.mark.parametrize("adaptive", [False, True])
def test_bfloat16_is_near_float32(adaptive):
    body = body_of((3, 16, 16), adaptive, "tiny", noise=0.2)
    inputs = torch.randn(3, 7)
    whole = body(inputs, SEEDS)
    with torch.autocast("cpu", torch.bfloat16):
        half = body(inputs, SEEDS)
    assert half.dtype == torch.float32
    error = (half - whole).square().mean().sqrt() / whole.std()
    assert 0 < float(error) < 0.03
    discriminator = StyleDiscriminator((3, 16, 16), "tiny")
    expected = discriminator(whole)
    with torch.autocast("cpu", torch.bfloat16):
        features = discriminator(whole)
    assert float((features - expected).norm() / expected.norm()) < 0.03


def test_sides_that_cannot_be_halved():
    with pytest.raises(ValueError, match="sides 9 x 16 cannot be halved"):
        StyleGenerator((1, 9, 16), 4, 4, "tiny")

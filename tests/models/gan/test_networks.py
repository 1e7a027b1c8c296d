"""Networks of GANs, and convolutions that are closed under differentiation."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.penalties import squared_gradient_norm  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.networks import r3gan  # noqa: E402
from unsup_fast.models.networks.conv2d import (  # noqa: E402
    channels_last,
    conv2d,
    gradients_of_inputs_only,
)
from unsup_fast.models.networks.resample import double, halve  # noqa: E402
from unsup_fast.models.networks.sides import halved  # noqa: E402

SHAPES = {
    "r3gan": (3, 10, 14),
    "dcgan": (1, 14, 20),
    "mlp": (5,),
    "stylegan2": (3, 10, 14),
    "stylegan": (4, 14, 12),
}
CONVOLUTIONS = [  # (channels, outputs, kernel, stride, padding, groups)
    (3, 4, 3, 1, 1, 1),
    (4, 4, 4, 2, 1, 4),
    (2, 3, 1, 1, 0, 1),
    (4, 6, 4, 2, 1, 2),
    (3, 2, 5, 3, 2, 1),
]


def operands(channels, outputs, kernel, groups):
    torch.manual_seed(0)
    x = torch.randn(2, channels, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outputs, channels // groups, kernel, kernel, dtype=torch.float64)
    return x, weight.requires_grad_()


@pytest.mark.parametrize("settings", CONVOLUTIONS)
def test_gradients_of_convolutions(settings):
    channels, outputs, kernel, stride, padding, groups = settings
    x, weight = operands(channels, outputs, kernel, groups)

    def own(x, weight):
        return conv2d(x, weight, stride=stride, padding=padding, groups=groups)

    expected = F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)
    torch.testing.assert_close(own(x, weight), expected)
    assert torch.autograd.gradcheck(own, (x, weight))
    assert torch.autograd.gradgradcheck(own, (x, weight))


def test_third_derivatives_of_convolutions():
    """A cube of a convolution, against torch's own."""
    x, weight = operands(2, 3, 3, 1)
    derivatives = []
    for function in (conv2d, F.conv2d):
        value = function(x, weight, stride=1, padding=1).pow(3).sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, weight, create_graph=True)
            value = gradient.square().sum()
        derivatives.append(value)
    torch.testing.assert_close(*derivatives)


def test_gradients_of_weights_can_be_left_out():
    x, weight = operands(2, 3, 3, 1)
    with gradients_of_inputs_only():
        (gradient,) = torch.autograd.grad(conv2d(x, weight).sum(), x, create_graph=True)
        missing = torch.autograd.grad(conv2d(x, weight).sum(), weight, allow_unused=True)[0]
    assert missing is None
    (of_weight,) = torch.autograd.grad(gradient.square().sum(), weight)
    (plain,) = torch.autograd.grad(F.conv2d(x, weight).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(plain.square().sum(), weight)
    torch.testing.assert_close(of_weight, expected)


def test_pictures_of_one_channel_are_channels_last():
    x = torch.arange(24.0).view(2, 1, 3, 4)
    last = channels_last(x)
    assert torch.equal(last, x)
    assert last.stride() == (12, 1, 4, 1)
    assert conv2d(last, torch.ones(3, 1, 1, 1)).is_contiguous(memory_format=torch.channels_last)


def test_resampling():
    """The filter [1, 3, 3, 1] outside of the borders, and constants everywhere when doubling."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    taps = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps)[None, None]
    flat = x.view(6, 1, 6, 8)
    torch.testing.assert_close(
        halve(x).view(6, 1, 3, 4), F.conv2d(flat, kernel, stride=2, padding=1)
    )
    up = F.conv_transpose2d(flat, 4 * kernel, stride=2, padding=1)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(double(x).view(6, 1, 12, 16)[inner], up[inner])
    torch.testing.assert_close(double(torch.ones_like(x)), torch.ones(2, 3, 12, 16).double())


def test_sides_are_halved_while_they_are_even():
    assert halved((28, 28), 7) == [(28, 28), (14, 14), (7, 7)]
    assert halved((12, 20), 7) == [(12, 20), (6, 10), (3, 5)]
    assert halved((64, 64), 7)[-1] == (4, 4)
    with pytest.raises(ValueError, match="9 x 16 cannot be halved"):
        halved((9, 16), 7)


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("network", SHAPES)
def test_scores_and_samples_depend_on_the_class(network, conditioning):
    shape = SHAPES[network]
    config = gan.Config(
        shape, ("a", "b"), network=network, size="tiny", latent=6, conditioning=conditioning
    )
    generator = generator_of(config, 0).eval()
    discriminator = discriminator_of(config, gan.FAMILIES["wgan-gp"], 1).eval()
    z = torch.randn(3, 6)
    one, other = torch.tensor([0, 0, 0]), torch.tensor([0, 1, 0])
    samples = generator(z, one)
    assert samples.shape == (3, *shape)
    changed = (generator(z, other) - samples).flatten(1).abs().amax(1) > 0
    assert changed.tolist() == [False, True, False]
    assert discriminator(samples, one).shape == (3,)
    changed = torch.stack(  # each sample alone, as some networks compare those of a batch
        [
            discriminator(samples[i : i + 1], one[i : i + 1])
            != discriminator(samples[i : i + 1], other[i : i + 1])
            for i in range(3)
        ]
    )[:, 0]
    assert changed.tolist() == [False, True, False]


def test_blocks_begin_as_the_identity():
    block = r3gan.Block(8, 3)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)


def test_r1_of_a_discriminator_of_two_layers():
    """D(x) = v relu'(W x) with all units on one side: the gradient is slope-scaled v^T W."""
    config = gan.Config((3,), network="mlp", size="tiny", latent=2)
    discriminator = discriminator_of(config, gan.FAMILIES["r3gan"], 0).double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    norms = squared_gradient_norm(discriminator(x), x)
    first, second = discriminator.body.hidden
    for i in range(4):
        h = F.linear(x[i], first.weight, first.bias)
        slope1 = torch.where(h > 0, 1.0, 0.2).double()
        h = F.linear(F.leaky_relu(h, 0.2), second.weight, second.bias)
        slope2 = torch.where(h > 0, 1.0, 0.2).double()
        gradient = (discriminator.score.weight[0] * slope2) @ second.weight
        gradient = (gradient * slope1) @ first.weight
        torch.testing.assert_close(norms[i], gradient.square().sum())

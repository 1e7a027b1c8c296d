"""Styled layers by the fused operation, and what their training needs of other layers."""

import pytest

torch = pytest.importorskip("torch")

from unsup_fast.kernels.style_act import composed, style_act  # noqa: E402
from unsup_fast.models.networks.conv2d import conv2d  # noqa: E402
from unsup_fast.models.networks.equalized import append_minibatch_std  # noqa: E402
from unsup_fast.models.networks.modulated import ModulatedConv2d, StyledLayer  # noqa: E402

LAST = torch.channels_last


def test_a_styled_layer_in_bfloat16():
    """Its parameters keep their names, and get the gradients of the definition in float64."""
    torch.manual_seed(0)
    layer = StyledLayer(3, 5, 4, ModulatedConv2d)
    layer.strength.data.fill_(0.7)
    layer.bias.data.normal_()
    names = ["strength", "bias", "conv.conv.weight", "conv.scale.weight", "conv.scale.bias"]
    assert list(layer.state_dict()) == names
    x, w, noise = torch.randn(2, 3, 5, 7), torch.randn(2, 4), torch.randn(2, 1, 5, 7)
    of_out = torch.randn(2, 5, 5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x, w, noise)
    assert out.dtype == torch.bfloat16
    grads = torch.autograd.grad(out, list(layer.parameters()), of_out.bfloat16())
    layer.double()
    v = layer.conv(x.double(), w.double()) + layer.strength * noise + layer.bias[:, None, None]
    expected = torch.nn.functional.leaky_relu(v, 0.2) * 2**0.5
    assert float((out - expected).detach().norm() / expected.detach().norm()) < 0.01
    truth = torch.autograd.grad(expected, list(layer.parameters()), of_out.double())
    for actual, value in zip(grads, truth, strict=True):
        assert actual.shape == value.shape
        assert float((actual - value).detach().norm() / value.detach().norm()) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_a_few_pictures_at_a_time(dtype, monkeypatch):
    torch.manual_seed(1)
    shapes = ((5, 3, 4, 7), (5, 3), (5, 4, 7), (), (3,))
    tensors = [torch.randn(shape) for shape in shapes]
    tensors[0] = tensors[0].to(dtype, memory_format=LAST)
    for wanted in ((0, 1, 2, 3, 4), (0,), (0, 1), (0, 3)):
        leaves = [one.clone().requires_grad_(i in wanted) for i, one in enumerate(tensors)]
        inputs = [leaves[i] for i in wanted]
        grads = []
        for part in (composed.PART, 2 * 3 * 4 * 7):  # all at once; parts of 2, 2 and 1 pictures
            monkeypatch.setattr(composed, "PART", part)
            out = style_act(*leaves)
            grads.append(torch.autograd.grad(out, inputs, torch.ones_like(out)))
        for whole, parts in zip(*grads, strict=True):
            assert parts.dtype == whole.dtype
            torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize(("stride", "groups", "kernel"), [(2, 6, 4), (2, 3, 3), (1, 6, 3)])
def test_gradients_of_convolutions_by_groups_in_bfloat16(stride, groups, kernel):
    """Of any order; their types are those of the tensors."""
    torch.manual_seed(2)
    x = torch.randn(2, 6, 9, 8).bfloat16().contiguous(memory_format=LAST).requires_grad_()
    weight = torch.randn(6, 6 // groups, kernel, kernel).bfloat16().requires_grad_()
    wide = [one.detach().double().requires_grad_() for one in (x, weight)]
    results = []
    for a, b in ((x, weight), wide):
        y = conv2d(a, b, stride=stride, padding=1, groups=groups)
        (of_x,) = torch.autograd.grad(y.square().sum(), a, create_graph=True)
        results.append((of_x, *torch.autograd.grad(of_x.square().sum(), (a, b))))
    for actual, value in zip(*results, strict=True):
        assert actual.dtype == torch.bfloat16
        assert float((actual - value).detach().norm() / value.detach().norm()) < 0.02


def test_the_deviation_of_a_minibatch_by_hand():
    """By torch's var, which divides by the number of samples."""
    torch.manual_seed(3)
    x = torch.randn(8, 3, 2, 5, dtype=torch.float64, requires_grad=True)
    out = append_minibatch_std(x, 4)
    for i in range(8):
        samples = x[i % 2 :: 2]  # those of its group
        deviation = (samples.var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[i, 3], deviation.expand(2, 5))
    assert torch.equal(out[:, :3], x)
    assert torch.autograd.gradgradcheck(lambda x: append_minibatch_std(x[:, :1, :1, :1], 4), x)

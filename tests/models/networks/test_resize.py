"""`resize`: the values of torch's bilinear interpolation, with exact gradients of any order."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.models.networks.resize import resize  # noqa: E402

SIDES = [((5, 7), (13, 9)), ((8, 8), (8, 20)), ((9, 6), (4, 5)), ((1, 3), (4, 1))]


def interpolate(x, sides):
    return F.interpolate(x, sides, mode="bilinear", align_corners=False)


@pytest.mark.parametrize(("old", "new"), SIDES)
@pytest.mark.parametrize("channels", [1, 3])
def test_values_and_gradients_are_those_of_torch(old, new, channels):
    torch.manual_seed(0)
    x = torch.randn(2, channels, *old, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, channels, *new, dtype=torch.float64)
    results = []
    for function in (resize, interpolate):
        y = function(x, new)
        (gradient,) = torch.autograd.grad((weights * y**2).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), x)
        results.append((y, gradient, second))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_types_and_layout_of_the_result():
    x = torch.randn(2, 3, 6, 5)
    y = resize(x, (12, 9))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, resize(x.contiguous(memory_format=torch.channels_last), (12, 9)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resize(x, (12, 9)), y)  # not rounded
        assert resize(x.bfloat16(), (12, 9)).dtype == torch.bfloat16
    assert resize(x.to("meta"), (12, 9)).shape == y.shape


def test_a_first_call_without_gradients_leaves_later_ones_their_own():
    with torch.inference_mode():
        resize(torch.zeros(1, 1, 3, 3), (17, 19))
    x = torch.zeros(1, 1, 3, 3, requires_grad=True)
    resize(x, (17, 19)).sum().backward()
    assert float(x.grad.sum()) == pytest.approx(17 * 19)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gradients_on_a_gpu_are_the_same_bits_each_time():
    gradients = []
    for _ in range(3):
        torch.manual_seed(0)
        x = torch.randn(8, 3, 32, 32, device="cuda", requires_grad=True)
        y = resize(x, (128, 128))
        (y * torch.randn_like(y)).sum().backward()
        gradients.append(x.grad)
    assert all(torch.equal(each, gradients[0]) for each in gradients)

"""Run by test_gpu_cases.py."""

import pytest
import torch
import triton

from unsup_fast.kernels.style_act import style_act, torch_, triton_

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
NAMES = ("x", "scale", "noise", "strength", "bias")
# Interpreted, bfloat16 is cut off.
UNIT = {torch.float32: 2**-24, torch.float64: 2**-53, torch.bfloat16: 2**-7}
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (2, 70, 3, 11), (3, 33, 4, 4)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 512)
    monkeypatch.setattr(triton_, "CHANNELS", 32)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty, new_empty = torch.empty_like, torch.Tensor.new_empty
    monkeypatch.setattr(torch, "empty_like", lambda *a, **b: empty(*a, **b).fill_(torch.nan))
    monkeypatch.setattr(
        torch.Tensor, "new_empty", lambda *a, **b: new_empty(*a, **b).fill_(torch.nan)
    )


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


def inputs(shape, dtype):
    batch, channels, height, width = shape
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = (shape, (batch, channels), (batch, height, width), (), (channels,))
    return [tensor(one, i, wide if i else dtype) for i, one in enumerate(shapes)]


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients_against_the_reference(dtype, shape):
    tensors, of_out = inputs(shape, dtype), tensor(shape, 7, dtype)
    actual = gradients(tensors, of_out, "triton")
    wide = [one.double() for one in tensors]
    truth = gradients(wide, of_out.double(), "ref")
    terms = gradients([one.abs() for one in wide], of_out.double().abs(), "ref")
    unit = 2**-53 if dtype == torch.float64 else 2**-24
    for name, value in truth.items():
        rounded = UNIT[actual[name].dtype] * value.abs() * 1.01
        # Terms of all signs have slopes of at most 1, as those of the positive ones.
        near = rounded + (40 if name != "x" else 3) * unit * terms[name]
        assert ((actual[name].double() - value).abs() <= near).all(), name


def gradients(tensors, of_out, backend):
    """Return the result and its gradients."""
    leaves = [one.clone().requires_grad_() for one in tensors]
    out = style_act(*leaves, slope=0.1, gain=1.3, backend=backend)
    return {"out": out, **dict(zip(NAMES, torch.autograd.grad(out, leaves, of_out), strict=True))}


def test_gradients_of_every_order_against_differences():
    leaves = [one.requires_grad_() for one in inputs((1, 2, 1, 3), torch.float64)]

    def run(*tensors):
        return style_act(*tensors, slope=0.3, gain=1.7, backend="triton")

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_without_some_tensors_and_of_any_strides():
    x, scale, noise, strength, bias = inputs((3, 5, 4, 6), torch.float32)
    for rest in ((), (scale,), (None, noise), (None, noise, strength), (None, None, None, bias)):
        truth = style_act(x, *rest, backend="ref")
        for laid_out in (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT):
            leaf = laid_out.clone().requires_grad_()
            actual = style_act(leaf, *rest, backend="triton")
            assert actual.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(actual, truth)
            own = torch.autograd.grad(actual.sum(), leaf)[0]
            leaf = x.clone().requires_grad_()
            its = torch.autograd.grad(style_act(leaf, *rest, backend="ref").sum(), leaf)[0]
            torch.testing.assert_close(own, its)


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 3, 0, 2)])
def test_an_empty_batch(shape):
    leaves = [one.requires_grad_() for one in inputs(shape, torch.float32)]
    out = style_act(*leaves, backend="triton")
    assert out.shape == shape
    for grad, leaf in zip(torch.autograd.grad(out.sum(), leaves), leaves, strict=True):
        assert grad.shape == leaf.shape
        assert not grad.any()


def test_gradients_are_one_launch(monkeypatch):
    calls = []
    real = torch_.implementation
    monkeypatch.setattr(
        torch_, "implementation", lambda *a: calls.append(a[0] is torch_.BACKWARD) or real(*a)
    )
    leaves = [one.requires_grad_() for one in inputs((2, 3, 2, 3), torch.float32)]
    torch.autograd.grad(style_act(*leaves, backend="triton").sum(), leaves)
    assert calls == [False, True]

"""Run by test_gpu_cases.py."""

import pytest
import torch
import triton

from unsup_fast.kernels.bias_act import bias_act, triton_

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
BOUNDS = {torch.float32: 3 * 2**-24, torch.float64: 3 * 2**-53, torch.bfloat16: 2**-7}
SHAPES = [(1, 1), (5, 3), (7, 130), (2, 3, 5, 7), (2, 64, 3, 11), (1, 33, 4, 4)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 256)
    monkeypatch.setattr(triton_, "CHANNELS", 32)


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_against_the_reference(dtype, shape):
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, of_out, of_of_x = (tensor(shape, number, dtype) for number in range(3))
    bias, of_of_bias = (tensor(shape[1:2], number, wide) for number in (3, 4))
    tensors = (x, bias, of_out, of_of_x, of_of_bias)
    actual = gradients(*tensors, "triton")
    truth = gradients(*(one.double() for one in tensors), "ref")
    for name, value in truth.items():
        error = (actual[name].double() - value).abs()
        scale = 70 * truth["of_x"].abs().max() if name == "of_bias" else value.abs()  # 70 terms
        assert (error <= BOUNDS[dtype] * scale).all(), name


def gradients(x, bias, of_out, of_of_x, of_of_bias, backend):
    """Return the output, its gradients, and the gradient of these."""
    x, bias, of_out = (leaf.clone().requires_grad_() for leaf in (x, bias, of_out))
    out = bias_act(x, bias, slope=0.1, gain=1.3, backend=backend)
    of_x, of_bias = torch.autograd.grad(out, [x, bias], of_out, create_graph=True)
    of_of_out = torch.autograd.grad([of_x, of_bias], of_out, [of_of_x, of_of_bias])[0]
    return {"out": out, "of_x": of_x, "of_bias": of_bias, "of_of_out": of_of_out}


def test_without_a_bias_and_of_any_strides():
    x = tensor((3, 5, 4, 6), 1, torch.float32)
    truth = bias_act(x, backend="ref")
    laid_out = (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT)
    for one in laid_out:
        actual = bias_act(one, backend="triton")
        assert actual.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(actual, truth)
    assert bias_act(x[:0], backend="triton").shape == (0, 5, 4, 6)

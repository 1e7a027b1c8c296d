"""Run by test_gpu_cases.py."""

import pytest
import torch
import triton

from unsup_fast.kernels.upfirdn import triton_, upfirdn

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
UNIT = {
    torch.float32: 2**-24,
    torch.float64: 2**-53,
    torch.bfloat16: 2**-7,
}  # interpreted, bfloat16 is cut off
SHAPES = [(2, 3, 5, 7), (1, 33, 3, 4)]
SETTINGS = [  # up, down, padding, shape of taps
    (2, 1, (2, 1, 2, 1), (4, 4)),
    (1, 2, 1, (4, 4)),
    ((2, 3), (3, 2), (4, 0, 1, 5), (5, 3)),
    ((3, 1), (1, 2), (-1, 6, 3, -1), (2, 6)),
    (4, 3, (9, -2, -1, 8), (3, 3)),  # more zeros than taps
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 256)
    monkeypatch.setattr(triton_, "CHANNELS", 32)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **b: empty(*a, **b).fill_(torch.nan))


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("up", "down", "padding", "size"), SETTINGS)
def test_results_and_gradients_against_the_reference(dtype, shape, up, down, padding, size):
    taps, settings = tensor(size, 2), {"up": up, "down": down, "padding": padding}
    x = tensor(shape, 1, dtype)
    of_out = tensor(upfirdn(x, taps, **settings, backend="ref").shape, 3, dtype)
    tensors = (x, of_out, tensor(shape, 4, dtype))
    actual = derivatives(*tensors, taps, settings, "triton")
    wide = [one.double() for one in tensors]
    truth = derivatives(*wide, taps, settings, "ref")
    terms = derivatives(*(one.abs() for one in wide), taps.abs(), settings, "ref")
    unit = 2**-53 if dtype == torch.float64 else 2**-24
    for name, value in truth.items():
        assert actual[name].is_contiguous(memory_format=torch.channels_last)
        near = 1.01 * UNIT[dtype] * value.abs() + (taps.numel() + 2) * unit * terms[name]
        assert ((actual[name].double() - value).abs() <= near).all(), name


def derivatives(x, of_out, of_of_x, taps, settings, backend):
    """Return the result, its gradient, and the gradient of that."""
    x, of_out = x.clone().requires_grad_(), of_out.clone().requires_grad_()
    out = upfirdn(x, taps, **settings, backend=backend)
    of_x = torch.autograd.grad(out, x, of_out, create_graph=True)[0]
    of_of_out = torch.autograd.grad(of_x, of_out, of_of_x)[0]
    return {"out": out, "of_x": of_x, "of_of_out": of_of_out}


def test_any_strides_infinities_and_an_empty_batch():
    x, taps = tensor((2, 5, 4, 6), 1, torch.float32), tensor((3, 4), 2)
    x[0, 0, 1, 2] = torch.inf
    settings = {"up": 3, "down": 2, "padding": (3, 1, 2, 2)}
    truth = upfirdn(x, taps, **settings, backend="portable")
    for laid_out in (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT):
        actual = upfirdn(laid_out, taps, **settings, backend="triton")
        finite = truth.isfinite()
        assert torch.equal(actual.isfinite() | ~finite, torch.ones_like(finite))
        torch.testing.assert_close(actual[finite], truth[finite])
    assert upfirdn(x[:0], taps, **settings, backend="triton").shape == (0, *truth.shape[1:])


def test_a_long_filter_of_both_axes():
    x, taps = tensor((2, 3, 5, 4), 1), tensor(12, 2)
    settings = {"up": 2, "padding": 8}
    truth = upfirdn(x, torch.outer(taps, taps), **settings, backend="ref")
    torch.testing.assert_close(upfirdn(x, taps, **settings, backend="triton"), truth)


def test_too_many_pixels_are_refused():
    x = torch.zeros(1, 1, 1, 1, device=DEVICE).expand(2**20, 1, 1, 2**11)
    with pytest.raises(ValueError, match="the result has 2147483648 pixels"):
        upfirdn(x, torch.ones(1, device=DEVICE), backend="triton")

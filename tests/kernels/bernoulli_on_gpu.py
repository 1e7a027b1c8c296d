"""Run by test_gpu_cases.py."""

import math

import pytest
import torch
import triton

from unsup_fast.kernels.bernoulli import bernoulli, bernoulli_log_prob, triton_

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
UNIT = {torch.float32: 2**-24, torch.float64: 2**-53, torch.bfloat16: 2**-24}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 64)
    monkeypatch.setattr(triton_, "GROUPS", 8)


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return (4 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(DEVICE, dtype)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 65), (1, 3, 9, 7)])
@pytest.mark.parametrize("each", [False, True])
def test_bits_are_those_of_the_host(shape, each):
    p = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    seed = torch.arange(shape[0]) - 1 if each else 2**64 - 5
    for kind in (p, p / 255):
        actual = bernoulli(kind.to(DEVICE), seed=seed, stream=2**63 + 1, backend="triton")
        truth = bernoulli(kind, seed=seed, stream=2**63 + 1, backend="ref")
        assert torch.equal(actual.cpu(), truth)


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 63), (3, 2, 200)])
def test_log_likelihoods_and_gradients_against_the_reference(dtype, shape):
    logits, wide = tensor(shape, 1, dtype), dtype if dtype == torch.float64 else torch.float32
    of_out = tensor(shape[:2], 2, wide)
    for x in ((tensor(shape[1:], 3, wide) > 0).to(wide), tensor(shape[1:], 3, wide).sigmoid()):
        actual = bernoulli_log_prob(logits, x, backend="triton")
        truth = bernoulli_log_prob(logits.double(), x.double(), backend="ref")
        sizes = logits.double().abs().sum(-1) + shape[2]
        assert ((actual - truth).abs() <= 24 * UNIT[dtype] * sizes).all()
        grads = []
        for backend, leaf in (("triton", logits.clone()), ("ref", logits.double())):
            out = bernoulli_log_prob(leaf.requires_grad_(), x.to(leaf.dtype), backend=backend)
            grads.append(torch.autograd.grad(out, leaf, of_out.to(out.dtype))[0].double())
        unit = 2**-7 if dtype == torch.bfloat16 else 4 * UNIT[dtype]
        assert ((grads[0] - grads[1]).abs() <= unit * of_out.abs()[..., None]).all()


def test_infinite_logits():
    logits = torch.tensor([[math.inf], [-math.inf], [math.inf], [math.nan]], device=DEVICE)
    x = torch.tensor([[1.0], [0.0], [0.0], [0.0]], device=DEVICE)
    actual = bernoulli_log_prob(logits, x, backend="triton")
    truth = torch.tensor([0.0, 0.0, -math.inf, math.nan], device=DEVICE)
    torch.testing.assert_close(actual, truth, equal_nan=True)

"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton

from unsup_fast.kernels.noise import noise, triton_
from unsup_fast.kernels.randn import randn

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
# Triton's interpreter cuts bfloat16 off where a GPU rounds.
BOUNDS = {torch.float32: 3e-6, torch.float64: 1e-14, torch.bfloat16: 2**-7, torch.float16: 2**-11}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 128)


def tensor(shape, dtype, number, last=False):
    values = np.random.default_rng(number).normal(size=shape)
    x = torch.from_numpy(values).to(dtype).to(DEVICE)
    return x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def coefficients(n):
    signal = torch.from_numpy(np.random.default_rng(1).random(n)).to(DEVICE)
    return signal, (1 - signal**2).sqrt()


def compare(actual, truth, target):
    for f, t in zip(
        *((result,) if target is None else result for result in (actual, truth)), strict=True
    ):
        bound = BOUNDS[f.dtype]
        torch.testing.assert_close(f.double(), t.double(), rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 9, 7), (2, 17, 3, 5)])
@pytest.mark.parametrize("target", [None, "epsilon", "v_prediction", "flow_prediction"])
def test_noise_tensor_against_the_formula(shape, dtype, target):
    for last in ((False, False), (True, True), (False, True)):
        x0, eps = (tensor(shape, dtype, i, last[i]) for i in range(2))
        scales = coefficients(shape[0])
        out, out_target = (torch.full_like(value, torch.nan) for value in (x0, eps))
        more = {} if target is None else {"out_target": out_target}
        actual = noise(x0, *scales, eps=eps, target=target, out=out, **more, backend="triton")
        truth = noise(x0.double(), *scales, eps=eps.double(), target=target, backend="ref")
        compare(actual, truth, target)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (2, 3, 9, 7)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("seed", [2**64 - 1, [3, 4]])
def test_drawn_noise_is_that_of_randn(dtype, shape, last, seed):
    x0, scales = tensor(shape, dtype, 0, last), coefficients(2)
    drawn = torch.float64 if dtype == torch.float64 else torch.float32
    eps = randn(shape, seed=seed, stream=2**40, dtype=drawn).to(DEVICE)
    actual = noise(x0, *scales, seed=seed, stream=2**40, target="epsilon", backend="triton")
    compare(
        actual,
        noise(x0.double(), *scales, eps=eps.double(), target="epsilon", backend="ref"),
        "eps",
    )

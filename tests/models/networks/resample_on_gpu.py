"""Run by test_gpu_cases.py."""

import pytest
import torch
import triton

from unsup_fast.models.networks.resample import double, filtered_double, filtered_halve, halve

INTERPRETED = triton.knobs.runtime.interpret
DEVICE = "cpu" if INTERPRETED else "cuda"
# Interpreted, tensors are on the CPU, where `double` and `halve` do not filter.
HERE = {double: filtered_double, halve: filtered_halve} if INTERPRETED else {}


@pytest.mark.parametrize("function", [double, halve])
def test_a_gpu_returns_what_the_host_does(monkeypatch, function):
    x = torch.randn(2, 5, 6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth, its = gradient(function, x)
    monkeypatch.setenv("UNSUP_FAST_BACKEND", "triton")
    actual, own = gradient(HERE.get(function, function), x.to(DEVICE))
    torch.testing.assert_close(actual.cpu(), truth)
    torch.testing.assert_close(own.cpu(), its)


def gradient(function, x):
    """Return the result, and the gradient of the sum of its squares."""
    x = x.requires_grad_()
    out = function(x)
    return out.detach(), torch.autograd.grad(out.square().sum(), x)[0]

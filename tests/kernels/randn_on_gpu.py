"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from unsup_fast.kernels.randn import randn, torch_, triton_
from unsup_fast.kernels.randn.triton_normals import normals_at

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Take tiles that the interpreter is fast with."""
    monkeypatch.setattr(triton_, "GROUPS", 32)
    monkeypatch.setattr(triton_, "TILE", (8, 4))


def filled(shape, dtype, *, seed=0, seeds=None, stream=0, first=0, memory_format=None):
    out = torch.full(shape, torch.nan, dtype=dtype, device=DEVICE)
    if memory_format is not None:
        out = out.contiguous(memory_format=memory_format)
    triton_.fill(
        out, seed, None if seeds is None else torch.tensor(seeds, device=DEVICE), stream, first
    )
    return out.cpu()


def close(actual, truth):
    unit = UNIT.get(actual.dtype)
    if unit is None:  # one unit of the half type where float32 falls on the other side of a half
        unit = 2.0**-24 + torch.finfo(actual.dtype).eps / 12
    actual, truth = actual.double(), truth.double()
    assert (actual - truth).abs().le(22 * unit * truth.abs() + 2.0**-24).all()
    if unit < 2.0**-20:
        assert (actual - truth).abs().le(22 * unit * truth.abs()).all()


@pytest.mark.parametrize("dtype", torch_.TYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "first"), [((1,), 3), ((4,), 0), ((5, 33), (1 << 34) - 5)], ids=str
)
def test_the_numbers_of_the_cpu(shape, first, dtype):
    options = {"stream": (5 << 32) + 1, "first": first}
    seed = (1 << 63) + 12345
    truth = randn(shape, seed=seed, dtype=dtype, device="cpu", **options)
    close(filled(shape, dtype, seed=seed - (1 << 64), **options), truth)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("seeds", [None, [3, -7]])
@pytest.mark.parametrize("shape", [(2, 3, 3, 7), (2, 5, 2, 2)], ids=str)
def test_channels_last(shape, seeds, dtype):
    options = {"stream": 2, "first": 1}
    seed = 9 if seeds is None else torch.tensor(seeds)
    truth = randn(shape, seed=seed, dtype=dtype, device="cpu", **options)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        actual = filled(shape, dtype, seed=9, seeds=seeds, memory_format=memory_format, **options)
        close(actual, truth)


def test_any_strides():
    out = torch.full((7, 5), torch.nan, device=DEVICE).T
    triton_.fill(out, 4, None, 0, 0)
    close(out.cpu(), randn((5, 7), seed=4, device="cpu"))


@triton.jit
def _at(index_ptr, out_ptr, seed: tl.int64, stream: tl.int64, WIDE: tl.constexpr, B: tl.constexpr):
    offsets = tl.arange(0, B)
    z = normals_at(seed, stream, tl.load(index_ptr + offsets), WIDE)
    tl.store(out_ptr + offsets, z)


@pytest.mark.parametrize("dtype", UNIT, ids=str)
def test_numbers_of_any_index(dtype):
    index = torch.from_numpy(np.random.default_rng(0).permutation(64))
    out = torch.full((64,), torch.nan, dtype=dtype, device=DEVICE)
    _at[(1,)](index.to(DEVICE), out, 11, 3, WIDE=dtype == torch.float64, B=64)
    close(out.cpu(), randn(64, seed=11, stream=3, dtype=dtype, device="cpu")[index])


@pytest.mark.skipif(DEVICE == "cpu", reason="no tensor is on a GPU")
def test_tensors_on_the_gpu():
    for seed in (3, [5, 6], torch.tensor([5, 6], device=DEVICE)):
        actual = randn((2, 3, 5), seed=seed, stream=4, device=DEVICE)
        truth = randn((2, 3, 5), seed=seed, stream=4, device="cpu")
        assert actual.device.type == DEVICE
        close(actual.cpu(), truth)
        compiled = torch.compile(lambda s: randn((2, 3, 5), seed=s, stream=4, device=DEVICE))(seed)
        torch.testing.assert_close(compiled, actual, rtol=0, atol=0)

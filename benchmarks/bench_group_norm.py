"""Group norm, modulation and SiLU of a diffusion U-Net, against torch's.

Run by ``make bench`` or ``pytest benchmarks/bench_group_norm.py --out results``. The rival is
torch's group_norm, addcmul and silu on the same channels-last images, eagerly and compiled
(compilation is not timed), and on images with the channels first. "training" is the operation and
its gradients: of images, scale, shift, weight and bias. All must agree with the formulas in
float64.

`of_copy` is the bytes of images that have to be read and written, each once, a second, as a share
of what a copy of a tensor of this size reads and writes.
"""

import functools
import statistics
import time

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from unsup_fast.kernels.group_norm import group_norm  # noqa: E402

SHAPES = {"64x64x28x28": (64, 64, 28, 28), "64x128x14x14": (64, 128, 14, 14)}
TYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
TENSORS = {"call": 2, "training": 5}  # of images, read and written: x, out, x, of_out, of_x
CASES = {
    f"{what}, {size}, {name}": (what, SHAPES[size], TYPES[name])
    for size in SHAPES
    for name in TYPES
    for what in TENSORS
}
LIBRARIES = ("unsup_fast", "torch", "torch.compile", "torch channels first")
GROUP = 8  # channels, as in the U-Net
BOUNDS = {torch.bfloat16: 0.05, torch.float32: 1e-4}


def torchs(x, weight, bias, scale, shift):
    h = F.group_norm(x, x.shape[1] // GROUP, weight.to(x.dtype), bias.to(x.dtype))
    h = torch.addcmul(shift[:, :, None, None], h, 1 + scale[:, :, None, None])
    return F.silu(h)


def ours(x, weight, bias, scale, shift, backend=None):
    more = {"weight": weight, "bias": bias, "scale": scale, "shift": shift}
    return group_norm(x, x.shape[1] // GROUP, **more, silu=True, backend=backend)


def inputs(shape, dtype):
    """Return images, weight, bias, scale and shift, of the types under autocast."""
    generator = torch.Generator().manual_seed(0)
    sizes = (shape, shape[1:2], shape[1:2], shape[:2], shape[:2])
    tensors = [torch.randn(size, generator=generator) for size in sizes]
    x = tensors[0].to(dtype, memory_format=torch.channels_last)
    return [x, tensors[1], tensors[2], tensors[3].to(dtype), tensors[4].to(dtype)]


def runner(what, function, tensors, of_out):
    if what == "call":
        return lambda: (function(*tensors),)
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]

    def train():
        out = function(*leaves)
        return out, *torch.autograd.grad(out, leaves, of_out)

    return train


@functools.cache
def copy_rate(shape, dtype):
    """Return the bytes that a copy reads and writes a second."""
    one, two = (torch.zeros(shape, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(10):
            one.copy_(two)
        seconds.append((time.perf_counter() - start) / 10)
    return 2 * one.nbytes / statistics.median(seconds)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_group_norm(benchmark, request, case, library):
    what, shape, dtype = CASES[case]
    tensors = inputs(shape, dtype)
    of_out = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    of_out = of_out.to(dtype, memory_format=torch.channels_last)
    function = ours if library == "unsup_fast" else torchs
    if library == "torch.compile":
        function = torch.compile(torchs, fullgraph=True, dynamic=False)
    if library == "torch channels first":
        tensors[0], of_out = tensors[0].contiguous(), of_out.contiguous()
    run = runner(what, function, tensors, of_out)
    wide = [tensor.double() for tensor in tensors]
    truth = runner(what, functools.partial(ours, backend="ref"), wide, of_out.double())()
    for actual, value in zip(run(), truth, strict=True):
        assert (actual - value).abs().max() <= BOUNDS[dtype] * value.abs().max()
    rounds = request.config.getoption("--rounds")
    benchmark.pedantic(run, rounds=rounds, iterations=10, warmup_rounds=1)
    stats = benchmark.stats.stats
    rate = TENSORS[what] * tensors[0].nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "group_norm",
            "case": case,
            "library": library,
            "stats": stats,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(shape, dtype),
        }
    )

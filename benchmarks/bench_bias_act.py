"""Bias, leaky ReLU and gain of a GAN's layers, against torch's.

Run by ``make bench`` or ``pytest benchmarks/bench_bias_act.py --out results``. The rival is torch's
addition, leaky_relu and product on the same channels-last images, eagerly and compiled (compilation
is not timed), and on images with the channels first. "training" is the operation and its gradients
of images and bias; "penalty" goes on to the gradient of these, as R1 does, which torch cannot
compile. All must agree with the formulas in float64.

`of_copy` is the bytes of images that have to be read and written, each once, a second, as a share
of what a copy of a tensor of this size reads and writes. `against_torch` is the median time of
torch's eager channels-last run divided by that of the library, timed in turn, round by round.
"""

import functools
import statistics
import time

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from unsup_fast.kernels.bias_act import bias_act  # noqa: E402

LAST = torch.channels_last
SHAPES = {"16x64x64x64": (16, 64, 64, 64), "64x24x28x28": (64, 24, 28, 28)}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TENSORS = {  # of images, read and written
    "call": 2,  # x, out
    "training": 5,  # and of_out, out, of_x
    "penalty": 8,  # and of_of_x, out, of_of_out
}
CASES = {
    f"{what}, {size}, {name}": (what, SHAPES[size], TYPES[name])
    for size in SHAPES
    for name in TYPES
    for what in TENSORS
}
LIBRARIES = (
    "unsup_fast",
    "unsup_fast, numba",
    "torch",
    "torch.compile",
    "torch channels first",
)
SLOPE, GAIN = 0.2, 2**0.5
BOUNDS = {torch.bfloat16: 0.02, torch.float32: 1e-5}


def torchs(x, bias):
    return F.leaky_relu(x + bias.to(x.dtype)[:, None, None], SLOPE) * GAIN


def ours(x, bias, backend=None):
    return bias_act(x, bias, slope=SLOPE, gain=GAIN, backend=backend)


def inputs(shape, dtype):
    """Return images, bias, the gradient of the result and that of the gradient of images."""
    generator = torch.Generator().manual_seed(0)
    x, of_out, of_of_x = (torch.randn(shape, generator=generator) for _ in range(3))
    bias = torch.randn(shape[1], generator=generator).to(dtype)
    images = [one.to(dtype, memory_format=LAST) for one in (x, of_out, of_of_x)]
    return images[0], bias, images[1], images[2]


def runner(what, function, x, bias, of_out, of_of_x):
    if what == "call":
        return lambda: (function(x, bias),)
    x, bias = x.clone().requires_grad_(), bias.clone().requires_grad_()
    of_out = of_out.clone().requires_grad_(what == "penalty")

    def train():
        out = function(x, bias)
        grads = torch.autograd.grad(out, [x, bias], of_out, create_graph=what == "penalty")
        if what == "training":
            return out, *grads
        return out, *grads, *torch.autograd.grad(grads[0], of_out, of_of_x)

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
def test_bias_act(benchmark, request, case, library):
    what, shape, dtype = CASES[case]
    if (what, library) == ("penalty", "torch.compile"):
        pytest.skip("torch's compiler differentiates once")
    tensors = inputs(shape, dtype)
    function = ours if library.startswith("unsup_fast") else torchs
    if library == "torch.compile":
        function = torch.compile(torchs, fullgraph=True, dynamic=False)
    rival = runner(what, torchs, *tensors)
    run = runner(what, function, *tensors)
    if library == "torch channels first":
        run = runner(what, function, *(one.contiguous() for one in tensors))
    wide = [tensor.double() for tensor in tensors]
    truth = runner(what, functools.partial(ours, backend="ref"), *wide)()
    for actual, value in zip(run(), truth, strict=True):
        assert (actual - value).abs().max() <= BOUNDS[dtype] * value.abs().max()
    seconds = []

    def time_the_rival():
        start = time.perf_counter()
        rival()
        seconds.append(time.perf_counter() - start)

    rounds = request.config.getoption("--rounds")
    benchmark.pedantic(run, setup=time_the_rival, rounds=rounds, warmup_rounds=1)
    stats = benchmark.stats.stats
    rate = TENSORS[what] * tensors[0].nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "bias_act",
            "case": case,
            "library": library,
            "stats": stats,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(shape, dtype),
            "against_torch": statistics.median(seconds[1:]) / stats.median,
        }
    )

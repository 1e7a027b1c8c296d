"""Pictures of GANs with doubled and halved sides, against torch's compositions.

Run by ``make bench`` or ``pytest benchmarks/bench_upfirdn.py --out results``; ``--device cuda`` on
a GPU. The filter is StyleGAN2's [1, 3, 3, 1] on both axes. Rivals are what runs without an
operation for it: zeros inserted, padding and a depthwise convolution ("zeros"), and the fastest of
torch's operations ("torch"): bilinear interpolation, which is this filter but for the edges, and a
strided depthwise convolution. "training" is the operation and its gradient; "penalty" goes on to
the gradient of that. All must agree with the definition in float64, interpolation off the edges.

`of_copy` is the bytes of pictures that have to be read and written, each once, a second, as a share
of what a copy of a tensor of the larger pictures reads and writes. `against_zeros` is the median
time of "zeros" divided by that of the library, timed in turn, round by round.
"""

import functools
import statistics
import time

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from unsup_fast.kernels.upfirdn import upfirdn  # noqa: E402

LAST = torch.channels_last
SHAPES = {
    "cpu": {"16x64x32x32": (16, 64, 32, 32), "64x24x14x14": (64, 24, 14, 14)},
    "cuda": {"32x64x128x128": (32, 64, 128, 128), "64x256x32x32": (64, 256, 32, 32)},
}  # of the smaller pictures
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PASSES = {"call": 1, "training": 2, "penalty": 3}  # over a pair of smaller and larger pictures
LIBRARIES = ("unsup_fast", "torch", "zeros")
BOUNDS = {torch.bfloat16: 0.02, torch.float32: 1e-5}
EDGE = 2  # pixels in which interpolation and its gradients differ


def pytest_generate_tests(metafunc):
    sizes = SHAPES[metafunc.config.getoption("--device")]
    cases = {
        f"{direction}, {what}, {size}, {name}": (direction, what, sizes[size], TYPES[name])
        for direction in ("up", "down")
        for size in sizes
        for name in TYPES
        for what in PASSES
    }
    metafunc.parametrize("case", cases.items(), ids=cases)


def ours(x, taps, direction, backend=None):
    if direction == "up":
        return upfirdn(x, taps * 2, up=2, padding=(2, 1, 2, 1), backend=backend)
    return upfirdn(x, taps, down=2, padding=1, backend=backend)


def zeros(x, taps, direction):
    batch, channels, height, width = x.shape
    weight = torch.outer(taps, taps).to(x.dtype).expand(channels, 1, 4, 4)
    if direction == "up":
        x = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
        x = x.reshape(batch, channels, 2 * height, 2 * width)
        x = F.pad(x, (2, 1, 2, 1)).contiguous(memory_format=LAST)
        return F.conv2d(x, 4 * weight, groups=channels)
    return F.conv2d(F.pad(x, (1, 1, 1, 1)), weight, groups=channels)[:, :, ::2, ::2]


def torchs(x, taps, direction):
    if direction == "up":
        return F.interpolate(x, scale_factor=2, mode="bilinear")
    weight = torch.outer(taps, taps).to(x.dtype).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, weight, stride=2, padding=1, groups=x.shape[1])


def inputs(direction, shape, dtype, device):
    """Return pictures, the gradient of the result and that of the gradient of pictures."""
    small, large = shape, (*shape[:2], 2 * shape[2], 2 * shape[3])
    before, after = (small, large) if direction == "up" else (large, small)
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(one, generator=generator) for one in (before, after, before))
    return [one.to(device, dtype, memory_format=LAST) for one in drawn]


def runner(what, function, x, of_out, of_of_x):
    if what == "call":
        return lambda: (function(x),)
    x, of_out = x.clone().requires_grad_(), of_out.clone().requires_grad_(what == "penalty")

    def train():
        out = function(x)
        of_x = torch.autograd.grad(out, x, of_out, create_graph=what == "penalty")[0]
        if what == "training":
            return out, of_x
        return out, of_x, torch.autograd.grad(of_x, of_out, of_of_x)[0]

    return train


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


@functools.cache
def copy_rate(shape, dtype, device):
    """Return the bytes that a copy reads and writes a second."""
    one, two = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
    seconds = []
    for _ in range(15):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(10):
            one.copy_(two)
        synchronize(device)
        seconds.append((time.perf_counter() - start) / 10)
    return 2 * one.nbytes / statistics.median(seconds)


def middle(x):
    return x[..., EDGE:-EDGE, EDGE:-EDGE]


@pytest.mark.parametrize("library", LIBRARIES)
def test_upfirdn(benchmark, request, case, library):
    name, (direction, what, shape, dtype) = case
    device = request.config.getoption("--device")
    tensors = inputs(direction, shape, dtype, device)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=device) / 8
    function = {"unsup_fast": ours, "torch": torchs, "zeros": zeros}[library]
    run = runner(what, functools.partial(function, taps=taps, direction=direction), *tensors)
    rival = runner(what, functools.partial(zeros, taps=taps, direction=direction), *tensors)
    wide = [tensor.double() for tensor in tensors]
    defined = functools.partial(ours, taps=taps.double(), direction=direction, backend="ref")
    for actual, value in zip(run(), runner(what, defined, *wide)(), strict=True):
        if (library, direction) == ("torch", "up"):
            actual, value = middle(actual), middle(value)
        assert (actual - value).abs().max() <= BOUNDS[dtype] * value.abs().max()
    seconds = []

    def timed():
        run()
        synchronize(device)

    def time_the_rival():
        start = time.perf_counter()
        rival()
        synchronize(device)
        seconds.append(time.perf_counter() - start)

    rounds = request.config.getoption("--rounds")
    benchmark.pedantic(timed, setup=time_the_rival, rounds=rounds, warmup_rounds=1)
    stats = benchmark.stats.stats
    rate = PASSES[what] * (tensors[0].nbytes + tensors[1].nbytes) / stats.median
    larger = (*shape[:2], 2 * shape[2], 2 * shape[3])
    request.config.rows.append(
        {
            "bench": "upfirdn",
            "case": name,
            "library": library,
            "stats": stats,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(larger, dtype, device),
            "against_zeros": statistics.median(seconds[1:]) / stats.median,
        }
    )

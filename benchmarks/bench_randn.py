"""Standard normals against rivals, which have to draw as many of the same type.

Run by ``make bench`` or ``pytest benchmarks/bench_randn.py --out results``; ``--device cuda`` draws
on a GPU. "new" allocates the array or tensor, "out" fills an existing one. Each result is checked:
mean, variance and fourth moment, ours also against the reference in its first and last numbers.

`ns` is nanoseconds a number; `of_copy` is the bytes written a second as a share of the bytes that a
copy of a tensor of this size reads and writes.
"""

import numpy as np
import pytest

from unsup_fast.kernels.randn import randn, ref

torch = pytest.importorskip("torch")

from rates import copy_rate, finish  # noqa: E402

CASES = {  # name: shape, type, how
    "10M, float32, new": ((10_000_000,), torch.float32, "new"),
    "10M, float32, out": ((10_000_000,), torch.float32, "out"),
    "10M, bfloat16, out": ((10_000_000,), torch.bfloat16, "out"),
    "10M, float64, out": ((10_000_000,), torch.float64, "out"),
    "64x3x256x256, float32, channels-last": ((64, 3, 256, 256), torch.float32, "channels-last"),
    "16x3x32x32, float32, new": ((16, 3, 32, 32), torch.float32, "new"),
}
LIBRARIES = ("unsup_fast", "unsup_fast, numba", "torch", "numpy")
SEED = 42


def drawer(library, shape, dtype, how, device):
    """Return a function that draws."""
    out = None
    if how != "new":
        out = torch.zeros(shape, dtype=dtype, device=device)
    if how == "channels-last":
        out = out.contiguous(memory_format=torch.channels_last)
    if library.startswith("unsup_fast"):
        return lambda: randn(shape, seed=SEED, dtype=dtype, device=device, out=out)
    if library == "torch":
        if out is None:
            return lambda: torch.randn(shape, dtype=dtype, device=device)
        return out.normal_
    kind = {torch.float32: np.float32, torch.float64: np.float64}[dtype]
    generator = np.random.default_rng(SEED)
    if out is None:
        return lambda: generator.standard_normal(shape, kind)
    return lambda: generator.standard_normal(shape, kind, out=out.numpy())


def check(library, drawn, dtype):
    z = torch.as_tensor(drawn).double().cpu().flatten()
    limit = 6 / z.numel() ** 0.5
    assert abs(z.mean()) < limit
    assert abs((z**2).mean() - 1) < 1.5 * limit
    assert abs((z**4).mean() - 3) < 10 * limit
    if library.startswith("unsup_fast"):
        rtol = 8e-3 if dtype.itemsize == 2 else 1e-6
        for first in (0, len(z) - 100):
            truth = ref.normals(SEED, 0, first, 100, dtype == torch.float64).astype(np.float64)
            np.testing.assert_allclose(z[first : first + 100], truth, rtol=rtol)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_draw(benchmark, request, case, library):
    shape, dtype, how = CASES[case]
    device = request.config.getoption("--device")
    if library == "unsup_fast, numba" and device == "cuda":
        pytest.skip("for the CPU")
    if library == "numpy" and (device == "cuda" or dtype.itemsize == 2 or how == "channels-last"):
        pytest.skip("NumPy draws float32 and float64 in row-major order")
    draw = drawer(library, shape, dtype, how, device)
    check(library, draw(), dtype)  # code is loaded, threads are started

    def run():
        normals = draw()
        finish(device)
        return normals

    small = np.prod(shape) < 1_000_000
    rounds = request.config.getoption("--rounds")
    drawn = benchmark.pedantic(run, rounds=rounds, iterations=200 if small else 1)
    check(library, drawn, dtype)
    stats, count = benchmark.stats.stats, int(np.prod(shape))
    rate = count * dtype.itemsize / stats.median
    request.config.rows.append(
        {
            "bench": "randn",
            "case": case,
            "library": library,
            "stats": stats,
            "ns": stats.median / count * 1e9,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(shape, dtype, device),
        }
    )
    benchmark.extra_info["ns"] = stats.median / count * 1e9

"""Steps of samplers against their rivals.

Run by ``make bench`` or ``pytest benchmarks/bench_denoise.py --out results``; ``--device cuda``
runs on a GPU. The rivals are diffusers' DDPMScheduler and DDIMScheduler, and the same formula in
torch, plain and compiled, with its own noise. Steps without noise must agree to 1e-5; in those
with noise, its mean and variance must be right.

`of_copy` is the bytes that a step has to read and write a second, as a share of the bytes that a
copy of a tensor of this size reads and writes. "new" allocates the results, "out" writes into
existing tensors.
"""

import functools

import pytest

torch = pytest.importorskip("torch")

from rates import copy_rate, finish  # noqa: E402

from unsup_fast.kernels import sampler_terms as terms  # noqa: E402
from unsup_fast.kernels.denoise import denoise  # noqa: E402

SHAPES = {"64x3x256x256": (64, 3, 256, 256), "64x3x64x64": (64, 3, 64, 64),
          "16x3x32x32": (16, 3, 32, 32)}  # fmt: skip
OPERATIONS = {  # tensors read and written
    "DDPM step, out": 3,
    "DDPM step, new": 3,
    "DDIM step, out": 3,
    "DDIM step, new": 3,
}
CASES = {
    f"{operation}, {size}": (operation, SHAPES[size]) for size in SHAPES for operation in OPERATIONS
}
LIBRARIES = ("unsup_fast", "unsup_fast, numba", "diffusers", "torch", "torch.compile")
T, BEFORE = 500, 499  # times of the step
ALPHAS = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


def coefficients(operation):
    """Return a, ..., f of x0 = a x + b eps, and of the next sample c x + d x0 + e eps + f z."""
    now, before = ALPHAS[T].item(), ALPHAS[BEFORE].item()
    a, b = now**-0.5, -(((1 - now) / now) ** 0.5)
    if operation.startswith("DDIM"):
        return a, b, 0.0, before**0.5, (1 - before) ** 0.5, 0.0
    beta = 1 - now / before
    d = before**0.5 * beta / (1 - now)
    c = (1 - beta) ** 0.5 * (1 - before) / (1 - now)
    return a, b, c, d, 0.0, (beta * (1 - before) / (1 - now)) ** 0.5


def row_of(operation):
    a, b, c, d, e, f = coefficients(operation)
    row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
    row[terms.X0_X], row[terms.X0_OUTPUT], row[terms.CLIP] = a, b, torch.inf
    row[terms.KEEP_X0] = 1
    row[terms.NEXT_X], row[terms.NEXT_KEEP], row[terms.NEXT_NOISE] = c - e * a / b, d + e / b, f
    if operation.startswith("DDPM"):
        row[terms.CLIP] = 1
    return row


def plain(operation):
    a, b, c, d, e, f = coefficients(operation)

    def step(x, output):
        x0 = a * x + b * output
        if f:
            return c * x + d * x0.clamp(-1, 1) + f * torch.randn_like(x)
        return d * x0 + e * output

    return step


@functools.cache
def scheduler_of(kind):
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, f"{kind}Scheduler")(clip_sample=kind == "DDPM")
    scheduler.set_timesteps(1000)
    return scheduler


def runner(library, operation, x, output):
    """Return a function that runs the step."""
    if library == "diffusers":
        scheduler = scheduler_of(operation[:4])
        return lambda: scheduler.step(output, T, x).prev_sample
    if library.startswith("torch"):
        function = plain(operation)
        if library == "torch.compile":
            function = torch.compile(function, fullgraph=True)
        return lambda: function(x, output)
    row, out = row_of(operation).to(x.device), None
    if operation.endswith("out"):
        out = torch.empty_like(x)
    return lambda: denoise(x, output, row, seed=0, out=out)


def check(operation, result, x, output):
    a, b, c, d, e, f = coefficients(operation)
    x0 = a * x.double() + b * output.double()
    truth = c * x.double() + d * (x0.clamp(-1, 1) if f else x0) + e * output.double()
    if f == 0:
        torch.testing.assert_close(result.double(), truth, rtol=1e-5, atol=1e-5)
        return
    z = (result.double() - truth) / f
    limit = 6 / z.numel() ** 0.5
    assert abs(z.mean()) < limit
    assert abs(z.square().mean() - 1) < 1.5 * limit


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_step(benchmark, request, case, library):
    operation, shape = CASES[case]
    if not library.startswith("unsup_fast") and operation.endswith("out"):
        pytest.skip("allocates its results")
    device = request.config.getoption("--device")
    if library == "unsup_fast, numba" and device == "cuda":
        pytest.skip("for the CPU")
    generator = torch.Generator().manual_seed(0)
    x, output = (torch.randn(shape, generator=generator).to(device) for _ in range(2))
    step = runner(library, operation, x, output)
    with torch.no_grad():
        check(operation, step(), x, output)

        def run():
            result = step()
            finish(device)
            return result

        small = x.numel() < 1_000_000
        rounds = request.config.getoption("--rounds")
        benchmark.pedantic(run, rounds=rounds, iterations=50 if small else 1, warmup_rounds=1)
    stats = benchmark.stats.stats
    rate = OPERATIONS[operation] * x.nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "denoise",
            "case": case,
            "library": library,
            "stats": stats,
            "ns": stats.median / x.numel() * 1e9,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(shape, x.dtype, device),
        }
    )
    benchmark.extra_info["ns"] = stats.median / x.numel() * 1e9

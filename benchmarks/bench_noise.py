"""The forward process of diffusion with its noise drawn inside, against its rivals.

Run by ``make bench`` or ``pytest benchmarks/bench_noise.py --out results``; ``--device cuda`` runs
on a GPU. The rivals are diffusers' DDPMScheduler and the formula in torch, plain and compiled, each
with torch's noise. Each must return x_t of the eps that it returns, to 1e-5, and eps must have the
mean and variance of noise; ours must be the reference's for the same eps.

`of_copy` is the bytes of x0, x_t and eps a second, as a share of the bytes that a copy of a tensor
of this size reads and writes. "new" allocates the results, "out" writes into existing tensors.
"""

import pytest

torch = pytest.importorskip("torch")

from bench_denoise import ALPHAS, SHAPES, T, scheduler_of  # noqa: E402
from rates import copy_rate, finish  # noqa: E402

from unsup_fast.kernels.noise import noise  # noqa: E402

CASES = {f"add noise and eps, {how}, {size}": (how, SHAPES[size])
         for size in SHAPES for how in ("out", "new")}  # fmt: skip
LIBRARIES = ("unsup_fast", "diffusers", "torch", "torch.compile")
TENSORS = 3  # read and written: x0, x_t, eps


def plain(x, signal, sigma):
    eps = torch.randn_like(x)
    return signal * x + sigma * eps, eps


def coefficients(x):
    """Return signal and sigma of the time T, float64 [B]."""
    signal = torch.full((len(x),), ALPHAS[T].sqrt(), dtype=torch.float64, device=x.device)
    return signal, (1 - signal**2).sqrt()


def runner(library, how, x):
    """Return a function that returns x_t and eps."""
    signal, sigma = coefficients(x)
    if library == "diffusers":
        scheduler = scheduler_of("DDPM")
        times = torch.full((len(x),), T, device=x.device)

        def added():
            eps = torch.randn_like(x)
            return scheduler.add_noise(x, eps, times), eps

        return added
    if library.startswith("torch"):
        function = torch.compile(plain, fullgraph=True) if library == "torch.compile" else plain
        factors = [value.float().view(-1, *[1] * (x.ndim - 1)) for value in (signal, sigma)]
        return lambda: function(x, *factors)
    out, out_eps = (torch.empty_like(x) if how == "out" else None for _ in range(2))
    return lambda: noise(x, signal, sigma, seed=0, target="epsilon", out=out, out_target=out_eps)


def check(library, x, x_t, eps):
    signal, sigma = coefficients(x)
    truth = noise(x.double(), signal, sigma, eps=eps.double(), backend="ref")
    torch.testing.assert_close(x_t.double(), truth, rtol=1e-5, atol=1e-5)
    if library == "unsup_fast":
        assert torch.equal(x_t, noise(x, signal, sigma, eps=eps))
    limit = 6 / eps.numel() ** 0.5
    assert abs(eps.mean()) < limit
    assert abs(eps.double().square().mean() - 1) < 1.5 * limit


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_noise(benchmark, request, case, library):
    how, shape = CASES[case]
    if library != "unsup_fast" and how == "out":
        pytest.skip("allocates its results")
    device = request.config.getoption("--device")
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    add = runner(library, how, x)
    with torch.no_grad():
        check(library, x, *add())

        def run():
            add()
            finish(device)

        small = x.numel() < 1_000_000
        rounds = request.config.getoption("--rounds")
        benchmark.pedantic(run, rounds=rounds, iterations=50 if small else 1, warmup_rounds=1)
    stats = benchmark.stats.stats
    rate = TENSORS * x.nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "noise",
            "case": case,
            "library": library,
            "stats": stats,
            "ns": stats.median / x.numel() * 1e9,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(shape, x.dtype, device),
        }
    )
    benchmark.extra_info["ns"] = stats.median / x.numel() * 1e9

"""The loop that runs a table: noise, guidance, callbacks, kinds of input, and what it refuses."""

import io
import signal
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from unsup_fast.kernels.randn import randn
from unsup_fast.models.diffusion import (
    _graphs,
    alphas_cumprod,
    forget_graphs,
    initial_noise,
    linear_betas,
    sample,
    spaced_timesteps,
    ve_path,
    vp_path,
)
from unsup_fast.models.training.draws import spread_seed
from unsup_fast.solvers import (
    ddim,
    ddpm,
    dpm_solver,
    euler_ancestral,
    heun,
    unipc,
)

PATH = vp_path(alphas_cumprod(linear_betas()), spaced_timesteps(6))
SAMPLERS = [
    ddpm(PATH),
    ddim(PATH, clip=0.5, clipped_noise=False),
    dpm_solver(PATH, order=3, stochastic=True, clip=1.0),
    unipc(PATH, order=3),
    heun(ve_path([20.0, 5.0, 1.0, 0.2, 0.0], [3.0, 2.0, 1.0, 0.0])),
]


def model(x, t):
    return torch.tanh(x) * (0.5 + t.view(-1, *[1] * (x.ndim - 1)) / 2000)


def less(x, t):
    return 0.3 * model(x, t) + 0.1


@pytest.mark.parametrize("table", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_seeded_noise_is_that_of_randn(table, dtype):
    x = initial_noise(table, (3, 2, 4, 5), seed=7, dtype=torch.float32).to(dtype)
    actual = sample(model, table, x, seed=3)
    assert actual.dtype == dtype
    seeds = spread_seed(3, 3)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    noise = [
        randn((3, 2, 4, 5), seed=seeds, stream=row + 1, dtype=wide).to(dtype)
        for row in range(len(table.rows))
    ]
    wanted = sample(model, table, x, noise=noise)
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(actual, wanted, atol=tolerance, rtol=tolerance)


def test_a_sample_does_not_depend_on_its_batch():
    table = ddpm(PATH)
    x = initial_noise(table, (5, 3), seed=7)
    torch.testing.assert_close(initial_noise(table, (2, 3), seed=7), x[:2], atol=0, rtol=0)
    samples = sample(model, table, x, seed=3)
    torch.testing.assert_close(sample(model, table, x[:2], seed=3), samples[:2], atol=0, rtol=0)
    alone = sample(model, table, x[3:4], seed=spread_seed(3, 5)[3:4])
    torch.testing.assert_close(alone, samples[3:4], atol=0, rtol=0)
    assert not torch.equal(sample(model, table, x, seed=4), samples)


def test_seeds_are_spread_by_splitmix64():
    # The first outputs of the published generator from 1234567.
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert spread_seed(1234567, 3).numpy().view(np.uint64).tolist() == wanted


def test_without_a_seed_torch_seeds_it():
    table, x = ddpm(PATH), torch.zeros(2, 3)
    torch.manual_seed(0)
    first = sample(model, table, x)
    assert not torch.equal(sample(model, table, x), first)
    torch.manual_seed(0)
    assert torch.equal(sample(model, table, x), first)


@pytest.mark.parametrize("table", SAMPLERS)
def test_threads_arrays_and_memory_formats_change_nothing(table):
    x = initial_noise(table, (3, 2, 4, 5), seed=7)
    before = x.clone()
    wanted = sample(model, table, x, seed=3, n_threads=1)
    assert torch.equal(x, before)
    assert torch.equal(sample(model, table, x, seed=3, n_threads=2), wanted)
    last = sample(model, table, x.contiguous(memory_format=torch.channels_last), seed=3)
    torch.testing.assert_close(last, wanted, atol=1e-5, rtol=1e-5)
    assert last.is_contiguous(memory_format=torch.channels_last)

    def on_arrays(x, t):
        assert isinstance(x, np.ndarray)
        return model(torch.from_numpy(x), torch.from_numpy(t)).numpy()

    samples = sample(on_arrays, table, x.numpy(), seed=3)
    assert isinstance(samples, np.ndarray)
    np.testing.assert_array_equal(samples, wanted.numpy())
    packed = sample(lambda x, t: (on_arrays(x, t),), table, x.numpy(), seed=3)
    np.testing.assert_array_equal(packed, samples)


@pytest.mark.parametrize("table", SAMPLERS)
def test_guidance_is_that_of_one_model(table):
    def guided(x, t):
        return less(x, t) + 2.5 * (model(x, t) - less(x, t))

    x = initial_noise(table, (3, 2, 4, 5), seed=7)
    samples = sample(model, table, x, seed=3, guidance=2.5, uncond=less)
    torch.testing.assert_close(samples, sample(guided, table, x, seed=3), atol=1e-4, rtol=1e-4)


def counting(model):
    def counted(x, t):
        counted.times.append(t[0].item())
        return model(x, t)

    counted.times = []
    return counted


@pytest.mark.parametrize("table", SAMPLERS)
def test_guidance_in_an_interval_of_noise_levels(table):
    """Rows outside get no unconditional output, and are those of the model itself."""
    low, high = np.sort(table.levels)[[1, -2]]  # the least two levels are not above low
    inside = (table.levels > low) & (table.levels <= high)
    assert 0 < inside.sum() < len(inside) - 1
    wanted_times = table.timesteps[inside].astype(np.float32).tolist()

    def guided(x, t):
        weight = 2.5 if np.float32(t[0].item()) in wanted_times else 1.0
        return less(x, t) + weight * (model(x, t) - less(x, t))

    x = initial_noise(table, (3, 2, 4, 5), seed=7)
    cond, uncond = counting(model), counting(less)
    options = {"guidance": 2.5, "guidance_interval": (low, high)}
    samples = sample(cond, table, x, seed=3, uncond=uncond, **options)
    assert uncond.times == wanted_times
    assert len(cond.times) == len(table.rows)
    torch.testing.assert_close(samples, sample(guided, table, x, seed=3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("table", SAMPLERS)
def test_both_outputs_of_one_call(table):
    x = initial_noise(table, (3, 2, 4, 5), seed=7)
    options = {"seed": 3, "guidance": 2.5, "guidance_interval": (1e-3, 4.0), "uncond": less}
    never = counting(less)
    samples = sample(
        model, table, x, both=lambda x, t: (model(x, t), less(x, t)), **{**options, "uncond": never}
    )
    assert never.times == []
    assert torch.equal(samples, sample(model, table, x, **options))


@pytest.mark.parametrize("table", SAMPLERS)
def test_guidance_of_one_calls_one_model(table):
    x = initial_noise(table, (3, 2, 4, 5), seed=7)
    uncond = counting(less)
    samples = sample(model, table, x, seed=3, guidance=1.0, uncond=uncond)
    assert uncond.times == []
    assert torch.equal(samples, sample(model, table, x, seed=3))
    everywhere = {"guidance": 2.5, "uncond": uncond}
    torch.testing.assert_close(
        sample(model, table, x, seed=3, guidance_interval=(0.0, np.inf), **everywhere),
        sample(model, table, x, seed=3, **everywhere),
        rtol=0,
        atol=0,
    )


def test_levels_are_those_where_the_model_is_called():
    np.testing.assert_allclose(ddpm(PATH).levels, PATH.sigma / PATH.signal)
    assert SAMPLERS[-1].levels.tolist() == [20, 5, 5, 1, 1, 0.2, 0.2]
    path = vp_path([1.0, 0.5, 0.0], [2.0, 1.0])
    assert ddim(path, prediction="v_prediction").levels.tolist() == [np.inf, 1.0]


def test_the_model_gets_timesteps_and_scaled_samples():
    seen = []
    path = ve_path([3.0, 1.0, 0.0], [999.0, 500.5])
    x = torch.ones(2, 3, dtype=torch.bfloat16)

    def watching(x, t):
        seen.append((x.clone(), t))
        return torch.zeros_like(x)

    sample(watching, heun(path), x)
    assert [t.tolist() for _, t in seen] == [[999.0] * 2, [500.5] * 2, [500.5] * 2]
    assert all(t.dtype == torch.float32 for _, t in seen)
    np.testing.assert_allclose(seen[0][0][0, 0].item(), 10**-0.5, rtol=4e-3)


def test_outputs_as_diffusers_networks_return_them():
    class Output:
        def __init__(self, sample):
            self.sample = sample

    table, x = ddim(PATH), torch.ones(2, 3)
    wanted = sample(model, table, x)
    assert torch.equal(sample(lambda x, t: (model(x, t), 0), table, x), wanted)
    assert torch.equal(sample(lambda x, t: Output(model(x, t)), table, x), wanted)


def test_thresholding_bounds_the_image():
    table = ddim(PATH, prediction="sample")
    images = sample(lambda x, t: 5 + x, table, torch.ones(2, 30), threshold=(0.9, 1.0))
    torch.testing.assert_close(images, torch.ones(2, 30))


def test_callback_and_progress(monkeypatch):
    rows, done = [], []
    table, x = ddim(PATH), torch.ones(2, 3)
    samples = sample(model, table, x, callback=lambda row, x: rows.append((row, x.clone())))
    assert [row for row, _ in rows] == list(range(6))
    assert torch.equal(rows[-1][1], samples)
    sample(model, table, x, progress=lambda *report: done.append(report))
    assert [report[:2] for report in done] == [(i, 6) for i in range(1, 7)]
    assert done[-1][2] == 0
    for terminal in (False, True):
        shown = io.StringIO()
        shown.isatty = lambda terminal=terminal: terminal
        monkeypatch.setattr("sys.stderr", shown)
        sample(model, table, x, progress=True)
        assert shown.getvalue().endswith("6/6 steps, 0 s left\n")


def test_no_gradient_is_recorded():
    weight = torch.ones(1, requires_grad=True)
    assert not sample(lambda x, t: weight * x, ddim(PATH), torch.ones(2, 3)).requires_grad


def test_it_can_be_interrupted():
    table, x = ddpm(PATH), torch.zeros(2, 3)
    wanted = sample(model, table, x, seed=1)

    def slow(x, t):
        time.sleep(0.2)
        return model(x, t)

    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sample(slow, table, x, seed=1, progress=lambda *report: None)
    timer.join()
    assert torch.equal(sample(model, table, x, seed=1), wanted)


def test_graphs_are_cached_by_kind_and_read_their_input(monkeypatch):
    """The cache of graphs, where a replay runs the loop again."""

    class Replayed:
        def __init__(self, loop, x, seeds, out):
            self.run = lambda: out.copy_(loop(x, seeds))

        def replay(self):
            self.run()

    captured = []

    def capture(loop, x, seeds):
        captured.append(loop)
        own, own_seeds, out = x.clone(), seeds.clone(), torch.full_like(x, float("nan"))
        replayed = Replayed(loop, own, own_seeds, out)
        return _graphs.Graph(replayed, own, own_seeds, out, loop)

    def make():
        return lambda x, seeds: x + seeds[:, None]

    monkeypatch.setattr(_graphs, "_capture", capture)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    forget_graphs()
    results = []
    for value in (1.0, 2.0):
        x, seeds = torch.full((2, 3), value), torch.tensor([10, 20]) * int(value)
        results.append(_graphs.run((model, "table"), make, x, seeds))
    assert len(captured) == 1
    assert [result[:, 0].tolist() for result in results] == [[11.0, 21.0], [22.0, 42.0]]
    for other in range(_graphs.MAX_GRAPHS):
        _graphs.run((model, other), make, x, seeds)
    assert len(_graphs._graphs) == _graphs.MAX_GRAPHS
    _graphs.run((model, 0), make, x, seeds)
    assert len(captured) == 1 + _graphs.MAX_GRAPHS
    _graphs.run((model, "table"), make, x, seeds)
    _graphs.run((model, "table"), make, x[:1], seeds[:1])
    assert len(captured) == 3 + _graphs.MAX_GRAPHS
    forget_graphs()
    assert not _graphs._graphs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("table", SAMPLERS)
def test_the_graph_is_the_loop(table):
    x = initial_noise(table, (3, 2, 4, 5), seed=7).cuda()
    for seed in (3, 4):
        graph = sample(model, table, x, seed=seed)
        loop = sample(model, table, x, seed=seed, graph=False)
        assert torch.equal(graph, loop)
        host = sample(model, table, x.cpu(), seed=seed)
        torch.testing.assert_close(graph.cpu(), host, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [1.0]}, TypeError, "x must be a tensor or an ndarray"),
        ({"seed": 1.5}, TypeError, "seed must be an int or one int a sample, got float"),
        ({"x": torch.ones(2, 3, dtype=torch.int64)}, TypeError, "floating-point"),
        ({"guidance": 2.0}, ValueError, "uncond is missing"),
        ({"uncond": model}, ValueError, "guidance is missing"),
        ({"both": model}, ValueError, "both stands in for model and uncond"),
        ({"x": np.ones((2, 3)), "both": model}, TypeError, "both takes tensors"),
        ({"guidance_interval": (0, 1)}, ValueError, "guidance_interval limits guidance"),
        (
            {"guidance": 2.0, "uncond": model, "guidance_interval": (3.0, 1.0)},
            ValueError,
            r"guidance_interval=\(3.0, 1.0\) must be noise levels",
        ),
        ({"noise": [torch.ones(2, 3)]}, ValueError, "noise has 1 entries; the table has 6 rows"),
        ({"graph": True}, ValueError, "graph=True runs all rows at once on a CUDA tensor"),
        ({"model": lambda x, t: x[:1]}, ValueError, r"the model returned shape \(1, 3\)"),
        ({"model": lambda x, t: 1.0}, TypeError, "the model returned float, not a tensor"),
        ({"seed": -1}, ValueError, "seed=-1 must be between"),
        ({"seed": [1, 1 << 64]}, ValueError, "must be between 0"),
        ({"seed": [1, 2.5]}, TypeError, "integer"),
        ({"table": euler_ancestral(PATH), "seed": [1]}, ValueError, "one for each of 2 samples"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"model": model, "table": ddpm(PATH), "x": torch.ones(2, 3), **change}
    with pytest.raises(error, match=message):
        sample(**arguments)

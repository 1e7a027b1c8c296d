"""Sampling and training of a diffusion model, end to end, against diffusers and plain torch.

Run by ``make bench`` or ``pytest benchmarks/bench_sampling.py --out results``; ``--device cuda``
runs on a GPU, ``--model RUN`` samples from a trained model instead of drawn weights, ``--mnist``
trains on real images. The network is the small U-Net at patch 2, of 28 x 28 pixels.

Sampling: 64 images in 50 DDIM steps, from noise to bytes. The rival is diffusers' DDIMPipeline
around a network of the same weights with torch's own norms: as it is (float32), and in bfloat16
with the channels last, eagerly and compiled (compilation is not timed). From the same noise,
float32 images must agree to 1e-3, and bfloat16 ones with float32 to an RMS of 0.05. Training: 20
steps of 128 images, from building the network to the averaged weights (ours also saves a
checkpoint); the rival is the same step in a plain loop. The losses must fall, and end within a
quarter of those of a plain float32 loop.

Few steps: 64 images of a student in 4 LCM steps (`lcm`), against 50 DDIM steps of the same network,
and against diffusers' LCMScheduler in a plain loop around the same weights with torch's own norms;
from the same noise, images must agree to 1e-3.

`of_matmul` is the rate of the network's convolutions (three times those of a call in a training
step) as a share of that of a bfloat16 product of two matrices of 4096 rows; `outside` the share of
the time that is not spent in the network.
"""

import copy
import functools
import statistics
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from unsup_fast import pictures  # noqa: E402
from unsup_fast.kernels.randn import randn  # noqa: E402
from unsup_fast.models import diffusion, training  # noqa: E402
from unsup_fast.models.diffusion.objective import loss, sample_levels  # noqa: E402
from unsup_fast.models.diffusion.sampling import initial_noise  # noqa: E402
from unsup_fast.models.networks import unet  # noqa: E402
from unsup_fast.models.training import precision  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402

CONFIG = diffusion.Config((1, 28, 28), classes=tuple("0123456789"), patch=2)
N, STEPS, SEED = 64, 50, 3
BATCH, TRAINED = 128, 20
LABELS = [i % 10 for i in range(N)]
SAMPLING = ("unsup_fast", "unsup_fast float32", "diffusers", "diffusers bfloat16 channels-last",
            "diffusers compiled")  # fmt: skip
FEW = ("unsup_fast", "unsup_fast 50 DDIM steps", "diffusers")
FEW_STEPS = 4
TRAINING = ("unsup_fast", "unsup_fast float32", "torch", "torch bfloat16 channels-last")
RATE, EMA = 1e-3, 0.999


def torchs(norm, x, scale=None, shift=None):
    """Return norm, modulation and SiLU by torch."""
    h = norm(x)
    if scale is not None:
        h = torch.addcmul(shift[:, :, None, None], h, 1 + scale[:, :, None, None])
    return F.silu(h)


@contextmanager
def norms_by_torch():
    ours, unet.norm_scale_shift_silu = unet.norm_scale_shift_silu, torchs
    try:
        yield
    finally:
        unet.norm_scale_shift_silu = ours


def autocast(library, device):
    return torch.autocast(device, torch.bfloat16, enabled=library in ("bfloat16", "compiled"))


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def model_of(folder, device):
    """Return a trained model, or one whose weights are all drawn."""
    if folder is not None:
        return diffusion.load(folder, device=device)
    model = diffusion.Diffusion.build(CONFIG)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.network.parameters():
            if not weights.any():  # the last of each block
                weights.copy_(0.02 * torch.randn(weights.shape, generator=generator))
    model.network.to(device).eval().requires_grad_(False)
    return model


class Wrapped(torch.nn.Module):
    """The network as a pipeline calls it."""

    config = SimpleNamespace(in_channels=1, sample_size=28)
    dtype = torch.float32

    def __init__(self, network, form, device):
        super().__init__()
        self.network, self.form, self.device = network, form, torch.device(device)
        self.labels = torch.tensor(LABELS, device=device)
        self.call = torch.compile(network) if form == "compiled" else network

    def forward(self, x, time):
        """Return the output of the network in diffusers' form."""
        if self.form != "diffusers":
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast(self.form, self.device.type):
            return SimpleNamespace(sample=self.call(x, time.to(x.device), self.labels).float())


def pipeline_of(model, form, device):
    diffusers = pytest.importorskip("diffusers")
    layout = torch.contiguous_format if form == "diffusers" else torch.channels_last
    network = copy.deepcopy(model.network).to(memory_format=layout)
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=True,
    )
    pipeline = diffusers.DDIMPipeline(Wrapped(network, form, device), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sampler_of(model, library, device, monkeypatch):
    """Return sample(), which returns bytes [N, H, W], and the network that it calls."""
    name, _, form = library.partition(" ")
    if name == "unsup_fast":

        def ours():
            samples = model.sample(
                N,
                sampler="ddim",
                steps=STEPS,
                label=LABELS,
                seed=SEED,
                batch_size=N,
                precision=form or "auto",
            )
            return np.asarray(pictures.to_bytes(samples))[:, 0]

        return ours, model.network
    from diffusers.pipelines.ddim import pipeline_ddim

    form = form.partition(" ")[0] or "diffusers"
    pipeline = pipeline_of(model, form, device)
    shape = (N, *CONFIG.shape)
    table = model.config.table("ddim", STEPS)

    def noise(*_, **__):
        return initial_noise(table, shape, seed=spread_seed(SEED, N), device=device)

    monkeypatch.setattr(pipeline_ddim, "randn_tensor", noise)

    def theirs():
        with norms_by_torch():
            samples = pipeline(
                batch_size=N,
                num_inference_steps=STEPS,
                use_clipped_model_output=True,  # as ours: eps follows from the clipped image
                output_type="np",
            )
        return (samples.images[..., 0] * 255).round().astype(np.uint8)

    return theirs, pipeline.unet


def share_outside(sample, network, precision, device):
    """Return the share of a run's time that is not spent in calls of the network."""
    inside, begun = [], []

    def before(*_):
        finish(device)
        begun.append(time.perf_counter())

    def after(*_):
        finish(device)
        inside.append(time.perf_counter() - begun.pop())

    hooks = [network.register_forward_pre_hook(before), network.register_forward_hook(after)]
    try:
        start = time.perf_counter()
        sample()
        finish(device)
        whole = time.perf_counter() - start
    finally:
        for hook in hooks:
            hook.remove()
    if not inside:  # the whole loop was a CUDA graph, which calls no module
        return 1 - STEPS * graphed(network, precision, device) / whole
    return 1 - sum(inside) / whole


def graphed(network, precision, device):
    """Return the seconds of a call of the network as a CUDA graph."""
    x = torch.randn(N, *CONFIG.shape, device=device).contiguous(memory_format=torch.channels_last)
    times, labels = torch.full((N,), 500.0, device=device), torch.tensor(LABELS, device=device)
    half = precision != "float32"

    def call():
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, half, cache_enabled=False):
            network(x, times, labels)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    finish(device)
    start = time.perf_counter()
    for _ in range(STEPS):
        graph.replay()
    finish(device)
    return (time.perf_counter() - start) / STEPS


@functools.cache
def matmul_rate(device):
    """Return the operations a second of a product in the precision that networks compute in."""
    dtype = precision.chosen("auto", device)  # bfloat16 in software takes minutes
    one, two = (torch.randn(4096, 4096, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        finish(device)
        start = time.perf_counter()
        one @ two
        finish(device)
        seconds.append(time.perf_counter() - start)
    return 2 * 4096**3 / statistics.median(seconds)


def operations(network, device):
    """Return the multiplications and additions of the convolutions for an image."""
    total = []

    def count(layer, _, out):
        total.append(2 * out[0].numel() * layer.weight[0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(torch.zeros(1, *CONFIG.shape, device=device), torch.zeros(1, device=device))
    for hook in hooks:
        hook.remove()
    return sum(total)


def record(request, benchmark, case, library, work, outside, device):
    stats = benchmark.stats.stats
    request.config.rows.append(
        {
            "bench": "sampling",
            "case": case,
            "library": library,
            "stats": stats,
            "images_per_s": (N if case.startswith("64") else BATCH * TRAINED) / stats.median,
            "outside": outside,
            "of_matmul": work / stats.median / matmul_rate(device),
        }
    )
    benchmark.extra_info["outside"] = outside


@pytest.mark.parametrize("library", SAMPLING)
@pytest.mark.parametrize("case", ["64 images, 50 DDIM steps"])
def test_sampling(benchmark, request, monkeypatch, case, library):
    device = request.config.getoption("--device")
    model = model_of(request.config.getoption("--model"), device)
    sample, network = sampler_of(model, library, device, monkeypatch)
    truth = sampler_of(model, "unsup_fast float32", device, monkeypatch)[0]()
    difference = (sample().astype(float) - truth) / 127.5
    if library in ("unsup_fast float32", "diffusers"):
        assert abs(difference).max() < 1e-3 + 1 / 127.5  # and a byte's rounding
    assert np.sqrt((difference**2).mean()) < 0.05
    assert truth.std() > 10

    def run():
        samples = sample()
        finish(device)
        return samples

    rounds = request.config.getoption("--rounds")
    benchmark.pedantic(run, rounds=rounds, warmup_rounds=1)
    work = operations(model.network, device) * N * STEPS
    outside = share_outside(sample, network, library.partition(" ")[2], device)
    record(request, benchmark, case, library, work, outside, device)


def lcm_loop(model, device, monkeypatch):
    """Return sample(), diffusers' LCMScheduler around a network, from our noise."""
    scheduling = pytest.importorskip("diffusers.schedulers.scheduling_lcm")
    network = Wrapped(copy.deepcopy(model.network).to(memory_format=torch.contiguous_format),
                      "diffusers", device)  # fmt: skip
    table, shape = model.config.table("lcm", FEW_STEPS), (N, *CONFIG.shape)
    seeds, stream = spread_seed(SEED, N), []

    def noise(*_, **__):
        stream.append(None)
        return randn(shape, seed=seeds, stream=len(stream), device=device)

    monkeypatch.setattr(scheduling, "randn_tensor", noise)
    scheduler = scheduling.LCMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=True
    )

    def theirs():
        stream.clear()
        scheduler.set_timesteps(timesteps=table.timesteps.astype(int).tolist(), device=device)
        x = initial_noise(table, shape, seed=seeds, device=device)
        with norms_by_torch(), torch.no_grad():
            for time_ in scheduler.timesteps:
                x = scheduler.step(network(x, time_).sample, time_, x).prev_sample
        return np.asarray(pictures.to_bytes(x))[:, 0]

    return theirs


@pytest.mark.parametrize("library", FEW)
@pytest.mark.parametrize("case", ["64 images, 4 steps of a student"])
def test_few_steps(benchmark, request, monkeypatch, case, library):
    device = request.config.getoption("--device")
    model = model_of(request.config.getoption("--model"), device)

    def ours(sampler, steps, precision="auto"):
        samples = model.sample(N, sampler=sampler, steps=steps, label=LABELS, seed=SEED,
                               batch_size=N, precision=precision)  # fmt: skip
        return np.asarray(pictures.to_bytes(samples))[:, 0]

    if library == "diffusers":
        sample, steps = lcm_loop(model, device, monkeypatch), FEW_STEPS
        difference = (sample().astype(float) - ours("lcm", FEW_STEPS, "float32")) / 127.5
        assert abs(difference).max() < 1e-3 + 1 / 127.5
    else:
        sampler, steps = ("lcm", FEW_STEPS) if library == "unsup_fast" else ("ddim", STEPS)
        sample = functools.partial(ours, sampler, steps)
        assert sample().std() > 10

    def run():
        samples = sample()
        finish(device)
        return samples

    benchmark.pedantic(run, rounds=request.config.getoption("--rounds"), warmup_rounds=1)
    work = operations(model.network, device) * N * steps
    record(request, benchmark, case, library, work, float("nan"), device)


def images_of(path):
    """Return bytes [N, 1, 28, 28] and labels: MNIST, or enlarged digits of scikit-learn."""
    if path is not None:
        with np.load(path) as file:
            return file["x_train"][:, None], file["y_train"]
    small = pictures.digits()
    large = np.kron(np.asarray(small.pixels), np.ones((1, 1, 3, 3), np.uint8))
    return np.pad(large, ((0, 0), (0, 0), (2, 2), (2, 2))), small.labels


def plain_loop(images, labels, form, device):
    """Train in a plain loop of torch, and return the losses."""
    layout = torch.channels_last if form == "bfloat16" else torch.contiguous_format
    network = diffusion.Diffusion.build(CONFIG).network.to(device, memory_format=layout).train()
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.0, fused=True)
    objective = CONFIG.training_objective()
    images, labels = torch.from_numpy(images), torch.from_numpy(labels).long()
    losses = []
    for step in range(TRAINED):
        rows = torch.randint(len(images), (BATCH,))
        x = (images[rows].float() / 127.5 - 1).to(device, memory_format=layout)
        with autocast(form, device):
            value = loss(
                network, x, labels[rows].to(device), objective,
                noise_levels=sample_levels(objective, BATCH, None), seed=spread_seed(step, BATCH),
            )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - EMA)
        losses.append(value.item())
    return losses


@functools.cache
def plain_losses(mnist, device):
    with norms_by_torch():
        return plain_loop(*images_of(mnist), "", device)


def our_loop(images, labels, form, folder, device):
    diffusion.train(
        images,
        folder,
        labels=labels,
        config=CONFIG,
        options=training.TrainConfig(
            TRAINED, batch_size=BATCH, learning_rate=RATE, warmup=0, ema=EMA, save_every=TRAINED
        ),
        precision=form or "auto",
        label_dropout=0.0,
        device=device,
    )
    rows = (folder / "metrics.csv").read_text().split()
    column = rows[0].split(",").index("loss")
    return [float(row.split(",")[column]) for row in rows[1:]]


@pytest.mark.parametrize("library", TRAINING)
@pytest.mark.parametrize("case", ["20 training steps of 128 images"])
def test_training(benchmark, request, tmp_path_factory, case, library):
    device = request.config.getoption("--device")
    images, labels = images_of(request.config.getoption("--mnist"))
    name, _, form = library.partition(" ")

    def run():
        if name == "unsup_fast":
            return our_loop(images, labels, form, tmp_path_factory.mktemp("run"), device)
        with norms_by_torch():
            return plain_loop(images, labels, form.partition(" ")[0], device)

    losses = benchmark.pedantic(run, rounds=request.config.getoption("--rounds"), warmup_rounds=1)
    assert np.mean(losses[-5:]) < np.mean(losses[:3])
    plain = plain_losses(request.config.getoption("--mnist"), device)
    assert abs(np.mean(losses[-5:]) / np.mean(plain[-5:]) - 1) < 0.25
    network = diffusion.Diffusion.build(CONFIG).network.to(device)
    work = 3 * operations(network, device) * BATCH * TRAINED
    record(request, benchmark, case, library, work, float("nan"), device)

"""A training step of R3GAN with R1 and R2, against the same step in plain torch.

Run by ``make bench`` or ``pytest benchmarks/bench_gan.py --out results``.

A step updates the discriminator and the generator by 64 pictures of 28 x 28, networks of size
"tiny": `gan.train`'s own updates, and those that a user of torch writes with `F.conv2d`,
`F.leaky_relu` and `torch.autograd.grad`, channels-last and as torch has pictures by default
("torch NCHW"). All start from the same weights and latents, and must have the same losses and
penalties in the first step, up to rounding. `of_sgemm` is the arithmetic of the step's convolutions
a second, as a share of the rate of a product of matrices.
"""

import functools
import math
import statistics
import time
from copy import deepcopy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
import torch.nn.functional as F  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.players import discriminator_of, generator_of  # noqa: E402
from unsup_fast.models.gan.updates import Updates  # noqa: E402
from unsup_fast.models.networks.conv2d import channels_last  # noqa: E402
from unsup_fast.models.training import StepContext, init_state  # noqa: E402
from unsup_fast.models.training.accelerator import accelerator_for  # noqa: E402

BATCH, LATENT, RATE, BETAS = 64, 64, 2e-4, (0.0, 0.99)
CONFIG = gan.Config((1, 28, 28), size="tiny", latent=LATENT)
RECIPE = gan.Recipe(r1=1.0, r2=1.0, betas=BETAS)
LIBRARIES = ("unsup_fast", "torch channels-last", "torch NCHW")


@functools.cache
def networks():
    """Return a generator and a discriminator, whose residual blocks are not the identity."""
    pair = generator_of(CONFIG, 0), discriminator_of(CONFIG, RECIPE, 1)
    torch.manual_seed(2)
    for network in pair:
        for weight in network.parameters():
            weight.data += 0.02 * torch.randn_like(weight)
    return pair


def plain_blocks(blocks, h):
    for block in blocks:
        r = F.conv2d(h, block.reduce.weight)
        r = F.leaky_relu(r + block.bias1.view(1, -1, 1, 1), 0.2)
        r = F.conv2d(r, block.mix.weight, padding=1)
        r = F.leaky_relu(r + block.bias2.view(1, -1, 1, 1), 0.2)
        h = h + F.conv2d(r, block.expand.weight)
    return h


def plain_generator(body, z, memory_format):
    """Return pictures [B, 1, 28, 28]."""
    h = body.basis * (z @ body.scale.weight.T)[:, :, None, None]
    h = h.contiguous(memory_format=memory_format)
    for level, blocks in enumerate(body.blocks):
        if level:
            h = F.conv2d(h, body.change[level - 1].weight)
            h = F.interpolate(h, scale_factor=2, mode="bilinear")
        h = plain_blocks(blocks, h)
    return F.conv2d(h, body.out.weight)


def plain_discriminator(network, x):
    """Return scores [B]."""
    body, taps = network.body, torch.tensor([1.0, 3, 3, 1]) / 8
    h = F.conv2d(x, body.enter.weight)
    for level, blocks in enumerate(body.blocks):
        if level:
            filters = torch.outer(taps, taps).expand(h.shape[1], 1, 4, 4)
            h = F.conv2d(h, filters, stride=2, padding=1, groups=h.shape[1])
            h = F.conv2d(h, body.change[level - 1].weight)
        h = plain_blocks(blocks, h)
    return network.score((h * body.basis).sum((2, 3)))[:, 0]


def plain_step(memory_format):
    """Return a function that does one step on pictures, with a fresh pair of networks."""
    generator, discriminator = deepcopy(networks())
    for network in (generator, discriminator):
        network.to(memory_format=memory_format)
    g = torch.optim.Adam(generator.parameters(), RATE, betas=BETAS, fused=True)
    d = torch.optim.Adam(discriminator.parameters(), RATE, betas=BETAS, fused=True)

    def step(real, z, other):
        with torch.no_grad():
            fake = plain_generator(generator.body, z, memory_format)
        real, fake = real.requires_grad_(), fake.requires_grad_()
        a, b = (plain_discriminator(discriminator, x) for x in (real, fake))
        penalties = []
        for x, scores in ((real, a), (fake, b)):
            (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
            penalties.append(gradient.square().sum((1, 2, 3)).mean())
        loss = F.softplus(b - a).mean()
        d.zero_grad()
        (loss + sum(penalties) / 2).backward(inputs=list(discriminator.parameters()))
        d.step()
        with torch.no_grad():
            a = plain_discriminator(discriminator, real)
        b = plain_discriminator(
            discriminator, plain_generator(generator.body, other, memory_format)
        )
        g_loss = F.softplus(a - b).mean()
        g.zero_grad()
        g_loss.backward(inputs=list(generator.parameters()))
        g.step()
        return [float(each) for each in (loss, *penalties, g_loss)]

    return step


def our_step():
    generator, discriminator = deepcopy(networks())
    pair = {"generator": generator, "discriminator": discriminator}
    optimizers = {
        name: torch.optim.Adam(network.parameters(), RATE, betas=BETAS, fused=True)
        for name, network in pair.items()
    }
    init_state(pair, optimizers)
    updates = Updates(
        generator, discriminator, optimizers, RECIPE, latent=LATENT, dtype=torch.float32
    )
    accelerator, _ = accelerator_for(None, "float32", "cpu")
    options = gan.train_config(steps=10, batch_size=BATCH, warmup=0, decay=0, learning_rate=RATE)
    context = StepContext(accelerator, options)

    def step(real, z, other):
        draws = [z, other]
        updates._latents = lambda number, context: draws[number]
        reported = updates((real, None), context)
        return [float(reported[name]) for name in ("d_loss", "r1", "r2", "g_loss")]

    return step


@functools.cache
def product_rate():
    """Return the operations a second of a product of two matrices, its median."""
    a, b = torch.randn(2, 1024, 1024)
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * 1024**3 / statistics.median(seconds)


@pytest.mark.parametrize("case", ["step"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_step(benchmark, request, case, library):
    torch.manual_seed(3)
    real = channels_last(torch.randn(BATCH, 1, 28, 28).clamp(-1, 1))
    z, other = torch.randn(2, BATCH, LATENT)
    expected = plain_step(torch.contiguous_format)(real.contiguous().clone(), z, other)
    if library == "unsup_fast":
        step = our_step()
    elif library == "torch NCHW":
        step, real = plain_step(torch.contiguous_format), real.contiguous().clone()
    else:
        step = plain_step(torch.channels_last)
    for ours, theirs in zip(step(real.detach(), z, other), expected, strict=True):
        assert math.isclose(ours, theirs, rel_tol=1e-3)
    benchmark.pedantic(
        lambda: step(real.detach(), z, other),
        rounds=request.config.getoption("--rounds"),
        warmup_rounds=1,
    )
    stats = benchmark.stats.stats
    with FlopCounterMode(display=False) as counter:
        plain_step(torch.contiguous_format)(real.detach().contiguous(), z, other)
    request.config.rows.append(
        {
            "bench": "gan",
            "case": case,
            "library": library,
            "stats": stats,
            "of_sgemm": counter.get_total_flops() / stats.median / product_rate(),
        }
    )

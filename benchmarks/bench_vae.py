"""Training and likelihoods of variational autoencoders, against plain torch.

Run by ``make bench`` or ``pytest benchmarks/bench_vae.py --out results --mnist mnist.npz``; the
setting of papers is ``--vae-images 1000 --vae-samples 500``.

"train" is a number of steps on 28 x 28 pictures, batches of 256, binarised anew each time, of
784-200-200-50 and back: `vae.train` as it is, with its draws by seeds, averaged weights, checks,
metrics and checkpoint, in the precision that it chooses and in float32; and the loop that a user of
torch writes, plain and with its step compiled (compilation is not timed). All must end at the same
loss, within 3 %.

"nll" is the negative log likelihood of pictures by importance samples, of one trained network:
`VAE.nll`, and the loop of pythae 0.1.2 (`VAE.get_nll`) in plain torch on the same weights: each
picture alone, in batches of 100 copies that are all encoded and decoded. Its means must agree
within five standard errors of the estimates.

`of_sgemm` is the arithmetic of the products of the network that are needed, a second, as a share
of the rate of these products alone, forward and backward.
"""

import functools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402

WIDTHS, LATENT, BATCH, COPIES = (784, 200, 200), 50, 256, 100
LAYERS = [*zip(WIDTHS, (*WIDTHS[1:], 2 * LATENT), strict=True)]
LAYERS += [(LATENT, 200), (200, 200), (200, 784)]
CONFIG = vae.Config((1, 28, 28), size="tiny", latent=LATENT)
WEIGHTS = sum(a * b for a, b in LAYERS)
DECODER = sum(a * b for a, b in LAYERS[3:])


@functools.cache
def pictures(mnist):
    """Return uint8 pictures [N, 1, 28, 28]: digits, or strokes of a thick pen."""
    if mnist is not None:
        return np.load(mnist)["x_train"].reshape(-1, 1, 28, 28)
    random = np.random.default_rng(0)
    ends = random.uniform(4, 24, size=(8192, 2, 2))  # two ends of a stroke
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"), -1)  # [28, 28, 2]
    share = np.linspace(0, 1, 12)[:, None, None]
    x = np.zeros((len(ends), 28, 28), np.float32)
    for point in (1 - share) * ends[None, :, 0] + share * ends[None, :, 1]:  # [N, 2]
        squares = ((grid - point[:, None, None]) ** 2).sum(-1)  # [N, 28, 28]
        x = np.maximum(x, np.exp(-((squares / 4) ** 2)))
    return (255 * x[:, None]).astype(np.uint8)


class Plain(nn.Module):
    """The network of `CONFIG`, as a user of torch writes it."""

    def __init__(self):
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in LAYERS]
        relu = nn.ReLU()
        self.encoder = nn.Sequential(layers[0], relu, layers[1], relu, layers[2])
        self.decoder = nn.Sequential(layers[3], relu, layers[4], relu, layers[5])

    def forward(self, x):
        """Return the loss of black and white x [B, 784]."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        logits = self.decoder(z)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        return (reconstruction + kl).mean()


def plain_trainer(data, steps, compiled):
    """Return a function that trains from new weights and returns the last losses."""
    data = torch.from_numpy(data).flatten(1)
    torch.manual_seed(0)
    network = Plain()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss_of = torch.compile(network) if compiled else network
    loss_of(torch.bernoulli(data[:BATCH] / 255)).backward()

    def train():
        network.load_state_dict(before)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        losses = []
        for _ in range(steps):
            x = torch.bernoulli(data[torch.randint(len(data), (BATCH,))].float() / 255)
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return statistics.mean(losses[-20:])

    return train


def our_trainer(data, steps, precision):
    options = TrainConfig(
        steps=steps, batch_size=BATCH, learning_rate=1e-3, warmup=1, clip=np.inf, save_every=steps
    )

    def train():
        with tempfile.TemporaryDirectory() as folder:
            losses = []

            def follow(state, values, pace):
                losses.append(float(values["loss"]))

            vae.train(
                data,
                Path(folder, "run"),
                config=CONFIG,
                options=options,
                device="cpu",
                precision=precision,
                progress=follow,
            )
        return losses[-1]

    return train


@functools.cache
def products_rate(n, backward):
    """Return the multiplications a second of the products of the network alone, its median."""
    layers = LAYERS if backward else LAYERS[3:]
    x = [torch.randn(n, a) for a, _ in layers]
    g = [torch.randn(n, b) for _, b in layers]
    w = [torch.randn(b, a) for a, b in layers]
    count, seconds = 0, []
    for _ in range(15):
        begin, count = time.perf_counter(), 0
        for i in range(len(layers)):
            torch.mm(x[i], w[i].t())
            count += n * w[i].numel() * (1 + backward + (backward and i > 0))
            if backward:
                torch.mm(g[i].t(), x[i])
            if backward and i > 0:
                torch.mm(g[i], w[i])
        seconds.append(time.perf_counter() - begin)
    return count / statistics.median(seconds)


def record(request, benchmark, case, library, work, rate):
    stats = benchmark.stats.stats
    request.config.rows.append(
        {
            "bench": "vae",
            "case": case,
            "library": library,
            "stats": stats,
            "of_sgemm": work / stats.median / rate,
        }
    )


@pytest.mark.parametrize("case", ["train"])
@pytest.mark.parametrize("library", ["unsup_fast", "unsup_fast float32", "torch", "torch.compile"])
def test_train(benchmark, request, case, library):
    steps, data = request.config.getoption("--vae-steps"), pictures(_mnist(request))
    if library.startswith("unsup_fast"):
        train = our_trainer(data, steps, "auto" if library == "unsup_fast" else "float32")
    else:
        train = plain_trainer(data, steps, library == "torch.compile")
    loss = train()
    assert abs(loss - plain_trainer(data, steps, False)()) < 0.03 * loss
    benchmark.pedantic(train, rounds=request.config.getoption("--rounds"))
    work = steps * BATCH * (3 * WEIGHTS - LAYERS[0][0] * LAYERS[0][1])
    record(request, benchmark, case, library, work, products_rate(BATCH, True))


@pytest.fixture(scope="module")
def model(request, tmp_path_factory):
    """Return a network after a few hundred steps."""
    options = TrainConfig(steps=300, batch_size=BATCH, learning_rate=1e-3, warmup=1, clip=np.inf)
    folder, data = tmp_path_factory.mktemp("vae"), pictures(_mnist(request))
    return vae.train(
        data,
        folder,
        config=CONFIG,
        options=options,
        device="cpu",
        precision="float32",
        progress=False,
    )


@torch.no_grad()
def one_at_a_time(model, x, n_samples):
    """Return -log p(x) of black and white x [N, 784], by pythae's loop on our weights."""
    network, nats = model.network, []
    for one in x:
        log_weights = []
        for _ in range(n_samples // COPIES):
            copies = torch.cat(COPIES * [one[None]])  # [100, 784]
            mean, log_variance = network.encode(copies, None).chunk(2, 1)
            eps = torch.randn_like(mean)
            z = mean + torch.exp(0.5 * log_variance) * eps
            log_q = -0.5 * (log_variance + (z - mean) ** 2 / torch.exp(log_variance)).sum(1)
            log_prior = -0.5 * (z**2).sum(1)
            p = torch.sigmoid(network.decode(z, None)).reshape(COPIES, -1)
            log_p = -F.binary_cross_entropy(p, copies, reduction="none").sum(1)
            log_weights.append(log_p + log_prior - log_q)
        nats.append(np.log(n_samples) - float(torch.logsumexp(torch.cat(log_weights), 0)))
    return torch.tensor(nats)


@pytest.mark.parametrize("case", ["nll"])
@pytest.mark.parametrize("library", ["unsup_fast", "pythae's loop"])
def test_nll(benchmark, request, model, case, library):
    n, n_samples = (request.config.getoption(f"--vae-{name}") for name in ("images", "samples"))
    x = torch.from_numpy(pictures(_mnist(request))[:n] > 127).to(torch.uint8) * 255
    rows = x.flatten(1) / 255.0
    runs = {
        "unsup_fast": lambda: model.nll(x, n_samples=n_samples, progress=False),
        "pythae's loop": lambda: one_at_a_time(model, rows, n_samples),
    }
    few = min(n, 20)
    pairs = torch.stack([model.nll(x[:few], n_samples=n_samples, seed=s) for s in range(5)])
    error = pairs.std(0)  # [few], of one estimate
    gap = one_at_a_time(model, rows[:few], n_samples) - pairs.mean(0)
    assert abs(float(gap.mean())) < 5 * float(error.square().mean().sqrt()) / few**0.5
    benchmark.pedantic(runs[library], rounds=request.config.getoption("--rounds"), warmup_rounds=1)
    work = n * n_samples * DECODER
    record(request, benchmark, case, library, work, products_rate(1024, False))


def _mnist(request):
    return request.config.getoption("--mnist")

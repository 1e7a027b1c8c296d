"""What several networks need of a run: averages, several batches, penalties now and then."""

import csv
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from unsup_fast.models import training  # noqa: E402
from unsup_fast.models.training import (  # noqa: E402
    StepContext,
    TrainConfig,
    batch_indices,
    checkpoint,
    init_state,
    metrics_log,
)

toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_training.py"))))


@pytest.fixture(scope="module")
def context():
    config = TrainConfig(steps=1, warmup=0, learning_rate=0.1, clip=math.inf)
    return StepContext(accelerate.Accelerator(cpu=True), config)


def sgd(weight):
    optimizer = torch.optim.SGD([weight], 0.1)
    init_state({}, {"sgd": optimizer})
    return optimizer


def table(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_only_named_networks_are_averaged(tmp_path):
    state = toy.run("game", tmp_path, steps=2)
    assert list(state.ema) == ["generator"]
    kinds = {name.rsplit(".", 2)[0] for name, _ in checkpoint._weights(state)}
    assert "ema.generator" in {kind[:13] for kind in kinds}
    assert not any(kind.startswith(("ema.discriminator", "ema.controls")) for kind in kinds)
    with pytest.raises(ValueError, match=r"ema=\['critic'\] names no network"):
        init_state({"n": torch.nn.Identity()}, {}, ema=["critic"])


def test_networks_need_no_parameters(tmp_path):
    """A module of buffers is averaged by a copy, saved and restored; an empty one is let be."""
    network, buffers = torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1, affine=False)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    networks = {"n": network, "b": buffers, "e": torch.nn.Identity()}

    def step(batch, context):
        return {"loss": context.optimizer_step(network(buffers(batch)).mean(), optimizer)}

    def train(steps):
        return training.train(
            init_state(networks, {"n": optimizer}),
            step,
            torch.arange(4.0)[:, None].__getitem__,
            4,
            TrainConfig(steps=steps, batch_size=4),
            tmp_path,
            accelerator=accelerate.Accelerator(cpu=True),
        )

    state = train(2)
    mean = float(buffers.running_mean)
    assert mean == pytest.approx(1.5 * (1 - 0.9**2))
    assert float(state.ema["b"].running_mean) == mean
    buffers.reset_running_stats()
    train(2)
    assert float(buffers.running_mean) == mean


def test_lazy_losses_have_empty_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_log.Throughput, "EVERY", 0)
    toy.run("game", tmp_path, steps=6)
    rows = table(tmp_path)
    assert [row["r1"] != "" for row in rows] == [True, False, False, False, True, False]
    assert all(row["critic"] and row["fooled"] for row in rows)


def test_metrics_are_means_over_the_steps_since_the_last_row(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_log.Throughput, "EVERY", 1000)
    losses = []

    def wrap(step):
        def stepped(batch, context):
            values = step(batch, context)
            losses.append({name: float(value.detach()) for name, value in values.items()})
            return values

        return stepped

    toy.run(
        "game", tmp_path, steps=14, save_every=7, wrap=wrap, hooks={"judge": None, "best": None}
    )
    first = 0
    for row in table(tmp_path):
        last = int(row["step"])
        for name in ("r1", "critic", "fooled"):
            values = [loss[name] for loss in losses[first:last] if name in loss]
            if values:
                assert float(row[name]) == pytest.approx(sum(values) / len(values), rel=1e-6)
            else:
                assert row[name] == ""
        first = last
    assert first == 14


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_loss_that_is_not_finite_is_seen_in_any_step(tmp_path, monkeypatch, value):
    monkeypatch.setattr(metrics_log.Throughput, "EVERY", 1000)

    def wrap(step):
        def stepped(batch, context):
            losses = step(batch, context)
            return losses if context.index != 3 else {**losses, "fooled": value}

        return stepped

    with pytest.raises(FloatingPointError, match="fooled is"):
        toy.run("game", tmp_path, steps=6, save_every=6, wrap=wrap)


def test_batches_of_a_step_follow_each_other(tmp_path):
    config = TrainConfig(steps=4, batch_size=8)
    for step in range(4):
        pair = [batch_indices(20, config, 2 * step + i) for i in range(2)]
        assert torch.equal(batch_indices(20, config, step, 2), torch.cat(pair))
    fetched = []
    state, step, examples = toy.game(config)

    def batch(indices):
        fetched.append(indices)
        return examples[indices]

    accelerator = accelerate.Accelerator(cpu=True)
    training.train(state, step, batch, 20, config, tmp_path, accelerator=accelerator, batches=2)
    assert torch.equal(
        torch.cat(fetched), torch.cat([batch_indices(20, config, i, 2) for i in range(4)])
    )
    with pytest.raises(ValueError, match=r"batches=None was given, and .* batches=2"):
        training.train(state, step, batch, 20, config, tmp_path, accelerator=accelerator)


def test_infinite_clip_shortens_no_gradient(context):
    weight = torch.nn.Parameter(torch.zeros(3))
    loss = (weight * torch.tensor([1e6, -1e20, 1e-20])).sum()
    value = context.optimizer_step(loss, sgd(weight))
    torch.testing.assert_close(
        weight.detach(), torch.tensor([-1e5, 1e19, -1e-21]), atol=0, rtol=1e-6
    )
    assert not value.requires_grad


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
def test_accumulated_gradients_are_those_of_the_whole_batch(context, parts):
    x = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]

    def loss(rows, weight):
        return (rows @ weight).sigmoid().square().mean()

    one, other = (sgd(weight) for weight in weights)
    whole = context.optimizer_step(loss(x, weights[0]), one)
    mean = context.optimizer_step((loss(rows, weights[1]) for rows in x.chunk(parts)), other)
    assert float(mean) == pytest.approx(float(whole), rel=1e-14)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-14, atol=0)
    assert not torch.equal(weights[0], torch.ones_like(weights[0]))


def test_scheduled_settings_may_change(tmp_path):
    def make(betas):
        return lambda weights, rate: torch.optim.Adam(weights, rate, betas=betas)

    toy.run("game", tmp_path, steps=2, make=make((0.0, 0.9)))
    state = toy.run("game", tmp_path, steps=3, make=make((0.5, 0.8)))
    assert state.optimizers["generator"].param_groups[0]["betas"] == (0.5, 0.8)


def test_accumulation_divides_the_batch():
    with pytest.raises(ValueError, match="batch_size=8 must be a multiple of accumulation=3"):
        TrainConfig(steps=1, batch_size=8, accumulation=3)

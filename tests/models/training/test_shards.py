"""Shards: what they compute in one process, and what they refuse. See also `test_resuming.py`."""

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
    checkpoint,
    init_state,
    parallel,
    shards,
)
from unsup_fast.storage import tensors as files  # noqa: E402

toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_training.py"))))


@pytest.fixture(scope="module")
def accelerator():
    return accelerate.Accelerator(cpu=True)


def config(**options):
    return TrainConfig(
        **{"steps": 1, "warmup": 0, "batch_size": 16, "shards": 8, "clip": math.inf, **options}
    )


def added(vectors):
    """Return the sum by halves, as the tree is defined."""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    return added(vectors[:half]) + added(vectors[half:])


@pytest.mark.parametrize("n_shards", [1, 2, 8, 16])
def test_means_are_those_of_the_tree(accelerator, n_shards):
    vectors = torch.randn(n_shards, 37, generator=torch.Generator().manual_seed(0))
    expected = added(list(vectors)) / n_shards
    mean = shards.mean((vector.clone() for vector in vectors), n_shards, accelerator)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0)
    torch.testing.assert_close(mean.double(), vectors.double().mean(0), rtol=0, atol=1e-6)
    if n_shards >= 8:  # another order has other bits
        assert not torch.equal(mean, sum(vectors[1:], vectors[0]) / n_shards)


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_add_what_one_adds(monkeypatch, processes):
    """The messages of several processes, exchanged within this one."""
    vectors = torch.randn(8, 37, generator=torch.Generator().manual_seed(0))
    own = [added(list(some)) for some in vectors.chunk(processes)]
    width = -(-37 // processes)
    padded = [torch.nn.functional.pad(each, (0, width * processes - 37)) for each in own]

    def exchange(received, sent):
        rank = next(i for i, each in enumerate(padded) if torch.equal(each, sent))
        received.copy_(torch.cat([each.view(processes, width)[rank] for each in padded]))

    def gather(whole, part):
        columns = [each.view(processes, width) for each in padded]
        whole.copy_(torch.cat([added([each[i] for each in columns]) for i in range(processes)]))
        assert any(torch.equal(part, row) for row in whole.view(processes, width))

    monkeypatch.setattr(torch.distributed, "all_to_all_single", exchange)
    monkeypatch.setattr(torch.distributed, "all_gather_into_tensor", gather)
    for some in vectors.chunk(processes):
        mean = shards.mean(
            (each.clone() for each in some), 8, SimpleNamespace(num_processes=processes)
        )
        torch.testing.assert_close(mean, added(list(vectors)) / 8, rtol=0, atol=0)


def test_the_gradient_is_that_of_the_batch(accelerator):
    batch = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    idle = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight, idle], 0.1)
    init_state({}, {"sgd": optimizer})
    context = StepContext(accelerator, config(learning_rate=0.1))
    losses = ((batch[i] @ weight).square().mean() for i in context.parts(16))
    loss = context.optimizer_step(losses, optimizer)
    outputs = batch.sum(1)  # [16], of weights of one
    gradient = 2 * (outputs[:, None] * batch).mean(0)
    torch.testing.assert_close(weight.detach(), 1 - 0.1 * gradient)
    torch.testing.assert_close(loss, outputs.square().mean())
    assert idle.tolist() == [1, 1]


@pytest.mark.parametrize("n_shards", [0, 8])
def test_numbers_to_log_are_means_of_parts(accelerator, n_shards):
    context = StepContext(accelerator, config(shards=n_shards, accumulation=1 if n_shards else 4))
    assert len(context.parts(16)) == (n_shards or 4)
    values = torch.arange(16.0)
    mean = context.mean(values[i].mean() for i in context.parts(16))
    assert float(mean) == 7.5


def test_each_shard_draws_from_a_seed_of_its_own(accelerator):
    def draws(index, **options):
        context = StepContext(accelerator, config(**options))
        context.begin(index)
        drawn = []
        for _ in range(2):  # two networks
            drawn += list(context._seeded(torch.rand(()) for _ in range(8)))
        return torch.stack(drawn).tolist()

    assert draws(3) == draws(3)
    assert len({*draws(3), *draws(4), *draws(3, seed=1)}) == 3 * 16


def test_options_that_do_not_fit():
    for options, message in (
        ({"shards": 6}, r"shards=6 must be a power of two such as 8, or 0"),
        ({"shards": -2}, r"shards=-2 must be a power of two"),
        ({"batch_size": 12}, r"batch_size=12 must be a multiple of shards=8"),
        ({"accumulation": 2}, r"accumulation=2 and shards=8 exclude each other"),
    ):
        with pytest.raises(ValueError, match=message):
            config(**options)


def test_processes_that_do_not_divide_the_shards():
    three = SimpleNamespace(num_processes=3, mixed_precision="no", distributed_type="MULTI_CPU")
    with pytest.raises(ValueError, match="shards=8 must be a multiple of the 3 processes"):
        parallel.check(20, config(batch_size=24), three)


@pytest.mark.parametrize("kind", ["plain", "gan"])
def test_steps_of_one_loss_are_refused(tmp_path, kind):
    with pytest.raises(ValueError, match="shards=8 needs an iterator, such as a generator"):
        toy.run(kind, tmp_path, steps=1, shards=8)


@pytest.mark.parametrize(("n", "message"), [(7, "there are 7 losses"), (9, "more than 8 losses")])
def test_there_is_a_loss_for_each_shard(accelerator, n, message):
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], 0.1)
    init_state({}, {"sgd": optimizer})
    with pytest.raises(ValueError, match=message):
        StepContext(accelerator, config()).optimizer_step((weight**2 for _ in range(n)), optimizer)


def test_a_list_of_losses_is_refused(accelerator):
    """It was computed before the seeds of the shards were set."""
    with pytest.raises(ValueError, match="got list"):
        StepContext(accelerator, config()).mean([torch.ones(())] * 8)


class Counting(torch.nn.Linear):
    """A layer that counts its calls from the fourth one on."""

    def __init__(self):
        super().__init__(3, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.all = 0

    def forward(self, x):
        self.all += 1
        self.calls += self.all >= 4
        return super().forward(x)


@pytest.mark.parametrize(
    ("layer", "name"),
    [(torch.nn.BatchNorm1d(3), "n.num_batches_tracked"), (Counting(), "n.calls")],
)
def test_networks_that_change_their_buffers_are_refused(tmp_path, layer, name):
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)

    def step(batch, context):
        losses = (layer(batch[i]).square().mean() for i in context.parts(len(batch)))
        return {"loss": context.optimizer_step(losses, optimizer)}

    def train(**options):
        return training.train(
            init_state({"n": layer}, {"n": optimizer}),
            step,
            toy.rows(16, 3).__getitem__,
            16,
            config(steps=4, **options),
            tmp_path,
            accelerator=accelerate.Accelerator(cpu=True),
        )

    with pytest.raises(ValueError, match=f"a step changes the buffer '{name}'"):
        train(shards=2)
    assert not (tmp_path / checkpoint.FILE).exists()
    train(shards=0)


def test_shards_are_part_of_a_run(tmp_path):
    """They must stay; a checkpoint without them is that of a version before they existed."""
    toy.run("parted", tmp_path, steps=2, batch_size=16)
    assert (
        "shards" not in files.read_note(tmp_path / checkpoint.FILE, kind=checkpoint.KIND)["facts"]
    )
    with pytest.raises(ValueError, match="shards=8 was given"):
        toy.run("parted", tmp_path, steps=3, batch_size=16, shards=8)

"""The training loop: batches, steps, metrics, samples, checkpoints and its end."""

import contextvars
import csv
import math
import os
import runpy
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from unsup_fast.models import training  # noqa: E402
from unsup_fast.models.training import (  # noqa: E402  # noqa: E402
    TrainConfig,
    batch_indices,
    checkpoint,
    fold_in,
    init_state,
    metrics_log,
    process,
)

toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_training.py"))))


@pytest.fixture(autouse=True)
def each_step_has_a_row(monkeypatch):
    monkeypatch.setattr(metrics_log.Throughput, "EVERY", 0)


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that only moves when it is set."""
    stopped = SimpleNamespace(now=0.0, monotonic=lambda: stopped.now)
    monkeypatch.setattr(metrics_log, "time", stopped)
    return stopped


def table(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def weights(state):
    tensors = dict(checkpoint._weights(state))
    for name, optimizer in state.optimizers.items():
        tensors |= {f"{name}.{key}": torch.as_tensor(v) for key, v in checkpoint._memory(optimizer)}
    return {name: value.clone() for name, value in tensors.items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0, msg=name)


def at(index, act):
    """Return a `wrap` that acts before a step."""

    def wrap(step):
        def stepped(batch, context):
            if context.index == index:
                act()
            return step(batch, context)

        return stepped

    return wrap


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def grouped(weights, rate):
    weights = list(weights)
    groups = [{"params": weights[:2], "lr": 3 * rate, "weight_decay": 0.1}, {"params": weights[2:]}]
    return torch.optim.AdamW(groups, rate)


OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "fused": lambda weights, rate: torch.optim.AdamW(weights, rate, fused=True),
    "amsgrad": lambda weights, rate: torch.optim.Adam(weights, rate, amsgrad=True),
    "single": lambda weights, rate: torch.optim.Adam(weights, rate, foreach=False),
    "sgd": torch.optim.SGD,
    "momentum": lambda weights, rate: torch.optim.SGD(weights, rate, momentum=0.9, nesterov=True),
    "rmsprop": torch.optim.RMSprop,
    "groups": grouped,
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_extended_run_equals_the_longer_run(tmp_path, make):
    whole = toy.run("plain", tmp_path / "whole", make=make, steps=9)
    toy.run("plain", tmp_path / "parts", make=make, steps=4)
    parts = toy.run("plain", tmp_path / "parts", make=make, steps=9, save_every=2, sample_every=3)
    same(weights(parts), weights(whole))
    assert [row["loss"] for row in table(tmp_path / "parts")] == [
        row["loss"] for row in table(tmp_path / "whole")
    ]


@pytest.mark.parametrize("kind", ["plain", "gan"])
def test_bfloat16_resumes_bit_for_bit(tmp_path, kind):
    def wrap(step):
        def stepped(batch, context):
            with torch.autocast("cpu", torch.bfloat16):
                return step(batch, context)

        return stepped

    whole = toy.run(kind, tmp_path / "whole", wrap=wrap, steps=6)
    toy.run(kind, tmp_path / "parts", wrap=wrap, steps=3)
    same(weights(toy.run(kind, tmp_path / "parts", wrap=wrap, steps=6)), weights(whole))


def test_seed_decides(tmp_path):
    one, again, other = (
        weights(toy.run("plain", tmp_path / str(i), steps=3, seed=seed))
        for i, seed in enumerate([0, 0, 1])
    )
    same(one, again)
    assert not torch.equal(one["network.network.0.weight"], other["network.network.0.weight"])


def test_optimizer_states_keep_the_strides_of_weights(tmp_path):
    make = OPTIMIZERS["fused"]
    toy.run("plain", tmp_path, make=make, steps=2)
    state = toy.run("plain", tmp_path, make=make, steps=2)
    for weight, memory in state.optimizers["network"].state.items():
        assert memory["exp_avg"].stride() == weight.stride()


def test_gradients_of_an_optimizer_are_its_own(tmp_path):
    """The generator's loss adds nothing to the discriminator's next gradient."""

    def wrap(step):
        def stepped(batch, context):
            losses = step(batch, context)
            assert all(weight.grad is None for weight in discriminator.parameters())
            return losses

        return stepped

    options = TrainConfig(steps=2, batch_size=8)
    state, step, examples = toy.gan(options)
    discriminator = state.networks["discriminator"]
    training.train(
        state,
        wrap(step),
        examples.__getitem__,
        len(examples),
        options,
        tmp_path,
        accelerator=accelerate.Accelerator(cpu=True),
    )


def test_a_plain_loop_gives_the_same(tmp_path):
    """One network, by hand: warm-up, decay, clipping, averaging."""
    options = TrainConfig(
        steps=9, batch_size=8, warmup=3, decay=4, clip=0.05, ema=0.8, learning_rate=0.1, seed=5
    )
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    network = torch.nn.Linear(3, 2)
    expected, average = network.weight.detach().clone(), network.weight.detach().clone()
    for i in range(9):
        picked = rows[batch_indices(20, options, i)]
        weight = expected.clone().requires_grad_()
        (picked @ weight.T).sub(1).square().mean().backward()
        gradient = weight.grad * min(1, 0.05 / (float(weight.grad.norm()) + 1e-6))
        expected = expected - 0.1 * min((i + 1) / 3, 1, (9 - i) / 4) * gradient
        decay = min(0.8, (i + 1) / (i + 10))
        average = decay * average + (1 - decay) * expected
    network.bias = None
    optimizer = torch.optim.SGD(network.parameters(), options.learning_rate)

    def step(batch, context):
        loss = network(batch).sub(1).square().mean()
        context.optimizer_step(loss, optimizer)
        return {"loss": loss}

    state = training.train(
        init_state({"n": network}, {"o": optimizer}),
        step,
        rows.__getitem__,
        20,
        options,
        tmp_path,
        accelerator=accelerate.Accelerator(cpu=True),
    )
    torch.testing.assert_close(network.weight.detach(), expected)
    torch.testing.assert_close(state.ema["n"].weight, average)


def test_each_optimizer_has_its_own_rate(tmp_path):
    rates = []

    def wrap(step):
        def stepped(batch, context):
            losses = step(batch, context)
            groups = (o.param_groups[0] for o in state.optimizers.values())
            rates.append([group["lr"] for group in groups])
            return losses

        return stepped

    options = TrainConfig(steps=6, batch_size=8, warmup=2, decay=3, learning_rate=0.01)
    state, step, examples = toy.gan(options)
    training.train(
        state,
        wrap(step),
        examples.__getitem__,
        len(examples),
        options,
        tmp_path,
        accelerator=accelerate.Accelerator(cpu=True),
    )
    shares = np.array([1 / 2, 1, 1, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(rates, shares[:, None] * [0.01, 0.04])


@given(
    n=st.integers(1, 50),
    batch_size=st.integers(1, 70),
    seed=st.integers(0, 5),
    steps=st.integers(1, 12),
)
def test_epochs_are_permutations(n, batch_size, seed, steps):
    options = TrainConfig(steps=steps, batch_size=batch_size, seed=seed)
    drawn = torch.cat([batch_indices(n, options, i) for i in range(steps)])
    assert len(drawn) == steps * batch_size
    for epoch in drawn.split(n):
        assert len(epoch.unique()) == len(epoch)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < n


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_rates_rise_and_fall(steps, warmup, decay):
    options = TrainConfig(steps=steps, warmup=warmup, decay=min(decay, steps))
    rates = [options.rate(i) for i in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    turns = np.sign(np.diff(rates))
    assert (np.diff(turns[turns != 0]) <= 0).all()
    decays = [options.averaging(i) for i in range(steps)]
    assert decays == sorted(decays)
    assert decays[-1] <= options.ema


def test_numbers_are_distinct():
    numbers = {
        fold_in(purpose, seed, i) for purpose in ("a", "b") for seed in (0, 1) for i in range(50)
    }
    assert len(numbers) == 200
    assert all(0 <= value < 2**63 for value in numbers)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_resumes(tmp_path, which):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    whole = toy.run("plain", tmp_path / "whole", steps=9)
    with pytest.raises(KeyboardInterrupt):
        toy.run("plain", tmp_path / "run", steps=9, wrap=at(3, lambda: os.kill(os.getpid(), which)))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    state = toy.run("plain", tmp_path / "run", steps=9, wrap=at(3, pytest.fail))
    same(weights(state), weights(whole))


def test_progress_may_end_it(tmp_path):
    hooks = {"progress": lambda state, *_: state.step >= 2}
    ended = toy.run("plain", tmp_path / "a", steps=9, save_every=9, hooks=hooks)
    assert ended.step < 9
    assert (tmp_path / "a/checkpoint.safetensors").exists()
    resumed = toy.run("plain", tmp_path / "a", steps=9, save_every=9)
    whole = toy.run("plain", tmp_path / "b", steps=9, save_every=9)
    same(weights(resumed), weights(whole))


def test_a_folder_is_held_within_and_against_others(tmp_path):
    def held():
        with process.alone(tmp_path):
            return True

    with process.alone(tmp_path):
        assert held()
        with pytest.raises(BlockingIOError, match="another run writes here"):
            contextvars.Context().run(held)
    assert contextvars.Context().run(held)


def test_second_interrupt_ends_at_once(tmp_path):
    def twice():
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        toy.run("plain", tmp_path, steps=9, wrap=at(6, twice))
    state = toy.run("plain", tmp_path, steps=5)
    assert state.step == 5


def test_a_process_that_ignores_ctrl_c_still_ignores_it(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert toy.run("plain", tmp_path, steps=3, wrap=at(1, interrupt)).step == 3
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_train(tmp_path):
    states = []
    thread = threading.Thread(target=lambda: states.append(toy.run("plain", tmp_path, steps=3)))
    thread.start()
    thread.join()
    assert states[0].step == 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_diverged_loss_ends_training(tmp_path, value, monkeypatch):
    monkeypatch.setattr(metrics_log.Throughput, "EVERY", 1000)  # losses are checked before saving

    def wrap(step):
        def stepped(batch, context):
            losses = step(batch, context)
            return losses if context.index < 6 else {"loss": losses["loss"] * value}

        return stepped

    with pytest.raises(FloatingPointError, match=r"loss is \w+ at step \d+.*lower learning_rate"):
        toy.run("plain", tmp_path, steps=12, wrap=wrap)
    assert toy.run("plain", tmp_path, steps=5).step == 5


def test_diverged_weights_are_not_saved(tmp_path):
    """The loss of the step that breaks the weights is still finite."""

    def wrap(step):
        def stepped(batch, context):
            losses = step(batch, context)
            if context.index == 9:
                broken.append(context)
                weight = state.networks["network"][0].weight
                weight.data[0, 0, 0, 0] = math.nan
            return losses

        return stepped

    broken = []
    options = TrainConfig(steps=12, batch_size=8, save_every=5)
    state, step, examples = toy.plain(options)
    with pytest.raises(FloatingPointError, match="a weight of 'network' is not finite at step 10"):
        training.train(
            state,
            wrap(step),
            examples.__getitem__,
            len(examples),
            options,
            tmp_path,
            accelerator=accelerate.Accelerator(cpu=True),
        )
    assert broken
    assert toy.run("plain", tmp_path, steps=5, warmup=200).step == 5


def test_rows_past_the_checkpoint_are_dropped(tmp_path):
    toy.run("plain", tmp_path, steps=4)
    path = tmp_path / "metrics.csv"
    whole = path.read_text()
    path.write_text(whole + "5,1.0,0.5,3.0\n6,1.0,0.5,3.0\n")
    toy.run("plain", tmp_path, steps=4)
    assert path.read_text() == whole


@pytest.mark.parametrize("tail", ["2", "2,0.1,0.4,3", "\0\0\0\n", "x,1,2,3\n", "3,1\n", "\xff\n"])
def test_damaged_rows_are_dropped(tmp_path, tail):
    toy.run("plain", tmp_path, steps=4)
    path = tmp_path / "metrics.csv"
    whole = path.read_text()
    path.write_text(whole + tail, encoding="latin-1")
    toy.run("plain", tmp_path, steps=4)
    assert path.read_text() == whole


def test_changed_metrics_are_refused(tmp_path):
    toy.run("plain", tmp_path, steps=4)
    path = tmp_path / "metrics.csv"
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"metrics\.csv is damaged or was changed by hand"):
            toy.run("plain", tmp_path, steps=6)
        assert path.read_bytes() == changed
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="restore it, or remove it to begin new metrics"):
        toy.run("plain", tmp_path, steps=6)
    path.write_bytes(whole)
    toy.run("plain", tmp_path, steps=6)
    assert [row["step"] for row in table(tmp_path)] == ["1", "2", "3", "4", "5", "6"]


def test_metrics_are_on_the_disk_before_the_checkpoint_that_counts_them(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def sync(number):
        synced.append(os.fstat(number).st_ino)
        fsync(number)

    monkeypatch.setattr(os, "fsync", sync)
    toy.run("plain", tmp_path, steps=4)
    rows = synced.index((tmp_path / "metrics.csv").stat().st_ino, 1)
    assert rows < len(synced) - 1 - synced[::-1].index((tmp_path / checkpoint.FILE).stat().st_ino)


def test_lost_metrics_begin_anew(tmp_path):
    toy.run("plain", tmp_path, steps=4)
    (tmp_path / "metrics.csv").unlink()
    toy.run("plain", tmp_path, steps=6)
    assert [row["step"] for row in table(tmp_path)] == ["5", "6"]


def test_losses_keep_their_names(tmp_path):
    def wrap(step):
        return lambda batch, context: {
            **step(batch, context),
            **({"more": 1.0} if context.index else {}),
        }

    with pytest.raises(ValueError, match=r"gave the losses \['loss', 'more'\]"):
        toy.run("plain", tmp_path, steps=4, wrap=wrap)


def test_hooks_are_called_in_time(tmp_path):
    called = []
    hooks = {
        "on_sample": lambda state: called.append(("show", state.step)),
        "on_checkpoint": lambda state: called.append(
            ("keep", state.step, (tmp_path / checkpoint.FILE).exists())
        ),
        "progress": lambda state, losses, rate: called.append(("look", state.step, *losses)),
    }
    toy.run("plain", tmp_path, steps=5, save_every=3, sample_every=2, hooks=hooks)
    assert called == [
        ("look", 1, "loss"),
        ("look", 2, "loss"),
        ("show", 2),
        ("look", 3, "loss"),
        ("keep", 3, False),
        ("look", 4, "loss"),
        ("show", 4),
        ("look", 5, "loss"),
        ("show", 5),
        ("keep", 5, True),
    ]
    called.clear()
    toy.run("plain", tmp_path, steps=5, save_every=3, sample_every=2, hooks=hooks)
    assert not called


def test_a_failing_picture_does_not_end_training(tmp_path):
    def show(state):
        raise OSError("no space for it")

    with pytest.warns(RuntimeWarning, match="showing step 2 failed, and training goes on: OSErr"):
        state = toy.run("plain", tmp_path, steps=2, hooks={"on_sample": show})
    assert state.step == 2


def test_pictures_do_not_change_training(tmp_path):
    def show(state):
        torch.manual_seed(0)
        for network in state.networks.values():
            network.eval()
            network(torch.randn(2, 3, 4, 4))

    whole = toy.run("plain", tmp_path / "one", steps=6)
    shown = toy.run("plain", tmp_path / "two", steps=6, sample_every=2, hooks={"on_sample": show})
    same(weights(shown), weights(whole))
    assert not any(module.training for module in shown.ema["network"].modules())


def test_only_steps_count_as_seconds(tmp_path, clock):
    def wrap(step):
        def stepped(batch, context):
            clock.now += 2.0
            return step(batch, context)

        return stepped

    def wait(*_):
        clock.now += 100.0

    rates = []
    hooks = {
        "on_sample": wait,
        "on_checkpoint": wait,
        "progress": lambda state, losses, rate: (rates.append(rate), wait()),
    }
    options = {"save_every": 2, "sample_every": 3}
    toy.run("plain", tmp_path, steps=4, wrap=wrap, hooks=hooks, **options)
    state = toy.run("plain", tmp_path, steps=6, wrap=wrap, hooks=hooks, **options)
    assert state.seconds == 12
    assert [float(row["seconds"]) for row in table(tmp_path)] == [2, 4, 6, 8, 10, 12]
    assert rates == [4.0] * 6
    assert metrics_log.seconds_left(10, 8, 4.0) == 20


def test_losses_are_read_twice_a_second(tmp_path, clock, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(metrics_log, "time", clock)

    def wrap(step):
        def stepped(batch, context):
            clock.now += 0.01 if context.index else 5.0  # the first step compiles
            return step(batch, context)

        return stepped

    looks = []
    hooks = {"progress": lambda state, losses, rate: looks.append(state.step)}
    toy.run("gan", tmp_path, steps=250, save_every=1000, wrap=wrap, hooks=hooks)
    assert looks == [1, 2, 4, 8, 16, 32, 64, 114, 164, 214, 250]


def test_callers_random_numbers_are_left_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    options = TrainConfig(steps=3, batch_size=8)
    state, step, examples = toy.gan(options)
    torch.manual_seed(7)
    training.train(
        state,
        step,
        examples.__getitem__,
        len(examples),
        options,
        tmp_path,
        accelerator=accelerate.Accelerator(cpu=True),
    )
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 0, "steps=0 must be at least 1"),
        ("steps", 2.5, "steps=2.5 must be a whole number"),
        ("batch_size", -1, "batch_size=-1 must be at least 1"),
        ("save_every", 0, "save_every=0 must be at least 1"),
        ("sample_every", 0, "sample_every=0 must be at least 1"),
        ("warmup", -1, "warmup=-1 must be at least 0"),
        ("decay", 11, "decay=11 must be from 0, which is none, to steps=10"),
        ("decay", -1, "decay=-1 must be from 0"),
        ("learning_rate", 0, "learning_rate=0.0 must be above 0 and finite"),
        ("learning_rate", math.nan, "learning_rate=nan must be above 0"),
        ("learning_rate", math.inf, "learning_rate=inf must be above 0"),
        ("learning_rate", "fast", "learning_rate='fast' must be a number"),
        ("clip", 0, "clip=0.0 must be above 0; pass inf"),
        ("clip", math.nan, "clip=nan must be above 0"),
        ("ema", 1, "ema=1.0 must be at least 0"),
        ("ema", math.nan, "ema=nan must be"),
        ("seed", None, "seed=None must be a whole number"),
    ],
)
def test_options_are_checked(name, value, message):
    with pytest.raises(ValueError, match=message):
        replace(TrainConfig(steps=10), **{name: value})


def test_options_become_plain_numbers():
    options = TrainConfig(steps=np.int64(3), learning_rate=np.float32(0.5), clip=math.inf)
    assert type(options.steps) is int
    assert type(options.learning_rate) is float


def accelerator(**more):
    plain = {
        "num_processes": 1,
        "process_index": 0,
        "is_main_process": True,
        "mixed_precision": "no",
        "distributed_type": "NO",
        "gradient_accumulation_steps": 1,
    }
    return SimpleNamespace(**{**plain, **more})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mixed_precision": "fp16"}, "mixed_precision='fp16' would need scaled losses"),
        ({"num_processes": 3}, "batch_size=8 must be a multiple of the 3 processes"),
        ({"distributed_type": "FSDP"}, "processes of the kind FSDP share networks"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps=2 is not 1"),
    ],
)
def test_accelerators_are_checked(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        toy.run("plain", tmp_path / "run", steps=2, accelerator=accelerator(**more))
    assert not (tmp_path / "run").exists()


def test_no_examples(tmp_path):
    options = TrainConfig(steps=2)
    state, step, examples = toy.plain(options)
    with pytest.raises(ValueError, match="n=0 examples; training needs at least 1"):
        training.train(
            state, step, examples.__getitem__, 0, options, tmp_path, accelerator=accelerator()
        )


@pytest.mark.parametrize("name", ["a.b", "", "1st"])
def test_names_are_plain_words(name):
    with pytest.raises(ValueError, match="names a network or optimizer"):
        init_state({name: torch.nn.Linear(1, 1)}, {})


def test_two_runs_in_a_folder(tmp_path):
    def second():
        with pytest.raises(BlockingIOError, match="another run writes here"):
            contextvars.Context().run(toy.run, "plain", tmp_path, steps=2)

    assert toy.run("plain", tmp_path, steps=2, wrap=at(1, second)).step == 2


def test_drafts_of_killed_runs_are_removed(tmp_path):
    for name in (f".{checkpoint.FILE}.0123abcd.tmp", ".model.safetensors.ffffffff.tmp"):
        (tmp_path / name).write_bytes(b"half")
    notes = tmp_path / ".notes.tmp"
    notes.write_text("mine")
    toy.run("plain", tmp_path, steps=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".notes.tmp",
        checkpoint.FILE,
        "metrics.csv",
    ]


def test_folder_is_created(tmp_path):
    toy.run("plain", tmp_path / "a" / "b", steps=1)
    assert (tmp_path / "a" / "b" / checkpoint.FILE).exists()


def test_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="cannot make the folder of a run"):
            toy.run("plain", folder, steps=1)


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(OSError, match="cannot save the metrics"):
        toy.run("plain", tmp_path, steps=1)

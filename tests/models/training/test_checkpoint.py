"""Checkpoints: no loss, no partial writes, no damaged reads."""

import errno
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
safetensors_torch = pytest.importorskip("safetensors.torch")

from unsup_fast.models import training  # noqa: E402
from unsup_fast.models.training import checkpoint  # noqa: E402
from unsup_fast.storage import records  # noqa: E402
from unsup_fast.storage import tensors as files  # noqa: E402
from unsup_fast.storage.records import DamagedError  # noqa: E402

toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_training.py"))))


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Return the bytes of a checkpoint after two steps."""
    folder = tmp_path_factory.mktemp("run")
    toy.run("gan", folder, steps=2)
    return (folder / checkpoint.FILE).read_bytes()


@pytest.fixture
def path(tmp_path, content):
    file = tmp_path / checkpoint.FILE
    file.write_bytes(content)
    return file


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_any_changed_byte_is_seen(path, content, position, change):
    changed = bytearray(content)
    changed[int(position * len(content))] ^= change
    path.write_bytes(changed)
    refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_any_missing_end_is_seen(path, content, share):
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def refused(path):
    with pytest.raises(DamagedError, match=r"cannot load .*checkpoint\.safetensors") as caught:
        files.read(path, kind=checkpoint.KIND, torch=True)
    assert "\n" not in str(caught.value)


def foreign(path):
    yield lambda: path.write_text("step 3")
    yield lambda: torch.save({"step": 3}, path)
    yield lambda: safetensors_torch.save_file({"x": torch.ones(3)}, path)
    yield lambda: safetensors_torch.save_file({"x": torch.ones(3)}, path, {"unsup_fast": "{}"})
    yield lambda: files.write(path, {}, {}, kind="weights", what="the file")
    yield lambda: files.write(path, {}, {}, kind=checkpoint.KIND, what="the file")


@pytest.mark.parametrize("which", range(6))
def test_foreign_files_are_refused(tmp_path, which):
    path = tmp_path / checkpoint.FILE
    list(foreign(path))[which]()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is not a checkpoint of unsup-fast, or is damaged"):
        toy.run("gan", tmp_path, steps=3)
    assert path.read_bytes() == before


def test_other_formats_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(records, "VERSION", 9)
        files.write(tmp_path / checkpoint.FILE, {}, {}, kind=checkpoint.KIND, what="the file")
    with pytest.raises(
        ValueError, match="has format version 9, and this unsup_fast reads version 1"
    ):
        toy.run("gan", tmp_path, steps=3)


def test_a_folder_instead_of_the_file(tmp_path):
    (tmp_path / checkpoint.FILE).mkdir()
    with pytest.raises(OSError, match=checkpoint.FILE):
        toy.run("gan", tmp_path, steps=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"learning_rate": 0.5},
            r"learning_rate=0.5 was given, and .* learning_rate=0.001; resume",
        ),
        ({"seed": 1, "ema": 0.5}, r"ema=0.5, seed=1 was given, and .* ema=0.999, seed=0"),
        ({"batch_size": 4}, "batch_size=4 was given"),
        ({"warmup": 0}, "warmup=0 was given"),
        ({"decay": 2}, "decay=2 was given"),
        ({"steps": 1}, "steps=1, and .* has done 2; pass at least as many"),
        ({"hooks": {"fingerprint": {"size": "small"}}}, "size='small' was given, and .* size=None"),
        ({"kind": "plain"}, r"is of other networks \('network.\w+.0.weight' does not fit\)"),
    ],
)
def test_other_runs_are_refused_by_name(path, content, options, message):
    with pytest.raises(ValueError, match=message):
        toy.run(**{"kind": "gan", "folder": path.parent, "steps": 3, **options})
    assert path.read_bytes() == content


def test_what_must_be_the_same(tmp_path):
    hooks = {"fingerprint": {"shape": (1, 2), "size": "small"}}
    toy.run("gan", tmp_path, steps=1, hooks=hooks)
    assert toy.run("gan", tmp_path, steps=2, hooks=hooks).step == 2


def test_other_examples_are_refused(path):
    options = training.TrainConfig(steps=3, batch_size=8, warmup=3, save_every=5)
    state, _, _ = toy.gan(options)
    facts = {**vars(options), "examples": 7}
    with pytest.raises(ValueError, match=r"examples=7, .* was given, and .* examples=20"):
        checkpoint.restore(path.parent, state, facts)


CHANGES = {
    r"betas=\[0.8, 0.9\], and .* \[0.9, 0.999\]": {"betas": (0.8, 0.9)},
    r"weight_decay=0.5, and .* 0.01": {"weight_decay": 0.5},
    r"initial_lr=0.5, and .* 0.001": {"lr": 0.5},
    r"optimizer 'network' is Adam with 1 groups, and .* AdamW with 1": {"kind": torch.optim.Adam},
}


@pytest.mark.parametrize("message", CHANGES)
def test_other_optimizers_are_refused_by_name(tmp_path, message):
    def changed(weights, rate):
        options = dict(CHANGES[message])
        kind = options.pop("kind", torch.optim.AdamW)
        return kind(weights, **{"lr": rate, **options})

    toy.run("plain", tmp_path, make=torch.optim.AdamW, steps=1)
    with pytest.raises(ValueError, match=message):
        toy.run("plain", tmp_path, make=changed, steps=2)


def test_another_implementation_of_an_optimizer_may_resume(tmp_path):
    toy.run("plain", tmp_path, make=torch.optim.AdamW, steps=1)
    for more in ({"fused": True}, {"foreach": False}, {"foreach": True}):
        state = toy.run(
            "plain", tmp_path, make=lambda w, rate, m=more: torch.optim.AdamW(w, rate, **m), steps=2
        )
        assert state.optimizers["network"].param_groups[0][next(iter(more))] is more.popitem()[1]


def test_numbers_of_optimizers_come_back(tmp_path):
    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for weight in self.param_groups[0]["params"]:
                entries = self.state[weight]
                entries |= {
                    "count": entries.get("count", 0) + 1,
                    "share": 0.1,
                    "none": None,
                    "on": True,
                }

    toy.run("plain", tmp_path, make=Counting, steps=2)
    state = toy.run("plain", tmp_path, make=Counting, steps=3)
    for entries in state.optimizers["network"].state.values():
        assert entries == {"count": 3, "share": 0.1, "none": None, "on": True}


def test_odd_optimizer_states_are_refused(tmp_path):
    class Odd(torch.optim.SGD):
        def step(self, closure=None):
            self.state[self.param_groups[0]["params"][0]]["past"] = [1]

    with pytest.raises(TypeError, match=r"optimizer 'network' keeps a list as 0.past"):
        toy.run("plain", tmp_path, make=Odd, steps=1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), "the disk is full; free some space"),
        (OSError(errno.EROFS, "Read-only"), "is on a read-only file system"),
        (KeyboardInterrupt(), None),
    ],
)
def test_failed_save_keeps_the_checkpoint(path, content, monkeypatch, error, message):
    options = training.TrainConfig(steps=3, batch_size=8, warmup=3, save_every=5)
    state, _, _ = toy.gan(options)

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error), match=message):
        checkpoint.save(path.parent, state, {})
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def first(optimizers):
    return next(iter(optimizers.values()))


FORGED = {
    "no step": lambda tensors, note: note.pop("step"),
    "step of another type": lambda tensors, note: note.update(step="2"),
    "step below zero": lambda tensors, note: note.update(step=-1),
    "huge step": lambda tensors, note: note.update(step=10**30),
    "seconds": lambda tensors, note: note.update(seconds=None),
    "seconds beyond float64": lambda tensors, note: note.update(seconds=10**400),
    "facts": lambda tensors, note: note.update(facts=[1]),
    "facts of other values": lambda tensors, note: note["facts"].update(seed="x" * 10**6),
    "optimizers": lambda tensors, note: note.update(optimizers=3),
    "no optimizers": lambda tensors, note: note.update(optimizers={}),
    "groups": lambda tensors, note: first(note["optimizers"]).update(groups=[1]),
    "group": lambda tensors, note: first(note["optimizers"])["groups"][0].clear(),
    "kind": lambda tensors, note: first(note["optimizers"]).update(kind=[]),
    "numbers": lambda tensors, note: first(note["optimizers"]).update(numbers={"0.x": [1]}),
    "number of an unknown parameter": lambda tensors, note: first(note["optimizers"]).update(
        numbers={"99.x": 1}
    ),
    "number without a name": lambda tensors, note: first(note["optimizers"]).update(
        numbers={"x": 1}
    ),
    "names": lambda tensors, note: first(note["optimizers"]).update(tensors=None),
    "mark": lambda tensors, note: note["logs"]["metrics.csv"].update(bytes=-1),
    "header": lambda tensors, note: note["logs"]["metrics.csv"].update(header=[1]),
    "mark of another type": lambda tensors, note: note["logs"].update({"metrics.csv": [1]}),
    "marks of another type": lambda tensors, note: note.update(logs=[1]),
}


def of_optimizer(tensors, end):
    return next(name for name in tensors if name.startswith("optimizer.") and name.endswith(end))


def unlisted(tensors, note):
    """Remove a tensor, and its name too."""
    name = of_optimizer(tensors, ".exp_avg")
    del tensors[name]
    _, optimizer, key = name.split(".", 2)
    note["optimizers"][optimizer]["tensors"].remove(key)


FORGED |= {
    "missing tensor": lambda tensors, note: tensors.pop(of_optimizer(tensors, ".exp_avg")),
    "missing tensor and name": unlisted,
    "superfluous tensor": lambda tensors, note: tensors.update(
        {of_optimizer(tensors, ".exp_avg") + "2": torch.ones(1)}
    ),
    "shape": lambda tensors, note: tensors.update(
        {of_optimizer(tensors, ".exp_avg_sq"): torch.ones(1, 1, 1)}
    ),
    "type": lambda tensors, note: tensors.update(
        {name: tensors[name].int() for name in [of_optimizer(tensors, ".exp_avg_sq")]}
    ),
    "count": lambda tensors, note: tensors.update(
        {of_optimizer(tensors, ".step"): torch.tensor(-1.0)}
    ),
    "counts": lambda tensors, note: tensors.update({of_optimizer(tensors, ".step"): torch.ones(5)}),
    "missing weight": lambda tensors, note: tensors.pop(
        next(name for name in tensors if name.startswith("ema."))
    ),
    "superfluous weight": lambda tensors, note: tensors.update({"network.x": torch.ones(1)}),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_forged_checkpoints_end_in_one_line(path, change):
    tensors, note = files.read(path, kind=checkpoint.KIND, torch=True)
    change(tensors, note)
    files.write(path, tensors, note, kind=checkpoint.KIND, what="the file")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors") as caught:
        toy.run("gan", path.parent, steps=3)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert path.read_bytes() == before


def test_numbers_that_json_cannot_hold(tmp_path):
    """An infinite clip, and numbers of an optimizer that are not finite."""

    class Odd(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for weight in self.param_groups[0]["params"]:
                self.state[weight] |= {"most": float("inf"), "none": float("nan")}

    toy.run("plain", tmp_path, make=Odd, steps=1)
    state = toy.run("plain", tmp_path, make=Odd, steps=2)
    for entries in state.optimizers["network"].state.values():
        assert entries["most"] == float("inf")
        assert entries["none"] != entries["none"]
    options = training.TrainConfig(steps=3, batch_size=8, clip=float("inf"))
    state, _, _ = toy.gan(options)
    checkpoint.save(tmp_path / "..", state, records.finite(vars(options), as_text=True))

"""The last saved step of a training run: `checkpoint.safetensors` in the run's folder.

Tensors are named `network.NAME.KEY`, `ema.NAME.KEY` and `optimizer.NAME.INDEX.KEY`; the note
holds the step, the seconds, what must be the same when a run resumes, the optimizers' settings, and
how far the metrics and scores were written.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from unsup_fast.models.training.state import FREE, State
from unsup_fast.storage import tensors as files
from unsup_fast.storage.records import SHOWN, DamagedError, finite, shown

Mark = dict[str, Any]
"""How far a log is written: its size in bytes, its SHA-256 and its header."""

FILE = "checkpoint.safetensors"
KIND = "training checkpoint"
LARGEST = 1 << 62  # of steps and seconds
NOT_FINITE = ("nan", "inf", "-inf")
SWITCHES = ("lr", "foreach", "fused", "capturable", "differentiable")
"""Settings of an optimizer that each step sets, or that select its implementation."""
ADAM = ("exp_avg", "exp_avg_sq")
"""What Adam and AdamW store for each parameter, in its shape, besides the number of the step."""


def save(
    folder: Path, state: State, facts: Mapping[str, Any], marks: Mapping[str, Mark] | None = None
) -> None:
    """Write the state; the previous checkpoint stays until this one is on the disk.

    Parameters
    ----------
    folder : path
    state : State
    facts : mapping
        What must be the same when the run resumes, except `FREE`; JSON values.
    marks : mapping, optional
        How far each log is written, by the name of its file, from `metrics_log.Log.mark`.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    TypeError
        If an optimizer stores anything but tensors and numbers.
    """
    tensors = dict(_weights(state))
    optimizers: dict[str, Any] = {}
    for name, optimizer in state.optimizers.items():
        numbers: dict[str, Any] = {}
        names: list[str] = []
        for key, value in _memory(optimizer):
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{name}.{key}"] = value
                names.append(key)
            elif value is None or isinstance(value, (bool, int, float)):
                numbers[key] = finite(value, as_text=True)
            else:
                raise TypeError(
                    f"optimizer {name!r} keeps a {type(value).__name__} as {key}, which a "
                    "checkpoint cannot hold; use one that keeps tensors and numbers"
                )
        settings = _settings(optimizer, state.scheduled)
        optimizers[name] = {**settings, "numbers": numbers, "tensors": names}
    note = {
        "step": state.step,
        "seconds": state.seconds,
        "facts": dict(facts),
        "optimizers": optimizers,
        "logs": {name: dict(mark) for name, mark in (marks or {}).items()},
    }
    files.write(folder / FILE, tensors, note, kind=KIND, what="a checkpoint")


def restore(folder: Path, state: State, facts: Mapping[str, Any]) -> dict[str, Mark]:
    """Restore the state from the checkpoint in `folder`, if there is one.

    Weights and optimizer states replace those of the state, on its devices and in its memory
    formats. Nothing is unpickled, and the state is unchanged if an error is raised.

    Returns
    -------
    dict
        How far each log was written, by the name of its file; empty if there is no checkpoint.

    Raises
    ------
    ValueError
        If the file is damaged, or has other facts, networks or optimizers; or if its step exceeds
        `facts["steps"]`.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        tensors, note = files.read(path, kind=KIND, torch=True)
        _check_note(path, note)
    except DamagedError as error:
        raise ValueError(
            f"'{path}' is not a checkpoint of unsup-fast, or is damaged ({error.why}); remove it, "
            "or restore a copy"
        ) from None
    _check_facts(path, note["facts"], facts)
    if note["step"] > facts["steps"]:
        raise ValueError(
            f"steps={facts['steps']}, and {path} has done {note['step']}; pass at least as many, "
            "or use another folder"
        )
    _check_networks(path, tensors, dict(_weights(state)))
    if note["optimizers"].keys() != state.optimizers.keys():
        raise ValueError(
            f"{path} has the optimizers {shown(sorted(note['optimizers']))}, not "
            f"{sorted(state.optimizers)}; use another folder"
        )
    for name, optimizer in state.optimizers.items():
        settings = _settings(optimizer, state.scheduled)
        _check_settings(path, name, note["optimizers"][name], settings)
    states = {
        name: _optimizer_state(path, name, optimizer, tensors, note["optimizers"][name])
        for name, optimizer in state.optimizers.items()
    }
    for kind, modules in (("network", state.networks), ("ema", state.ema)):
        for name, module in modules.items():
            prefix = f"{kind}.{name}."
            module.load_state_dict({key: tensors[prefix + key] for key in module.state_dict()})
    for name, optimizer in state.optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states[name], "param_groups": groups})
    state.step, state.seconds = note["step"], note["seconds"]
    marks: dict[str, Mark] = note["logs"]
    return marks


def position(path: Path) -> tuple[int, float]:
    """Return the number of steps and the seconds of a checkpoint, without reading its tensors.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedError
        If the file was changed.
    """
    note = files.read_note(path, kind=KIND)
    _check_note(path, note)
    return note["step"], note["seconds"]


def log_marks(path: Path) -> dict[str, Mark]:
    """Return how far each log of a run was written, from its whole, verified checkpoint.

    Errors are those of `position`.
    """
    _, note = files.read(path, kind=KIND, torch=True)
    _check_note(path, note)
    marks: dict[str, Mark] = note["logs"]
    return marks


def _check_note(path: Path, note: Mapping[str, Any]) -> None:
    """Raise DamagedError unless a note has the entries and types that `save` writes."""
    logs, optimizers = note.get("logs"), note.get("optimizers")
    valid = (
        type(note.get("step")) is int
        and 0 <= note["step"] < LARGEST
        and _is_number(note.get("seconds"))
        and isinstance(note.get("facts"), dict)
        and isinstance(optimizers, dict)
        and all(map(_is_optimizer, optimizers.values()))
        and isinstance(logs, dict)
        and all(map(_is_mark, logs.values()))
    )
    if not valid:
        raise DamagedError(path, "its note lacks entries, or they have other types")


def _is_optimizer(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("kind"), str)
        and isinstance(entry.get("groups"), list)
        and all(isinstance(group, dict) for group in entry["groups"])
        and isinstance(entry.get("tensors"), list)
        and isinstance(entry.get("numbers"), dict)
        and all(
            value is None or isinstance(value, bool | int | float) or value in NOT_FINITE
            for value in entry["numbers"].values()
        )
    )


def _is_mark(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"bytes", "sha256", "header"}
        and type(entry["bytes"]) is int
        and entry["bytes"] >= 0
        and isinstance(entry["header"], list)
        and all(isinstance(name, str) for name in entry["header"])
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < LARGEST


def _weights(state: State) -> Iterator[tuple[str, Tensor]]:
    for kind, modules in (("network", state.networks), ("ema", state.ema)):
        for name, module in modules.items():
            for key, value in module.state_dict().items():
                yield f"{kind}.{name}.{key}", value


def _memory(optimizer: Optimizer) -> Iterator[tuple[str, Any]]:
    """Yield what an optimizer stores for each parameter, as `INDEX.KEY` and the value."""
    for index, entries in optimizer.state_dict()["state"].items():
        for what, value in entries.items():
            yield f"{index}.{what}", value


def _settings(optimizer: Optimizer, scheduled: Collection[str]) -> dict[str, Any]:
    """Return the class of an optimizer and its groups' settings, as JSON holds them."""
    groups = [
        {k: value for k, value in group.items() if k not in SWITCHES and k not in scheduled}
        for group in optimizer.state_dict()["param_groups"]
    ]
    settings: dict[str, Any] = json.loads(json.dumps(finite({"groups": groups}, as_text=True)))
    return {"kind": type(optimizer).__name__, **settings}


def _optimizer_state(
    path: Path,
    name: str,
    optimizer: Optimizer,
    tensors: Mapping[str, Tensor],
    entry: Mapping[str, Any],
) -> dict[int, dict[str, Any]]:
    """Return the entries of `_memory` by the index of the parameter.

    Raises
    ------
    ValueError
        If tensors are missing or superfluous, or do not fit the parameters.
    """
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    prefix = f"optimizer.{name}."
    own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    state: dict[int, dict[str, Any]] = {}
    if sorted(map(str, entry["tensors"])) != sorted(own):
        raise _other_optimizer(path, name, "tensors are missing, or there are too many")
    numbers = {
        key: float(value) if value in NOT_FINITE else value
        for key, value in entry["numbers"].items()
    }
    for key, value in {**own, **numbers}.items():
        number, _, what = key.partition(".")
        if not (number.isdecimal() and len(number) < 10 and int(number) < len(parameters) and what):
            raise _other_optimizer(path, name, f"there is no parameter {shown(key)}")
        parameter = parameters[int(number)]
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
            # Fused optimizers walk through memory, so strides must be those of the parameter.
            value = torch.empty_like(parameter, dtype=value.dtype, device="cpu").copy_(value)
        state.setdefault(int(number), {})[what] = value
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
        for index, entries in state.items():
            _check_adam(path, name, parameters[index], entries)
    return state


def _check_adam(path: Path, name: str, parameter: Tensor, entries: Mapping[str, Any]) -> None:
    step = entries.get("step")
    valid = (
        isinstance(step, torch.Tensor)
        and step.numel() == 1
        and bool(step.isfinite().all())
        and float(step) >= 0
        and all(
            isinstance(entries.get(what), torch.Tensor)
            and entries[what].shape == parameter.shape
            and entries[what].is_floating_point()
            for what in {*ADAM, *entries} - {"step"}
        )
    )
    if not valid:
        raise _other_optimizer(path, name, "a tensor is missing, or does not fit its parameter")


def _other_optimizer(path: Path, name: str, why: str) -> ValueError:
    return ValueError(
        f"{path} does not hold the state of optimizer {name!r} ({why}); restore a copy, or use "
        "another folder"
    )


def _check_facts(path: Path, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    changed = [
        name
        for name in {**saved, **current}
        if name not in FREE and saved.get(name) != current.get(name)
    ]
    if changed:
        raise ValueError(
            f"{_listed(current, changed)} was given, and {path} was trained with "
            f"{_listed(saved, changed)}; resume with that, or use another folder"
        )


def _listed(facts: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={shown(facts.get(name))}" for name in names)


def _check_networks(path: Path, saved: Mapping[str, Tensor], current: Mapping[str, Tensor]) -> None:
    saved = {name: value for name, value in saved.items() if not name.startswith("optimizer.")}
    wrong = [
        name
        for name in {**current, **saved}
        if name not in saved
        or name not in current
        or (saved[name].shape, saved[name].dtype) != (current[name].shape, current[name].dtype)
    ]
    if wrong:
        raise ValueError(
            f"{path} is of other networks ({wrong[0]!r} does not fit); use another folder"
        )


def _check_settings(
    path: Path, name: str, saved: Mapping[str, Any], current: Mapping[str, Any]
) -> None:
    if saved["kind"] != current["kind"] or len(saved["groups"]) != len(current["groups"]):
        raise ValueError(
            f"optimizer {name!r} is {current['kind']} with {len(current['groups'])} groups, and "
            f"{path} has {saved['kind'][:SHOWN]} with {len(saved['groups'])}; resume with that, or "
            "use another folder"
        )
    for old, new in zip(saved["groups"], current["groups"], strict=True):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                raise ValueError(
                    f"optimizer {name!r} has {key}={new.get(key)!r}, and {path} was trained with "
                    f"{shown(old.get(key))}; resume with that, or use another folder"
                )

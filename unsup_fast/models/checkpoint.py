"""The last saved step of a training run: `checkpoint.safetensors` in the run's folder.

Tensors are named `network.NAME.KEY`, `average.NAME.KEY` and `optimiser.NAME.INDEX.KEY`; the note
holds the step, the seconds, what must be the same when a run goes on, and the optimisers' settings.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unsup_fast.models import tensorfile

if TYPE_CHECKING:
    from unsup_fast.models.training import State

FILE = "checkpoint.safetensors"
WHAT = "a checkpoint"
FORMAT = "checkpoint 1"
FREE = ("steps", "save_every", "show_every")
"""Options that a run may go on with another value of."""
SWITCHES = ("lr", "foreach", "fused", "capturable", "differentiable")
"""Settings of an optimiser that each step sets, or that say by what code it runs."""


def save(folder: Path, state: "State", facts: Mapping[str, Any]) -> None:
    """Write the state; the checkpoint before it stays until this one is on the disk.

    Parameters
    ----------
    folder : path
    state : State
    facts : mapping
        What must be the same when the run goes on, but for `FREE`; what JSON can say.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    TypeError
        If an optimiser keeps what is neither a tensor nor a number.
    """
    tensors = dict(_weights(state))
    optimisers: dict[str, Any] = {}
    for name, optimiser in state.optimisers.items():
        numbers: dict[str, Any] = {}
        for key, value in _memory(optimiser):
            if isinstance(value, torch.Tensor):
                tensors[f"optimiser.{name}.{key}"] = value
            elif value is None or isinstance(value, (bool, int, float)):
                numbers[key] = value
            else:
                raise TypeError(
                    f"optimiser {name!r} keeps a {type(value).__name__} as {key}, which a "
                    "checkpoint cannot hold; use one that keeps tensors and numbers"
                )
        optimisers[name] = {**_settings(optimiser), "numbers": numbers}
    note = {
        "format": FORMAT,
        "step": state.step,
        "seconds": state.seconds,
        "facts": dict(facts),
        "optimisers": optimisers,
    }
    tensorfile.write(folder / FILE, tensors, note, WHAT)


def restore(folder: Path, state: "State", facts: Mapping[str, Any]) -> bool:
    """Bring the state to the checkpoint in `folder`; return whether there is one.

    Weights and memories of optimisers take the place of those of the state, in its devices and
    memory formats. Nothing is unpickled.

    Raises
    ------
    ValueError
        If the file is damaged, or of other facts, networks or optimisers; or if it is past
        `facts["steps"]`.
    """
    path = folder / FILE
    if not path.exists():
        return False
    tensors, note = tensorfile.read(path, WHAT)
    if note.get("format") != FORMAT:
        raise ValueError(f"{path} has format {note.get('format')!r}; this version reads {FORMAT!r}")
    _check_facts(path, note["facts"], facts)
    if note["step"] > facts["steps"]:
        raise ValueError(
            f"steps={facts['steps']}, and {path} has done {note['step']}; pass at least as many, "
            "or use another folder"
        )
    _check_networks(path, tensors, dict(_weights(state)))
    if note["optimisers"].keys() != state.optimisers.keys():
        raise ValueError(
            f"{path} has the optimisers {sorted(note['optimisers'])}, not "
            f"{sorted(state.optimisers)}; use another folder"
        )
    for name, optimiser in state.optimisers.items():
        _check_settings(path, name, note["optimisers"][name], _settings(optimiser))
    for kind, modules in (("network", state.networks), ("average", state.averages)):
        for name, module in modules.items():
            prefix = f"{kind}.{name}."
            module.load_state_dict({key: tensors[prefix + key] for key in module.state_dict()})
    for name, optimiser in state.optimisers.items():
        _remember(optimiser, f"optimiser.{name}.", tensors, note["optimisers"][name]["numbers"])
    state.step, state.seconds = note["step"], note["seconds"]
    return True


def _weights(state: "State") -> Iterator[tuple[str, Any]]:
    for kind, modules in (("network", state.networks), ("average", state.averages)):
        for name, module in modules.items():
            for key, value in module.state_dict().items():
                yield f"{kind}.{name}.{key}", value


def _memory(optimiser: Any) -> Iterator[tuple[str, Any]]:
    """Give what an optimiser keeps of each parameter, by the parameter's number and its name."""
    for index, entries in optimiser.state_dict()["state"].items():
        for what, value in entries.items():
            yield f"{index}.{what}", value


def _settings(optimiser: Any) -> dict[str, Any]:
    """Return the kind of an optimiser and its groups' settings, as JSON says them."""
    groups = [
        {key: value for key, value in group.items() if key not in SWITCHES}
        for group in optimiser.state_dict()["param_groups"]
    ]
    made: dict[str, Any] = json.loads(json.dumps({"groups": groups}))
    return {"kind": type(optimiser).__name__, **made}


def _remember(
    optimiser: Any, prefix: str, tensors: Mapping[str, Any], numbers: Mapping[str, Any]
) -> None:
    """Put back what `_memory` gave."""
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    found: dict[int, dict[str, Any]] = {}
    own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    for key, value in {**own, **numbers}.items():
        index, what = key.split(".", 1)
        parameter = parameters[int(index)]
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
            # Fused optimisers walk through memory, so strides must be those of the parameter.
            value = torch.empty_like(parameter, dtype=value.dtype, device="cpu").copy_(value)
        found.setdefault(int(index), {})[what] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": found, "param_groups": groups})


def _check_facts(path: Path, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    changed = [
        name for name in {**kept, **given} if name not in FREE and kept.get(name) != given.get(name)
    ]
    if changed:
        raise ValueError(
            f"{_told(given, changed)} was given, and {path} was trained with "
            f"{_told(kept, changed)}; go on with that, or use another folder"
        )


def _told(facts: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={facts.get(name)!r}" for name in names)


def _check_networks(path: Path, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    kept = {name: value for name, value in kept.items() if not name.startswith("optimiser.")}
    wrong = [
        name
        for name in {**given, **kept}
        if name not in kept
        or name not in given
        or (kept[name].shape, kept[name].dtype) != (given[name].shape, given[name].dtype)
    ]
    if wrong:
        raise ValueError(
            f"{path} is of other networks ({wrong[0]!r} does not fit); use another folder"
        )


def _check_settings(
    path: Path, name: str, kept: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    if kept["kind"] != given["kind"] or len(kept["groups"]) != len(given["groups"]):
        raise ValueError(
            f"optimiser {name!r} is {given['kind']} with {len(given['groups'])} groups, and {path} "
            f"has {kept['kind']} with {len(kept['groups'])}; go on with that, or use another folder"
        )
    for old, new in zip(kept["groups"], given["groups"], strict=True):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                raise ValueError(
                    f"optimiser {name!r} has {key}={new.get(key)!r}, and {path} was trained with "
                    f"{old.get(key)!r}; go on with that, or use another folder"
                )

"""The last saved step of a training run: one safetensors file, replaced as a whole or not at all."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unsup_fast._extras import require

if TYPE_CHECKING:
    from unsup_fast.models.training import State

FILE = "checkpoint.safetensors"
FORMAT = 1


def save(folder: Path, state: "State", options: dict[str, Any]) -> None:
    """Write the state; the checkpoint before it stays until this one is on the disk.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    torch_format = require("safetensors.torch", "torch", "saving a checkpoint")
    tensors, groups = _tensors(state)
    note = {
        "format": FORMAT,
        "step": state.step,
        "seconds": state.seconds,
        "options": options,
        "groups": groups,
    }
    path = folder / FILE
    draft = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        torch_format.save_file(tensors, draft, {"unsup_fast": json.dumps(note)})
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def restore(folder: Path, state: "State", options: dict[str, Any]) -> bool:
    """Bring the state to the checkpoint in `folder`; return whether there is one.

    Raises
    ------
    ValueError
        If the file is damaged, or of other options or networks.
    """
    path = folder / FILE
    if not path.exists():
        return False
    tensors, note = _read(path)
    given = {name: value for name, value in options.items() if note["options"].get(name) != value}
    given.pop("steps", None)  # a run may be made longer
    if given:
        told = ", ".join(f"{name}={note['options'].get(name)!r}" for name in given)
        raise ValueError(f"{path} was trained with {told}; go on with that, or use another folder")
    expected, _ = _tensors(state)
    wrong = [
        name
        for name in {*tensors, *expected}
        if name not in tensors
        or (name in expected and tensors[name].shape != expected[name].shape)
        or (name not in expected and not name.startswith("optimiser."))
    ]
    if wrong:
        raise ValueError(
            f"{path} is of other networks ({min(wrong)!r} does not fit); use another folder"
        )
    for kind, modules in (("network", state.networks), ("average", state.averages)):
        for name, module in modules.items():
            prefix = f"{kind}.{name}."
            module.load_state_dict({key: tensors[prefix + key] for key in module.state_dict()})
    for name, optimiser in state.optimisers.items():
        found: dict[int, dict[str, Any]] = {}
        prefix = f"optimiser.{name}."
        for key, value in tensors.items():
            if key.startswith(prefix):
                index, what = key[len(prefix) :].split(".", 1)
                found.setdefault(int(index), {})[what] = value
        optimiser.load_state_dict({"state": found, "param_groups": note["groups"][name]})
    state.step, state.seconds = note["step"], note["seconds"]
    return True


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    safetensors = require("safetensors", "torch", "reading a checkpoint")
    try:
        with safetensors.safe_open(path, "pt") as file:
            note = json.loads((file.metadata() or {})["unsup_fast"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a whole checkpoint ({error}); remove it") from error
    if note.get("format") != FORMAT:
        raise ValueError(f"{path} has format {note.get('format')}; this version reads {FORMAT}")
    return tensors, note


def _tensors(state: "State") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all tensors of a state by name, and what else its optimisers hold."""
    tensors: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    for kind, modules in (("network", state.networks), ("average", state.averages)):
        for name, module in modules.items():
            for key, value in module.state_dict().items():
                tensors[f"{kind}.{name}.{key}"] = value.detach().clone().contiguous()
    for name, optimiser in state.optimisers.items():
        made = optimiser.state_dict()
        groups[name] = made["param_groups"]
        tensors |= {f"optimiser.{name}.{key}": value for key, value in _flat(made["state"])}
    return tensors, groups


def _flat(found: dict[int, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for index, entries in found.items():
        for what, value in entries.items():
            yield f"{index}.{what}", torch.as_tensor(value).detach().clone().contiguous()

"""A model in a folder: weights and settings in one safetensors file, settings once more as JSON."""

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from unsup_fast import _replacing
from unsup_fast._extras import require
from unsup_fast.models.diffusion.config import Config

WEIGHTS, SETTINGS = "model.safetensors", "model.json"
ENTRY, FORMAT = "unsup_fast", "unsup_fast.diffusion/1"


def save(network: Any, config: Config, folder: str | os.PathLike[str]) -> None:
    """Write a model; one that was there stays if that fails."""
    torch_format = require("safetensors.torch", "torch", "saving a model")
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"format": FORMAT, "config": asdict(config)}, indent=2)
    tensors = {  # each with memory of its own, as the format has it: weights may be tied
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    _replacing.replace(where / WEIGHTS, torch_format.save(tensors, {ENTRY: head}), "the model")
    _replacing.replace(where / SETTINGS, f"{head}\n".encode(), "the model's settings")


def read(folder: str | os.PathLike[str]) -> tuple[Config, dict[str, Any]]:
    """Return the settings and the tensors in a folder."""
    safetensors = require("safetensors", "torch", "loading a model")
    path = Path(folder) / WEIGHTS
    with path.open("rb"):  # a missing file is the system's error, with its name
        pass
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            entry = (file.metadata() or {}).get(ENTRY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, f"it is no complete .safetensors file: {error}") from None
    return _config(path, entry), tensors


def fill(network: Any, tensors: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    """Put tensors into a network.

    Raises
    ------
    ValueError
        If they are not those of such a network.
    """
    expected = network.state_dict()
    wrong = sorted(
        name
        for name in {*tensors, *expected}
        if name not in tensors
        or name not in expected
        or tensors[name].shape != expected[name].shape
        or not bool(tensors[name].isfinite().all())
    )
    if wrong:
        raise _damaged(
            Path(folder) / WEIGHTS, f"{wrong[0]!r} is missing, not finite or of another network"
        )
    network.load_state_dict(tensors)


def _config(path: Path, entry: str | None) -> Config:
    try:
        head = json.loads(entry or "")
        form, given = head["format"], dict(head["config"])
    except (ValueError, TypeError, KeyError):
        raise _damaged(path, "it is not a model that unsup_fast saved") from None
    if form != FORMAT:
        raise _damaged(path, f"it has format {form!r}; this version reads {FORMAT!r}")
    known = {field.name for field in fields(Config)}
    try:
        for name in ("shape", "classes"):
            given[name] = tuple(given[name])
        return Config(**{name: value for name, value in given.items() if name in known})
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its settings are not valid: {error}") from None


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"cannot load '{path}': {why}")

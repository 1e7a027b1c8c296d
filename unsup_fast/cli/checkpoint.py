"""The last finished iteration of a run, on disk: safetensors with JSON beside the arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unsup_fast.blocks import Source
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.files import replacing

Array = npt.NDArray[Any]

FORMAT = 1


@dataclass(frozen=True)
class Kept:
    """A finished iteration, and all that came before it.

    Attributes
    ----------
    iteration : int
        Iterations done.
    seconds : float
        Time they took, seeding included.
    centers : ndarray of shape (K, D)
        Centroids after the iteration.
    labels : ndarray of shape (N,), int32
        Labels that the iteration found, from the centroids before it.
    inertias, changes : tuple
        Inertia and changed labels of each iteration so far.
    """

    iteration: int
    seconds: float
    centers: Array
    labels: Array
    inertias: tuple[float, ...]
    changes: tuple[int, ...]


def fingerprint(path: Path, source: Source | None = None) -> dict[str, Any]:
    """Return what tells a file from another or from a later state of itself."""
    status = path.stat()
    found: dict[str, Any] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    if source is not None:
        found |= {"shape": list(source.shape), "dtype": str(source.dtype)}
    return found


def save(path: Path, kept: Kept, parameters: dict[str, Any], data: dict[str, Any]) -> None:
    """Write a checkpoint; the one before stays until this one is complete.

    Parameters
    ----------
    path : Path
    kept : Kept
    parameters : dict
        What decides the course of the run; compared when it is resumed.
    data : dict
        Fingerprint of each file that the run reads, by what it is.
    """
    tensors = {
        "centers": kept.centers,
        "labels": kept.labels,
        "inertias": np.array(kept.inertias),
        "changes": np.array(kept.changes, dtype=np.int64),
    }
    about = {
        "format": FORMAT,
        "iteration": kept.iteration,
        "seconds": kept.seconds,
        "parameters": parameters,
        "data": data,
    }
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"unsup_fast": json.dumps(about)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load(path: Path, parameters: dict[str, Any], data: dict[str, Any]) -> Kept:
    """Read a checkpoint of a run with these parameters on this data.

    Raises
    ------
    UserError
        If it cannot be read, or belongs to other parameters or data.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["unsup_fast"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not a checkpoint, or is damaged ({error})") from error
    if about["format"] != FORMAT:
        raise UserError(f"{path}: was written by another version of unsup_fast")
    for name, given in parameters.items():
        before = about["parameters"].get(name)
        if before != given:
            raise UserError(
                f"{path}: was made with {name} = {_shown(before)}, not {_shown(given)}; "
                "resume with the same, or pass --overwrite to begin anew"
            )
    for name, found in data.items():
        before = about["data"].get(name, {})
        different = [what for what, value in found.items() if before.get(what) != value]
        if different:
            what = different[0]
            changed = f"its {what} was {before.get(what)} and is {found[what]}"
            if what == "mtime_ns":
                changed = "it was modified since"
            raise UserError(
                f"{path}: cannot be resumed, the {name} file is another one ({changed}); "
                "pass --overwrite to begin anew"
            )
    return Kept(
        about["iteration"],
        about["seconds"],
        tensors["centers"],
        tensors["labels"],
        tuple(tensors["inertias"].tolist()),
        tuple(tensors["changes"].tolist()),
    )


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)

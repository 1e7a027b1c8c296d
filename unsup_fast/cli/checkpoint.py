"""What is done of a run, on disk: safetensors with JSON beside the arrays."""

import json
import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unsup_fast.blocks import Source
from unsup_fast.cli.data import weights_column
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.files import replacing

Array = npt.NDArray[Any]

FORMAT = 2


# Seconds between checkpoints, and how many times longer than its writing that must be.
EVERY = 1.0
WRITING_SHARE = 20


class Kept(Protocol):
    """What is done of a run."""

    def packed(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return it as arrays and what JSON can hold."""


class Saver:
    """Writes what is done of a run now and then, but no oftener than is cheap.

    Parameters
    ----------
    save : callable
        Writes a `Kept` to the disk.
    """

    def __init__(self, save: Callable[[Any], None]) -> None:
        self._save = save
        self._written = perf_counter()
        self._interval = EVERY
        self._trouble: UserError | None = None

    def due(self) -> bool:
        """Return whether it is time to write."""
        return perf_counter() - self._written >= self._interval

    def write(self, kept: Kept) -> None:
        """Write; trouble with the disk is a warning, the first time."""
        begin = perf_counter()
        try:
            self._save(kept)
        except UserError as error:
            # The disk may have room again by the end; hours of work are not thrown away for it.
            if self._trouble is None:
                warnings.warn(f"no checkpoint: {error}", stacklevel=2)
            self._trouble = error
        self._written = perf_counter()
        self._interval = max(EVERY, WRITING_SHARE * (self._written - begin))


def fingerprint(path: Path, source: Source | None = None) -> dict[str, Any]:
    """Return what tells a file from another or from a later state of itself."""
    paths = source.paths if source is not None and source.paths else (path,)
    states = [each.stat() for each in paths]
    found: dict[str, Any] = {
        "size": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
    }
    if source is not None:
        found |= {"shape": list(source.shape), "dtype": str(source.dtype)}
    return found


def fingerprints(path: Path, source: Source, weights: str | None) -> dict[str, Any]:
    """Return the fingerprints of the data and, if they are in one, of the file of weights."""
    found = {"data": fingerprint(path, source)}
    if weights is not None and not weights_column(weights):
        found["weights"] = fingerprint(Path(weights))
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
    tensors, state = kept.packed()
    about = {"format": FORMAT, "state": state, "parameters": parameters, "data": data}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"unsup_fast": json.dumps(about)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load(
    path: Path, parameters: dict[str, Any], data: dict[str, Any]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint of a run with these parameters on this data; return what `Kept` packed.

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
    return tensors, about["state"]


def command(arguments: Sequence[str], *, resume: bool) -> str:
    """Return the command line that goes on with a run, or begins it anew."""
    kept = [word for word in arguments if word not in ("--overwrite", "--resume")]
    return shlex.join(["unsup-fast", *kept, *(["--resume"] if resume else [])])


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)

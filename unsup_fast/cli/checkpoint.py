"""Checkpoints of runs: safetensors files with the state of the run as JSON in the header."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console

from unsup_fast import _urls
from unsup_fast._paths import check_not_special
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import Source
from unsup_fast.cli import terminal
from unsup_fast.cli.data import weights_column
from unsup_fast.cli.errors import UserError
from unsup_fast.storage import tensors
from unsup_fast.storage.records import DamagedError, finite, shown

Unpacked = TypeVar("Unpacked")
Number = TypeVar("Number", int, float)

LONGEST = 300  # characters of a reason

# Seconds between checkpoints, and how many times longer than its writing that must be.
EVERY = 1.0
WRITING_SHARE = 20


class Snapshot(Protocol):
    """The state of a run, which a checkpoint holds."""

    @property
    def kind(self) -> str:
        """Kind of the checkpoint, as stamped into its file."""

    def packed(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the state as arrays and a JSON object."""


class Saver:
    """Writes what is done of a run now and then, but no oftener than is cheap.

    Parameters
    ----------
    save : callable
        Writes a `Snapshot` to the disk.
    """

    def __init__(self, save: Callable[[Any], None]) -> None:
        self._save = save
        self._written = perf_counter()
        self._interval = EVERY
        self._trouble: UserError | None = None

    def due(self) -> bool:
        """Return whether it is time to write."""
        return perf_counter() - self._written >= self._interval

    def write(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write; the first error of the disk is a warning.

        The last write, before the results, warns of nothing: the results meet the same error.
        """
        begin = perf_counter()
        try:
            self._save(snapshot)
        except UserError as error:
            # The disk may have room again by the end; hours of work are not thrown away for it.
            if self._trouble is None and not last:
                warnings.warn(f"no checkpoint: {error}", stacklevel=2)
            self._trouble = error
        self._written = perf_counter()
        self._interval = max(EVERY, WRITING_SHARE * (self._written - begin))


def fingerprint(file: File, source: Source | None = None) -> dict[str, Any]:
    """Return size, modification time and shape, by which a changed file is recognised.

    URLs have what their file system states instead of the time, such as an ETag.
    """
    files = source.paths if source is not None and source.paths else (file,)
    states = _urls.states(files).values()
    times = [state.version for state in states if isinstance(state.version, int)]
    versions = [state.version for state in states if isinstance(state.version, str)]
    facts: dict[str, Any] = {"size": sum(state.size for state in states)}
    if times:
        facts["mtime_ns"] = max(times)
    if versions:
        facts["version"] = hashlib.sha256("\n".join(versions).encode()).hexdigest()
    if source is not None:
        facts |= {"shape": list(source.shape), "dtype": str(source.dtype)}
    return facts


def fingerprints(file: File, source: Source, weights: str | None) -> dict[str, Any]:
    """Return the fingerprints of the data and, if they are in one, of the file of weights."""
    files = {"data": fingerprint(file, source)}
    if weights is not None and not weights_column(weights):
        files["weights"] = fingerprint(Path(weights))
    return files


def save(path: Path, snapshot: Snapshot, parameters: dict[str, Any], data: dict[str, Any]) -> None:
    """Write a checkpoint; the previous one stays until this one is complete.

    Parameters
    ----------
    path : Path
    snapshot : Snapshot
    parameters : dict
        What decides the course of the run; compared when it is resumed.
    data : dict
        Fingerprint of each file that the run reads, by what it is.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    arrays, state = snapshot.packed()
    note = {"state": state, "parameters": finite(parameters, as_text=True), "data": data}
    try:
        tensors.write(path, arrays, note, kind=snapshot.kind, what="the checkpoint")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def load(
    path: Path,
    kind: str,
    parameters: dict[str, Any],
    data: dict[str, Any],
    unpack: Callable[[dict[str, Array], dict[str, Any]], Unpacked],
) -> Unpacked:
    """Read a checkpoint of a run with these parameters on this data; return what was saved.

    Parameters
    ----------
    path : Path
    kind : str
        `Snapshot.kind` of the command.
    parameters, data : dict
        As for `save`.
    unpack : callable
        Turns what `Snapshot.packed` returned back, or raises an error that says what is wrong.

    Raises
    ------
    UserError
        If it cannot be read, or belongs to other parameters or data.
    """
    check_not_special(path)
    try:
        arrays, note = tensors.read(path, kind=kind)
        state = note["state"]
        saved, prints = dict(note["parameters"]), dict(note["data"])
    except DamagedError as error:
        raise _damaged(path, error.why) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    for name, value in finite(parameters, as_text=True).items():
        if saved.get(name) != value:
            raise UserError(
                f"{path}: was made with {name} = {_shown(saved.get(name))}, not {_shown(value)}; "
                "resume with the same, or pass --overwrite to begin anew"
            )
    for name, current in data.items():
        before: Any = prints.get(name)
        if not isinstance(before, dict):
            before = {}
        different = [what for what, value in current.items() if before.get(what) != value]
        if different:
            what = different[0]
            changed = f"its {what} was {_shown(before.get(what))} and is {current[what]}"
            if what in ("mtime_ns", "version"):
                changed = "it was modified since"
            raise UserError(
                f"{path}: cannot be resumed, the {name} file is another one ({changed}); "
                "pass --overwrite to begin anew"
            )
    try:
        return unpack(arrays, state)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def check_array(
    name: str, array: Array, shape: tuple[int, ...], dtype: npt.DTypeLike, least: float = -np.inf
) -> Array:
    """Return an array of a checkpoint.

    Raises
    ------
    ValueError
        If it has another shape or type, or a value that is not finite or is below `least`.
    """
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ValueError(f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}")
    if not np.isfinite(array).all() or (array < least).any():
        raise ValueError(f"{name} holds values out of range")
    return array


def check_number(name: str, value: Any, kind: type[Number]) -> Number:
    """Return a number of a checkpoint: finite, not negative, and of exactly this type.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if type(value) is not kind or not 0 <= value < np.inf:
        raise ValueError(f"{name}={shown(value)}")
    return value


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: is not a checkpoint, or is damaged ({why[:LONGEST]}); pass --overwrite to begin "
        "anew"
    )


def hint(console: Console, arguments: Sequence[str], *, resume: bool) -> None:
    """Print the command line that resumes a run, or restarts it."""
    console.print("To go on:" if resume else "To begin anew:", style="dim")
    terminal.emit(command(arguments, resume=resume))


def command(arguments: Sequence[str], *, resume: bool) -> str:
    """Return the command line that resumes a run, or restarts it."""
    words = [word for word in arguments if word not in ("--overwrite", "--resume")]
    return terminal.shell(["unsup-fast", *words, *(["--resume"] if resume else [])])


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return value[:LONGEST] if isinstance(value, str) else shown(value)

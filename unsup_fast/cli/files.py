"""Atomic writes of files, which replace no results without --overwrite."""

import glob
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unsup_fast._urls import File, Url
from unsup_fast.cli.errors import UserError
from unsup_fast.storage import atomic, tensors

LABELS = ("labels.npy", "labels.parquet")
MODEL = tensors.MODEL
SUMMARY = "summary.json"
REPORT = "report.html"
CHECKPOINT = "checkpoint.safetensors"
READ_IN_FOLDERS = (".png", ".parquet")
TABLES_IN_FOLDERS = (".npy", ".csv", ".tsv", ".gz", ".parquet", ".arrow", ".feather")
COORDINATES = ("coordinates.npy", "coordinates.parquet")
PROBABILITIES = ("probabilities.npy", "probabilities.parquet")
KEEP = ("keep.npy", "keep.parquet")
PAIRS = ("pairs.csv", "pairs.parquet")
CONFIG = "model.json"
METRICS = "metrics.csv"
SCORES, BEST = "scores.csv", "best.safetensors"
SAMPLES = "samples"
STUDENTS, COMPARISON = "students", "distilled.json"
RESULTS = (
    *LABELS,
    *COORDINATES,
    *PROBABILITIES,
    *KEEP,
    *PAIRS,
    MODEL,
    CONFIG,
    METRICS,
    SCORES,
    BEST,
    SUMMARY,
    COMPARISON,
    REPORT,
    CHECKPOINT,
)


@dataclass(frozen=True)
class Input:
    """A file or folder that a command reads."""

    name: str
    """Name of the option or argument."""
    path: Path


def inputs_of(**files: File | str | None) -> list[Input]:
    """Return the input files among the values of options; DATA has no dashes.

    The files that a pattern matches are inputs. Values that are not paths of existing files are
    left out, such as names of columns, and URLs, which no output replaces.
    """
    return [
        Input(name if name.isupper() else f"--{name}", path)
        for name, file in files.items()
        for path in _paths(file)
    ]


def _paths(file: File | str | None) -> list[Path]:
    if file is None or isinstance(file, Url):
        return []
    if os.path.lexists(file):
        return [Path(file)]
    return [Path(match) for match in glob.glob(str(file), recursive=True)]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which replaces `path` on success.

    Raises
    ------
    UserError
        If the file cannot be written; nothing has changed then.
    """
    try:
        with atomic.replacing(path, path.name) as file:
            yield file
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{named}{error.strerror or error}") from error


def check_regular(path: Path) -> None:
    """Refuse to replace a directory, a device or a pipe."""
    if path.is_dir():
        raise UserError(f"{path}: is a directory; name a file")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is not a regular file, so it cannot be replaced")


def check_file(
    path: Path,
    option: str,
    suffixes: tuple[str, ...],
    overwrite: bool,
    inputs: Iterable[Input] = (),
) -> None:
    """Check that a file of one of these kinds may and can be written.

    Drafts of it that killed runs left are removed.

    Raises
    ------
    UserError
        If not; it names the option.
    """
    if path.suffix not in suffixes:
        raise UserError(f"{option} {path}: name a {' or '.join(suffixes)} file")
    check_regular(path)
    check_not_read(path, option, inputs)
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists already; name another file or pass --overwrite")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path.parent}: no such directory")
    target = Path(os.path.realpath(path))
    check_writable(target.parent)
    atomic.remove_drafts(target.parent, target.name)


def check_not_read(path: Path, option: str, inputs: Iterable[Input]) -> None:
    """Refuse an output file that is an input, or would become one.

    Raises
    ------
    UserError
        If it is the same file as an input, also by a link or another spelling; or if it is a
        picture or table in a folder that is read.
    """
    for read in inputs:
        if same_file(read.path, path):
            raise UserError(
                f"{option} {path}: is read as {read.name}, and would be replaced; name another file"
            )
        if read.path.is_dir() and _is_read_in(read.path, path.suffix) and holds(read.path, path):
            raise UserError(
                f"{option} {path}: is in the folder {read.name} {read.path}, so it would become "
                "data; name a file outside it"
            )


def _is_read_in(folder: Path, suffix: str) -> bool:
    """Return whether a file of this kind would be read with those in a folder."""
    if suffix in READ_IN_FOLDERS:
        return True
    return suffix in TABLES_IN_FOLDERS and any(
        path.suffix.lower() in TABLES_IN_FOLDERS for path in folder.iterdir()
    )


def same_file(one: Path, other: Path) -> bool:
    """Return whether two paths are of one file, also by links."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return False


def holds(folder: Path, path: Path) -> bool:
    """Return whether a path is a folder or lies in it."""
    real = Path(os.path.realpath(path))
    return any(same_file(folder, each) for each in (real, *real.parents))


def check_writable(directory: Path) -> None:
    """Check that files can be created in `directory`, or in its nearest existing parent."""
    nearest = directory.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(prefix=".unsup-fast.", dir=nearest):
            pass
    except OSError as error:
        raise UserError(f"{directory}: cannot be written to: {error.strerror or error}") from error

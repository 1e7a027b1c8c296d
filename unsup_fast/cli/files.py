"""Atomic writes of files, which replace no results without --overwrite."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unsup_fast.cli.errors import UserError
from unsup_fast.report.numbers import size
from unsup_fast.storage import atomic, locks, tensors

LABELS = ("labels.npy", "labels.parquet")
MODEL = tensors.MODEL
SUMMARY = "summary.json"
REPORT = "report.html"
CHECKPOINT = "checkpoint.safetensors"
READ_IN_FOLDERS = (".png", ".parquet")
COORDINATES = ("coordinates.npy", "coordinates.parquet")
PROBABILITIES = ("probabilities.npy", "probabilities.parquet")
CONFIG = "model.json"
METRICS = "metrics.csv"
SAMPLES = "samples"
RESULTS = (
    *LABELS,
    *COORDINATES,
    *PROBABILITIES,
    MODEL,
    CONFIG,
    METRICS,
    SUMMARY,
    REPORT,
    CHECKPOINT,
)


@dataclass(frozen=True)
class Input:
    """A file or folder that a command reads."""

    name: str
    """Name of the option or argument."""
    path: Path


def inputs_of(**paths: Path | str | None) -> list[Input]:
    """Return the input files among the values of options; DATA has no dashes.

    Values that are not paths of existing files are left out, such as names of columns.
    """
    return [
        Input(name if name.isupper() else f"--{name}", Path(path))
        for name, path in paths.items()
        if path is not None and os.path.lexists(path)
    ]


def run_files(run: Path) -> list[Input]:
    """Return the files of a run as inputs of the commands that read it."""
    return [Input("RUN", run / name) for name in RESULTS if (run / name).exists()]


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


@contextmanager
def directory(path: Path) -> Iterator[None]:
    """Make a directory, and remove it again if nothing was put into it.

    Raises
    ------
    UserError
        If it cannot be created.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror or error}") from error
    try:
        yield
    finally:
        for one in missing:
            with suppress(OSError):  # not empty, so it stays
                one.rmdir()


@contextmanager
def run_folder(
    out: Path, *, overwrite: bool, resume: bool, inputs: Iterable[Input] = ()
) -> Iterator[None]:
    """Check a directory for the results of a run, make it, and lock it against other runs.

    Raises
    ------
    UserError
        As `check_directory`, or if the run would replace or remove one of its inputs.
    BlockingIOError
        If another run writes there.
    """
    check_directory(out, overwrite=overwrite, resume=resume)
    check_apart(out, inputs)
    with directory(out), locks.exclusive(out):
        check_directory(out, overwrite=overwrite, resume=resume)  # a run may have ended meanwhile
        sweep(out)
        yield


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


def check_directory(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Check that results may and can be put into `out`, without changing anything.

    Raises
    ------
    UserError
        If `out` is no directory, cannot be written to, or holds results and neither
        `overwrite` nor `resume` is true; or if there is nothing to resume.
    """
    if overwrite and resume:
        raise UserError("--overwrite and --resume exclude each other; pass one of them")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a directory for the results")
    existing = [name for name in RESULTS if (out / name).exists()]
    if resume and CHECKPOINT not in existing:
        state = "its run has finished" if existing else "there are no results in it"
        raise UserError(f"{out}: has no checkpoint to resume ({state}); run without --resume")
    if existing and not (overwrite or resume):
        hint = " or --resume" if CHECKPOINT in existing else ""
        raise UserError(
            f"{out}: holds results already ({', '.join(existing)}); "
            f"name another directory or pass --overwrite{hint}"
        )
    for name in existing:
        check_regular(out / name)
    check_writable(out)


def check_apart(out: Path, inputs: Iterable[Input]) -> None:
    """Refuse a directory for results where a run would replace, remove or later read its input.

    Raises
    ------
    UserError
        If an input is one of the results in `out`, also by a link or another spelling; if it is
        among the samples in it; or if it is a folder that holds `out`.
    """
    results = [out / name for name in RESULTS]
    for read in inputs:
        if read.path.is_dir() and _holds(read.path, out):
            raise UserError(
                f"-o {out}: is in the folder {read.name} {read.path}, so results would become "
                "data; name a directory outside it"
            )
        if any(_same(read.path, result) for result in results) or _holds(out / SAMPLES, read.path):
            raise UserError(
                f"-o {out}: the run would replace {read.path}, which it reads as {read.name}; name "
                "another directory"
            )


def check_not_read(path: Path, option: str, inputs: Iterable[Input]) -> None:
    """Refuse an output file that is an input, or would become one.

    Raises
    ------
    UserError
        If it is the same file as an input, also by a link or another spelling; or if it is a
        picture or table in a folder that is read.
    """
    for read in inputs:
        if _same(read.path, path):
            raise UserError(
                f"{option} {path}: is read as {read.name}, and would be replaced; name another file"
            )
        if read.path.is_dir() and path.suffix in READ_IN_FOLDERS and _holds(read.path, path):
            raise UserError(
                f"{option} {path}: is in the folder {read.name} {read.path}, so it would become "
                "data; name a file outside it"
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return False


def _holds(folder: Path, path: Path) -> bool:
    """Return whether a path is a folder or lies in it."""
    real = Path(os.path.realpath(path))
    return any(_same(folder, each) for each in (real, *real.parents))


def remove_others(out: Path, written: Collection[str]) -> None:
    """Remove results of an earlier run, which would belie those that were written."""
    for name in RESULTS:
        if name not in written:
            (out / name).unlink(missing_ok=True)


def sweep(out: Path) -> None:
    """Remove what killed runs left of results that they were writing to `out`."""
    atomic.remove_drafts(out)
    for path in (out / name for name in RESULTS):
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            atomic.remove_drafts(target.parent, target.name)


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


def check_space(directory: Path, n_bytes: int) -> None:
    """Check that the disk has room for results of `n_bytes`."""
    free = shutil.disk_usage(directory).free
    if free < n_bytes:
        raise UserError(
            f"{directory}: the disk has {size(free)} left, the results need about {size(n_bytes)}"
        )

"""Files that are written: whole or not at all, and never over results that were not given up."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unsup_fast.cli.errors import UserError
from unsup_fast.report.numbers import size

LABELS = ("labels.npy", "labels.parquet")
MODEL = "model.safetensors"
SUMMARY = "summary.json"
REPORT = "report.html"
CHECKPOINT = "checkpoint.safetensors"
TEMPORARY = ".{}.unsup-fast."
COORDINATES = ("coordinates.npy", "coordinates.parquet")
PROBABILITIES = ("probabilities.npy", "probabilities.parquet")
CONFIG = "model.json"
METRICS = "metrics.csv"
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a temporary file that takes the place of `path` if all goes well.

    The file is flushed to the disk before it is renamed, so that after a crash `path` is either
    what it was or complete. If anything is raised, it is what it was.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    name = ""
    try:
        check_regular(path)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY.format(path.name), dir=path.parent)
        os.close(handle)
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())  # after the writing, as some writers replace the file
        _sync(Path(name))
        os.replace(name, path)
        name = ""
        with suppress(OSError):  # some file systems cannot flush a directory
            _sync(path.parent)
    except OSError as error:
        raise UserError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        if name:
            with suppress(OSError):
                os.unlink(name)


@contextmanager
def directory(path: Path) -> Iterator[None]:
    """Make a directory, and remove it again if nothing was put into it.

    Raises
    ------
    UserError
        If it cannot be made.
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


def check_regular(path: Path) -> None:
    """Refuse to replace a directory, a device or a pipe."""
    if path.is_dir():
        raise UserError(f"{path}: is a directory; name a file")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is not a regular file, so it cannot be replaced")


def check_file(path: Path, option: str, suffixes: tuple[str, ...], overwrite: bool) -> None:
    """Check that a file of one of these kinds may and can be written.

    Raises
    ------
    UserError
        If not; the option that named it is told.
    """
    if path.suffix not in suffixes:
        raise UserError(f"{option} {path}: name a {' or '.join(suffixes)} file")
    check_regular(path)
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists already; name another file or pass --overwrite")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path.parent}: no such directory")
    check_writable(Path(os.path.realpath(path)).parent)


def check_directory(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Check that results may and can be put into `out`, without changing anything.

    Raises
    ------
    UserError
        If `out` is no directory, cannot be written to, or holds results and neither
        `overwrite` nor `resume` was given; or if there is nothing to resume.
    """
    if overwrite and resume:
        raise UserError("--overwrite and --resume exclude each other; pass one of them")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a directory for the results")
    found = [name for name in RESULTS if (out / name).exists()]
    if resume and CHECKPOINT not in found:
        state = "its run has finished" if found else "there are no results in it"
        raise UserError(f"{out}: has no checkpoint to resume ({state}); run without --resume")
    if found and not (overwrite or resume):
        hint = " or --resume" if CHECKPOINT in found else ""
        raise UserError(
            f"{out}: holds results already ({', '.join(found)}); "
            f"name another directory or pass --overwrite{hint}"
        )
    for name in found:
        check_regular(out / name)
    check_writable(out)


def remove_others(out: Path, written: Collection[str]) -> None:
    """Remove results of an earlier run, which would belie those that were written."""
    for name in RESULTS:
        if name not in written:
            (out / name).unlink(missing_ok=True)


def sweep(out: Path) -> None:
    """Remove what a killed run left of results that it was writing to `out`."""
    for path in (Path(os.path.realpath(out / name)) for name in RESULTS):
        for left in path.parent.glob(f"{TEMPORARY.format(path.name)}*"):
            left.unlink(missing_ok=True)
    # safetensors writes beside the file that it is told to write, under a name of its own.
    for left in out.glob(".tmp??????"):
        left.unlink(missing_ok=True)


def check_writable(directory: Path) -> None:
    """Check that files can be made in `directory`, or it in the nearest that exists."""
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

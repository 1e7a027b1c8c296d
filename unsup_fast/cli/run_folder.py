"""The folder of a run: what commands do to the results in it."""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from unsup_fast._types import Array
from unsup_fast.cli import checkpoint, results
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.files import (
    CHECKPOINT,
    CONFIG,
    MODEL,
    REPORT,
    RESULTS,
    SAMPLES,
    STUDENTS,
    Input,
    check_regular,
    check_writable,
    holds,
    same_file,
)
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.settings import CommandSettings
from unsup_fast.report.numbers import size
from unsup_fast.storage import atomic, locks

Unpacked = TypeVar("Unpacked")


@dataclass(frozen=True)
class RunFolder:
    """A folder that a run fills with results, and that later runs resume or replace.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @contextmanager
    def open(
        self, *, overwrite: bool, resume: bool = False, inputs: Iterable[Input] = ()
    ) -> Iterator[None]:
        """Check the folder, make it, and lock it against other runs while the block runs.

        Raises
        ------
        UserError
            As `check`, or if the run would replace, remove or later read one of its inputs.
        BlockingIOError
            If another run writes there.
        """
        self.check(overwrite=overwrite, resume=resume)
        self.check_inputs(inputs)
        with _directory(self.path), locks.exclusive(self.path):
            self.check(overwrite=overwrite, resume=resume)  # a run may have ended meanwhile
            self.remove_drafts()
            yield

    def check(self, *, overwrite: bool, resume: bool = False) -> None:
        """Check that results may and can be written here, without changing anything.

        Raises
        ------
        UserError
            If the path is no directory, cannot be written to, or holds results and neither
            `overwrite` nor `resume` is true; or if there is nothing to resume.
        """
        out = self.path
        if overwrite and resume:
            raise UserError("--overwrite and --resume exclude each other; pass one of them")
        if out.exists() and not out.is_dir():
            raise UserError(f"{out}: is a file; name a directory for the results")
        existing = [name for name in RESULTS if self.has(name)]
        listed = existing + ([f"{STUDENTS}/"] if self.students() else [])
        if resume and CHECKPOINT not in existing:
            state = "its run has finished" if listed else "there are no results in it"
            raise UserError(f"{out}: has no checkpoint to resume ({state}); run without --resume")
        if listed and not (overwrite or resume):
            hint = " or --resume" if CHECKPOINT in existing else ""
            raise UserError(
                f"{out}: holds results already ({', '.join(listed)}); "
                f"name another directory or pass --overwrite{hint}"
            )
        for name in existing:
            check_regular(out / name)
        check_writable(out)

    def check_inputs(self, inputs: Iterable[Input]) -> None:
        """Refuse inputs that the run would replace or remove, or that would hold its results."""
        out = self.path
        for read in inputs:
            if read.path.is_dir() and holds(read.path, out):
                raise UserError(
                    f"-o {out}: is in the folder {read.name} {read.path}, so results would become "
                    "data; name a directory outside it"
                )
            replaced = any(same_file(read.path, out / name) for name in RESULTS)
            if replaced or any(holds(out / name, read.path) for name in (SAMPLES, STUDENTS)):
                raise UserError(
                    f"-o {out}: the run would replace {read.path}, which it reads as {read.name}; "
                    "name another directory"
                )

    def check_trained(self) -> None:
        """Raise UserError if no model has been trained here yet."""
        if not (self.path / MODEL).is_file():
            begun = (self.path / CHECKPOINT).is_file()
            advice = "go on with its training first" if begun else "train one there first"
            raise UserError(f"{self.path}: holds no {MODEL}; {advice}")

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self.path / name).exists()

    def students(self) -> list[Path]:
        """Return the files of students for numbers of steps, which a distillation writes."""
        named = (self.path / STUDENTS).glob("*/*")
        return sorted(path for path in named if path.name in (MODEL, CONFIG))

    def inputs(self) -> list[Input]:
        """Return the results as inputs of a command that reads the run."""
        results = [self.path / name for name in RESULTS if self.has(name)]
        return [Input("RUN", path) for path in (*results, *self.students())]

    def check_space(self, n_bytes: int) -> None:
        """Check that the disk has room for results of `n_bytes`."""
        free = shutil.disk_usage(self.path).free
        if free < n_bytes:
            raise UserError(
                f"{self.path}: the disk has {size(free)} left, the results need about "
                f"{size(n_bytes)}"
            )

    def save(
        self, snapshot: checkpoint.Snapshot, settings: CommandSettings, data: dict[str, Any]
    ) -> None:
        """Write the checkpoint of a run with these settings on data with these fingerprints."""
        checkpoint.save(self.path / CHECKPOINT, snapshot, settings.course(), data)

    def load(
        self,
        kind: str,
        settings: CommandSettings,
        data: dict[str, Any],
        unpack: Callable[[dict[str, Array], dict[str, Any]], Unpacked],
    ) -> Unpacked:
        """Return what a checkpoint holds; its settings and data are compared with these."""
        return checkpoint.load(self.path / CHECKPOINT, kind, settings.course(), data, unpack)

    def write(
        self,
        write_data: Callable[[], Sequence[str]],
        draw_page: Callable[[], str] | None,
        interrupts: Interrupts,
        *,
        resumable: bool = False,
    ) -> tuple[list[str], bool]:
        """Write the results of a run, and remove those of earlier runs.

        All but the report are written even if a signal comes, which leaves the report out. The
        checkpoint is removed last.

        Parameters
        ----------
        write_data : callable
            Writes all files but the report, and returns their names.
        draw_page : callable or None
            Returns the report.
        interrupts : Interrupts
        resumable : bool
            Whether the checkpoint stays.

        Returns
        -------
        list of str
            Names of the files.
        bool
            Whether the report is complete, or not wanted.

        Raises
        ------
        UserError
            If a file cannot be written; the checkpoint is then still there.
        """
        written: list[str] = []
        try:
            with interrupts.shield():
                written += write_data()
            interrupts.check()
            if draw_page is not None:
                page = draw_page()
                with interrupts.shield():
                    results.write_text(self.path / REPORT, page)
                    written.append(REPORT)
        except KeyboardInterrupt:
            complete = draw_page is None or REPORT in written
        else:
            complete = True
        self.remove_others([*written, CHECKPOINT])
        if not resumable:
            (self.path / CHECKPOINT).unlink(missing_ok=True)
        elif self.has(CHECKPOINT):
            written.append(CHECKPOINT)
        return written, complete

    def remove_others(self, written: Collection[str]) -> None:
        """Remove results of an earlier run, which would contradict those that were written."""
        for name in RESULTS:
            if name not in written:
                (self.path / name).unlink(missing_ok=True)
        for path in self.students():
            path.unlink()
        for directory in (*(self.path / STUDENTS).glob("*/"), self.path / STUDENTS):
            with suppress(OSError):  # holds files of others, or is missing
                directory.rmdir()

    def remove_drafts(self) -> None:
        """Remove what killed runs left of results that they were writing."""
        for directory in (self.path, *(self.path / STUDENTS).glob("*/")):
            atomic.remove_drafts(directory)
        for path in (self.path / name for name in RESULTS):
            if path.is_symlink():
                target = Path(os.path.realpath(path))
                atomic.remove_drafts(target.parent, target.name)


@contextmanager
def _directory(path: Path) -> Iterator[None]:
    """Make a directory, and remove it again if nothing was put into it."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror or error}") from error
    try:
        yield
    finally:
        for each in missing:
            with suppress(OSError):  # not empty, so it stays
                each.rmdir()

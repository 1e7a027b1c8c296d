"""`unsup-fast kmeans`: from a data file to labels, a model and a report."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from unsup_fast import blocks, report
from unsup_fast._rows.directions import ZeroRowError
from unsup_fast.blocks import Source
from unsup_fast.cli import checkpoint, files, results, terminal
from unsup_fast.cli.data import (
    DataSettings,
    check_rows,
    image_shape,
    open_source,
    weighted,
    weights_column,
)
from unsup_fast.cli.errors import UserError, zero_row
from unsup_fast.cli.fitting import Kept, Result, fit
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.values import KMEANS_STARTS
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, real, seconds

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings(DataSettings):
    """The options of the command, as parsed."""

    out: Path
    n_clusters: int
    weights: str | None = None
    init: str = "k-means++"
    max_iter: int = 300
    tol: float = 1e-4
    tol_inertia: float | None = None
    standardize: bool = False
    seed: int = 0
    algorithm: str = "auto"
    metric: str = "euclidean"
    threads: int | None = None
    text: Path | None = None
    images: tuple[int, ...] | None = None
    title: str | None = None
    report: bool = True
    quiet: bool = False
    overwrite: bool = False
    resume: bool = False

    def course(self) -> dict[str, Any]:
        """Return what decides the course of a run, as compared when it is resumed."""
        return {
            "-k": self.n_clusters,
            **self.data_course(),
            "--weights": self.weights,
            "--init": self.init,
            "--tol": self.tol,
            "--tol-inertia": self.tol_inertia,
            "--standardize": self.standardize or None,
            "--seed": self.seed,
            "--algorithm": self.algorithm,
            "--metric": self.metric,
        }


@dataclass(frozen=True)
class Job:
    """All that a run needs, checked."""

    settings: Settings
    source: Source
    weights: Array | None
    init: Any
    lines: Lines | None
    image_shape: tuple[int, ...] | None
    fingerprints: dict[str, Any]


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    settings : Settings
    arguments : sequence of str
        The command line, to be repeated in the hint on how to resume.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable; raised before the fit begins.
    ImportError
        If a package that the report needs is missing; raised before the fit too.
    """
    console = terminal.console(quiet=settings.quiet)
    if settings.report:
        report.check()
    read = files.inputs_of(
        DATA=settings.data,
        weights=settings.weights,
        init=None if settings.init in KMEANS_STARTS else settings.init,
        text=settings.text,
    )
    with (
        Interrupts() as interrupts,
        files.run_folder(
            settings.out, overwrite=settings.overwrite, resume=settings.resume, inputs=read
        ),
    ):
        job = prepare(settings)
        before = _resumed(job) if settings.resume else None
        for line in _opening(job, before):
            console.print(line)
        results.warn(results.dominant(job))
        files.check_space(settings.out, _needed(job))
        result = _fit(job, before, console, interrupts)
        return _finish(job, result, before, arguments, console, interrupts)


def _resumed(job: Job) -> Kept | None:
    """Return the iteration to resume from, or None for the start."""
    settings = job.settings

    def unpack(arrays: dict[str, Array], state: dict[str, Any]) -> Kept | None:
        return Kept.unpacked(arrays, state, settings.n_clusters, job.source)

    path = settings.out / files.CHECKPOINT
    before = checkpoint.load(path, Kept.kind, settings.course(), job.fingerprints, unpack)
    if before is not None:
        check_iterations(settings, before)
    return before


def _save(job: Job, snapshot: Kept) -> None:
    path = job.settings.out / files.CHECKPOINT
    checkpoint.save(path, snapshot, job.settings.course(), job.fingerprints)


def _finish(
    job: Job,
    result: Result | None,
    before: Kept | None,
    arguments: Sequence[str],
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    go_on = checkpoint.command(arguments, resume=True)
    if result is None:
        what = f"iteration {before.iteration} is still kept" if before else "nothing is kept"
        console.print(f"[bold]Interrupted[/] before another iteration was finished: {what}.")
        console.print(f"To {'go on' if before else 'begin anew'}:", style="dim")
        terminal.emit(go_on if before else checkpoint.command(arguments, resume=False))
        return interrupts.status
    if result.interrupted:
        message = f"Interrupted; keeping iteration {result.model.n_iter_}"
        console.print(f"[bold]{message}[/] (Ctrl-C again leaves out the report).")
    written, complete = results.write(job, result, interrupts)
    if result.kept is not None and not result.interrupted and complete:
        _save(job, result.kept)  # only now that nothing of this run is missing
    for line in _closing(job, result, written):
        console.print(line)
    if not complete:
        console.print("The report was left out.")
    if result.interrupted:
        console.print("To go on:", style="dim")
        terminal.emit(go_on)
        return interrupts.status
    if result.kept is not None:
        console.print("To go on, give a larger --max-iter with --resume.", style="dim")
    return 0 if complete else interrupts.status


def prepare(settings: Settings) -> Job:
    """Read and check everything that the settings name."""
    if settings.init not in KMEANS_STARTS:
        blocks.kind_of(Path(settings.init))
    lines = Lines(settings.text) if settings.text else None
    source = open_source(settings, exclude=weights_column(settings.weights))
    source.moments  # noqa: B018  reads all values, and so finds what is wrong with them
    n_rows, n_columns = source.n_rows_of_data, source.n_columns
    source, weights = weighted(settings, settings.weights, source)
    check_rows(settings.data, source, settings.n_clusters, "-k")
    fingerprints = checkpoint.fingerprints(settings.data, source, settings.weights)
    if lines is not None and lines.count != n_rows:
        raise UserError(
            f"{settings.text}: has {count(lines.count)} lines, "
            f"{settings.data} has {count(n_rows)} rows; line i must belong to row i"
        )
    shape = image_shape(source, settings.images)
    return Job(settings, source, weights, _init(settings, n_columns), lines, shape, fingerprints)


def check_iterations(settings: Settings, before: Kept) -> None:
    """Refuse to resume a run that has done all --max-iter iterations."""
    if before.iteration >= settings.max_iter:
        raise UserError(
            f"{settings.out}: {before.iteration} iterations are done already; "
            "pass a larger --max-iter to go on"
        )


def _init(settings: Settings, n_columns: int) -> Any:
    if settings.init in KMEANS_STARTS:
        return settings.init
    init = blocks.source(settings.init).whole()
    if init.shape != (settings.n_clusters, n_columns):
        raise UserError(
            f"--init {settings.init}: has shape {init.shape}; "
            f"({settings.n_clusters}, {n_columns}) is needed"
        )
    return init


def _fit(job: Job, before: Kept | None, console: Console, interrupts: Interrupts) -> Result | None:
    settings = job.settings
    parameters = {
        "n_clusters": settings.n_clusters,
        "init": job.init,
        "n_init": 1,
        "max_iter": settings.max_iter,
        "tol": settings.tol,
        "tol_inertia": settings.tol_inertia,
        "standardize": settings.standardize,
        "random_state": settings.seed,
        "algorithm": settings.algorithm,
        "metric": settings.metric,
        "n_threads": settings.threads,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with showing(console, settings.quiet) as progress:
            try:
                result = fit(
                    job.source,
                    job.weights,
                    parameters,
                    before,
                    partial(_save, job),
                    progress,
                    interrupts,
                )
            except ZeroRowError as error:
                if error.name == "init":
                    raise zero_row(settings.init, error.row) from None
                row = job.source.rows_of_data(np.array(error.row))
                raise zero_row(settings.data, int(row)) from None
    for warning in caught:
        terminal.warn(warning.message)
    return result


def _needed(job: Job) -> int:
    """Bytes of all results: labels and centroids twice, for the checkpoint, and a report."""
    n_rows, n_columns = job.source.shape
    centers = job.settings.n_clusters * n_columns * job.source.dtype.itemsize
    return int(2 * (4 * n_rows + centers) + (8 << 20))


def _opening(job: Job, before: Kept | None) -> list[str | Text]:
    what = counted(job.settings.n_clusters, "cluster")
    lines: list[str | Text] = [*results.opening(job.settings.data, job.source, what)]
    if before is not None:
        lines.append(f"Going on after iteration {before.iteration}.")
    return lines


def _closing(job: Job, result: Result, written: Sequence[str]) -> list[str | Text]:
    model, took = result.model, seconds(result.seconds)
    how = "Converged" if result.converged else "Stopped"
    lines = [
        f"[bold]{how}[/] after {counted(model.n_iter_, 'iteration')} in {took}: {result.reason}.",
        f"inertia {real(model.inertia_)}",
    ]
    if hasattr(model, "cluster_sizes_"):
        sizes = model.cluster_sizes_
        lines[-1] += (
            f", clusters of {count(sizes.min())} to {count(sizes.max())} rows "
            f"(median {count(np.median(sizes))})"
        )
    return [*lines, results.closing(job.settings.out, written)]

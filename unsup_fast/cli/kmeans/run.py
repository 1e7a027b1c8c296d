"""`unsup-fast kmeans`: from a data file to labels, a model and a report."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from unsup_fast import report
from unsup_fast._types import Array
from unsup_fast.cli import checkpoint, engines, files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.kmeans import results
from unsup_fast.cli.kmeans.fitting import KMeansResult, KMeansSnapshot, fit
from unsup_fast.cli.kmeans.job import KMeansJob, prepare
from unsup_fast.cli.kmeans.settings import STARTS, KMeansSettings
from unsup_fast.cli.matrices import zero_rows
from unsup_fast.cli.progress import showing
from unsup_fast.cli.results import closing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.report.numbers import count, counted, real, seconds


def run(settings: KMeansSettings) -> int:
    """Run the command and return its exit status.

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
        init=None if settings.init in STARTS else settings.init,
        text=settings.text,
    )
    folder = RunFolder(settings.out)
    with (
        Interrupts() as interrupts,
        folder.open(overwrite=settings.overwrite, resume=settings.resume, inputs=read),
    ):
        job = prepare(settings)
        before = _resumed(job, folder) if settings.resume else None
        job.show_opening(console, counted(settings.n_clusters, "cluster"))
        if before is not None:
            console.print(f"Going on after iteration {before.iteration}.")
        job.warn_of_dominant()
        folder.check_space(job.result_bytes())
        result = _fit(job, before, folder, console, interrupts)
        if result is None:
            what = f"iteration {before.iteration} is still kept" if before else "nothing is kept"
            console.print(f"[bold]Interrupted[/] before another iteration was finished: {what}.")
            checkpoint.hint(console, settings.arguments, resume=before is not None)
            return interrupts.status
        return _finish(job, result, folder, console, interrupts)


def _resumed(job: KMeansJob, folder: RunFolder) -> KMeansSnapshot | None:
    """Return the iteration to resume from, or None for the start."""
    settings = job.settings

    def unpack(arrays: dict[str, Array], state: dict[str, Any]) -> KMeansSnapshot | None:
        return KMeansSnapshot.unpacked(arrays, state, settings.n_clusters, job.source)

    before = folder.load(KMeansSnapshot.kind, settings, job.fingerprints, unpack)
    if before is not None and before.iteration >= settings.max_iter:
        raise UserError(
            f"{settings.out}: {before.iteration} iterations are done already; "
            "pass a larger --max-iter to go on"
        )
    return before


def _fit(
    job: KMeansJob,
    before: KMeansSnapshot | None,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> KMeansResult | None:
    settings = job.settings
    parameters = {
        "n_clusters": settings.n_clusters,
        "init": job.init,
        "n_init": 1,
        "max_iter": settings.max_iter,
        "tol": settings.tol,
        "tol_inertia": settings.tol_inertia,
        "levels": None if settings.levels is None else [settings.levels],
        "standardize": settings.standardize,
        "random_state": settings.seed,
        "algorithm": settings.algorithm,
        "metric": settings.metric,
        "n_threads": settings.threads,
    }
    save = partial(folder.save, settings=settings, data=job.fingerprints)
    with (
        terminal.showing_warnings(),
        showing(console, settings.quiet) as progress,
        zero_rows(settings.data, job.source, settings.init),
        engines.opened(settings.engine) as engine,
    ):
        return fit(job.source, job.weights, parameters, engine, before, save, progress, interrupts)


def _finish(
    job: KMeansJob,
    result: KMeansResult,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    settings = job.settings
    if result.interrupted:
        message = f"Interrupted; keeping iteration {result.model.n_iter_}"
        console.print(f"[bold]{message}[/] (Ctrl-C again leaves out the report).")
    with_report = settings.report and hasattr(result.model, "labels_")
    summary = results.summarise(job, result)

    def page() -> str:
        what = f"in {counted(settings.n_clusters, 'cluster')}"
        return report.kmeans(job.content(what, result.model, summary, files.LABELS))

    written, complete = folder.write(
        lambda: results.write(job, result, summary),
        page if with_report else None,
        interrupts,
        resumable=result.snapshot is not None,
    )
    if result.snapshot is not None and not result.interrupted and complete:
        folder.save(result.snapshot, settings, job.fingerprints)  # nothing of this run is missing
    for line in _closing(job, result, written):
        console.print(line)
    if not complete:
        console.print("The report was left out.")
    if result.interrupted:
        checkpoint.hint(console, settings.arguments, resume=True)
        return interrupts.status
    if result.snapshot is not None:
        console.print("To go on, give a larger --max-iter with --resume.", style="dim")
    return 0 if complete else interrupts.status


def _closing(job: KMeansJob, result: KMeansResult, written: Sequence[str]) -> list[str | Text]:
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
    return [*lines, closing(job.settings.out, written)]

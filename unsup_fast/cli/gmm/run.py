"""`unsup-fast gmm`: from a data file to a mixture, labels and a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console

from unsup_fast import report
from unsup_fast._types import Array
from unsup_fast.cli import checkpoint, engines, files, matrices, results, terminal
from unsup_fast.cli.data import (
    check_rows,
    image_shape,
    open_source,
    weighted,
    weights_column,
)
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.gmm.fits import Fits, GmmResult
from unsup_fast.cli.gmm.settings import GmmSettings
from unsup_fast.cli.gmm.snapshot import GmmSnapshot, unpacked
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.job import FitJob
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.mixture import GaussianMixture
from unsup_fast.report.numbers import count, counted, real, seconds


@dataclass(frozen=True, kw_only=True)
class GmmJob(FitJob):
    """All that a run needs, checked."""

    settings: GmmSettings


def run(settings: GmmSettings) -> int:
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
    read = files.inputs_of(DATA=settings.data, weights=settings.weights)
    folder = RunFolder(settings.out)
    with (
        Interrupts() as interrupts,
        folder.open(overwrite=settings.overwrite, resume=settings.resume, inputs=read),
    ):
        job = prepare(settings)
        snapshot = _resumed(job, folder) if settings.resume else GmmSnapshot()
        job.show_opening(console, _wanted(settings.n_components))
        if settings.resume:
            console.print(_resumption(snapshot))
        job.warn_of_dominant()
        folder.check_space(_needed(job))
        selected = _fit(job, snapshot, folder, console, interrupts)
        if selected is None:
            console.print("[bold]Interrupted[/] before an iteration was finished: nothing is kept.")
            checkpoint.hint(console, settings.arguments, resume=False)
            return interrupts.status
        status = _finish(job, selected, folder, console, interrupts)
        if selected.interrupted:
            checkpoint.hint(console, settings.arguments, resume=True)
        return status


def _resumed(job: GmmJob, folder: RunFolder) -> GmmSnapshot:
    """Return the fits that are done, and the state of the one that is not."""
    settings = job.settings

    def unpack(arrays: dict[str, Array], state: dict[str, Any]) -> GmmSnapshot:
        return unpacked(
            arrays, state, settings.n_components, settings.parameters(), job.source.n_columns
        )

    return folder.load(GmmSnapshot.kind, settings, job.fingerprints, unpack)


def _fit(
    job: GmmJob,
    snapshot: GmmSnapshot,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> GmmResult | None:
    """Make the fits, and print what is warned of between them."""
    settings = job.settings
    with (
        terminal.showing_warnings(),
        showing(console, settings.quiet) as progress,
        engines.opened(settings.engine) as engine,
    ):
        return Fits(
            job.source,
            job.weights,
            settings.n_components,
            settings.parameters(),
            settings.criterion,
            engine,
            snapshot,
            partial(folder.save, settings=settings, data=job.fingerprints),
            progress,
            interrupts,
        ).result()


def prepare(settings: GmmSettings) -> GmmJob:
    """Read and check everything that the settings name."""
    if settings.engine is not None and settings.init == "random":
        raise UserError(
            "--init random draws a number for each row and component one after the other, so it "
            "is not available with --engine; pass --init kmeans, k-means++ or random_from_data"
        )
    source = open_source(settings, exclude=weights_column(settings.weights))
    source.moments  # noqa: B018  reads all values, and so finds what is wrong with them
    source, weights = weighted(settings, settings.weights, source)
    if source.n_rows < 2:
        raise UserError(f"{settings.data}: has one row; a mixture needs two")
    check_rows(settings.data, source, settings.n_components[-1], "-k")
    return GmmJob(
        settings=settings,
        source=source,
        weights=weights,
        image_shape=image_shape(source, settings.images),
        fingerprints=checkpoint.fingerprints(settings.data, source, settings.weights),
    )


def _finish(
    job: GmmJob,
    selected: GmmResult,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    settings, source, model = job.settings, job.source, selected.model
    if selected.interrupted:
        what = f"iteration {model.n_iter_}" if len(selected.records) == 1 else "the finished fits"
        console.print(f"[bold]Interrupted; keeping {what}[/] (Ctrl-C again leaves out the report).")
    model.__dict__.pop("feature_names_in_", None)
    summary = summarise(job, selected)
    labels: Array

    def write() -> list[str]:
        nonlocal labels
        labels = model.predict(source)
        names = _write_rows(job, model, labels)
        return [*names, *results.write_model(settings.out, model, source, summary)]

    def page() -> str:
        what = f"as a mixture of {counted(selected.record.components, 'component')}"
        return report.gmm(job.content(what, model, summary, files.LABELS), labels)

    written, complete = folder.write(
        write,
        page if settings.report else None,
        interrupts,
        resumable=selected.interrupted,
    )
    for line in _closing(job, selected, summary):
        console.print(line)
    console.print(results.closing(settings.out, written))
    if not complete:
        console.print("The report was left out.")
    return interrupts.status if selected.interrupted or not complete else 0


def _write_rows(job: GmmJob, model: GaussianMixture, labels: Array) -> list[str]:
    """Write labels, and probabilities if they are wanted; return the files' names."""
    out, table = job.settings.out, job.is_table
    labels = job.source.spread(labels, results.NO_LABEL)
    results.write_labels(out / files.LABELS[table], labels)
    if not job.settings.proba:
        return [files.LABELS[table]]
    names = [f"p{k}" for k in range(model.n_components)]
    probabilities = matrices.computed(job.source, model.predict_proba, len(names))
    matrices.write(out / files.PROBABILITIES[table], probabilities, len(labels), names)
    return [files.LABELS[table], files.PROBABILITIES[table]]


def summarise(job: GmmJob, selected: GmmResult) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    record = selected.record
    figures = {
        "components": record.components,
        "log_likelihood": record.log_likelihood,
        "bic": record.bic,
        "aic": record.aic,
        "iterations": record.iterations,
        "converged": record.converged,
        "stopped": _reason(job.settings, selected),
        "seconds": round(sum(each.seconds for each in selected.records), 4),
        "weights": selected.model.weights_.astype(np.float64).tolist(),
        "fits": selected.listed(),
    }
    return job.summary("gmm", figures)


def _reason(settings: GmmSettings, selected: GmmResult) -> str:
    """Return why the best fit stopped, as a sentence's end."""
    if selected.record.converged:
        return "the likelihood changed by less than --tol"
    if selected.interrupted and len(selected.records) == 1 and selected.record.iterations:
        return "interrupted"
    return f"reached --max-iter {settings.max_iter}"


def _closing(job: GmmJob, selected: GmmResult, summary: dict[str, Any]) -> list[str]:
    record, result = selected.record, summary["result"]
    lines = []
    if len(job.settings.n_components) > 1:
        name = job.settings.criterion.upper()
        of = counted(len(selected.records), "fit")
        lines.append(
            f"[bold]{counted(record.components, 'component')}[/] have the least {name} of {of}."
        )
    how = "Converged" if record.converged else "Stopped"
    lines.append(
        f"[bold]{how}[/] after {counted(record.iterations, 'iteration')} in "
        f"{seconds(result['seconds'])}: {result['stopped']}."
    )
    lines.append(
        f"log-likelihood {real(record.log_likelihood)} a row, BIC {real(record.bic)}, "
        f"AIC {real(record.aic)}"
    )
    return lines


def _resumption(snapshot: GmmSnapshot) -> str:
    """Return a line that says what is done already."""
    done = []
    if snapshot.records:
        done.append(counted(len(snapshot.records), "finished fit"))
    if snapshot.now is not None:
        done.append(f"iteration {len(snapshot.now.lower_bounds)}")
    return f"Going on after {' and '.join(done) or counted(snapshot.starts, 'start')}."


def _wanted(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return counted(numbers[0], "component")
    return f"{count(len(numbers))} fits of {numbers[0]} to {numbers[-1]} components"


def _needed(job: GmmJob) -> int:
    """Bytes of all results: labels, probabilities, four of the largest mixture, and a report."""
    settings, (n_rows, n_columns) = job.settings, job.source.shape
    k = settings.n_components[-1]
    matrices_ = k if settings.covariance == "full" else 1
    of_rows = n_rows * (4 + job.source.dtype.itemsize * k * settings.proba)
    return int(of_rows + 4 * 16 * matrices_ * n_columns**2 + (8 << 20))

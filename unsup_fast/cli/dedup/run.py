"""`unsup-fast dedup`: from rows to the pairs of near-duplicates, and the rows to keep."""

from typing import Any

import numpy as np
from rich.console import Console

from unsup_fast import report
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.dedup.job import Clusters, DedupJob, prepare
from unsup_fast.cli.dedup.search import Found, search
from unsup_fast.cli.dedup.settings import DedupSettings
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.kmeans.fitting import KMeansResult, KMeansSnapshot, fit
from unsup_fast.cli.matrices import zero_rows
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.report.numbers import count, counted, percent, seconds

ROW_BYTES = 5  # of the results: keep and label
TOL = 1e-4  # of k-means


def run(settings: DedupSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If a package that the results need is missing; raised before anything is computed.
    """
    console = terminal.console(quiet=settings.quiet)
    if settings.report:
        report.check()
    model = settings.model
    read = files.inputs_of(
        DATA=settings.data,
        labels=settings.labels,
        model=model / files.MODEL if model is not None and model.is_dir() else model,
        text=settings.text,
    )
    folder = RunFolder(settings.out)
    with Interrupts() as interrupts, folder.open(overwrite=settings.overwrite, inputs=read):
        job = prepare(settings)
        folder.check_space(ROW_BYTES * job.source.n_rows_of_data)
        what = f"near-duplicates at {settings.metric} {settings.threshold:g}"
        for line in results.opening(settings.data, job.source, what):
            console.print(line)
        with (
            terminal.showing_warnings(),
            showing(console, settings.quiet) as progress,
            zero_rows(settings.data, job.source),
        ):
            clusters, fitted = job.clusters, None
            if clusters is None:
                fitted = _fit(job, progress, interrupts)
                if fitted is not None and not fitted.interrupted:
                    clusters = Clusters(fitted.model, fitted.model.labels_)
            found = None
            if clusters is not None:
                pairs = settings.out / files.PAIRS[job.is_table]
                found = search(job, clusters, pairs, progress, interrupts)
        if found is None or clusters is None:
            return _stopped(job, fitted, folder, console, interrupts)
        return _finish(job, clusters, found, folder, console, interrupts)


def _fit(job: DedupJob, progress: Silent, interrupts: Interrupts) -> KMeansResult | None:
    settings = job.settings
    parameters = {
        "n_clusters": settings.n_clusters,
        "init": "k-means++",
        "n_init": 1,
        "max_iter": settings.max_iter,
        "tol": TOL,
        "tol_inertia": None,
        "random_state": settings.seed,
        "metric": settings.metric,
        "n_threads": settings.threads,
    }
    return fit(job.source, None, parameters, None, _unsaved, progress, interrupts)


def _unsaved(snapshot: KMeansSnapshot) -> None:
    """Write no checkpoint: an interrupted fit saves its model."""


def _stopped(
    job: DedupJob,
    fitted: KMeansResult | None,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Save the clusters of an interrupted fit, and return the exit status."""
    if fitted is None:
        console.print("[bold]Interrupted[/] before an iteration was finished: nothing is saved.")
        return interrupts.status
    iterations = int(fitted.model.n_iter_)
    summary = job.summary({"iterations": iterations, "stopped": fitted.reason})
    written, _ = folder.write(
        lambda: results.write_model(job.settings.out, fitted.model, job.source, summary),
        None,
        interrupts,
    )
    console.print(
        f"[bold]Interrupted[/] after {counted(iterations, 'iteration')} of k-means, before rows "
        "were compared."
    )
    console.print(results.closing(job.settings.out, written))
    console.print(f"To compare rows, pass --model {files.MODEL} of it and another -o.", style="dim")
    return interrupts.status


def _finish(
    job: DedupJob,
    clusters: Clusters,
    found: Found,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    settings, interrupted = job.settings, found.searched < 1
    summary = job.summary(_figures(job, clusters, found))

    def page() -> str:
        return report.dedup(
            report.Duplicates(
                title=settings.title or f"Near-duplicates in {settings.data.name}",
                data_name=settings.data.name,
                summary=summary,
                keep_name=files.KEEP[job.is_table],
                examples=found.examples,
                lines=job.lines,
            )
        )

    written, complete = folder.write(
        lambda: _write(job, clusters, found, summary),
        page if settings.report and not interrupted else None,
        interrupts,
    )
    kept = int(np.count_nonzero(found.removal.keep()))
    removed = job.source.n_rows - kept
    if interrupted:
        console.print(
            f"[bold]Interrupted[/] after {percent(found.searched)} of the comparisons: rows that "
            "were not compared are kept."
        )
    console.print(
        f"[bold]{counted(removed, 'row')}[/] of {count(job.source.n_rows)} "
        f"({percent(removed / job.source.n_rows)}) are near-duplicates, "
        f"of {counted(found.n_pairs, 'pair')}, in {seconds(found.seconds)}."
    )
    for line in _table(found, job):
        console.print(line, highlight=False)
    console.print(results.closing(settings.out, written))
    return interrupts.status if interrupted or not complete else 0


def _figures(job: DedupJob, clusters: Clusters, found: Found) -> dict[str, Any]:
    kept = int(np.count_nonzero(found.removal.keep()))
    labels = clusters.labels
    return {
        "pairs": found.n_pairs,
        "rows_kept": kept,
        "rows_removed": job.source.n_rows - kept,
        "clusters": len(np.unique(labels[labels >= 0])),
        "share_compared": found.searched,
        "seconds": round(found.seconds, 4),
        "thresholds": [level._asdict() for level in found.removal.levels()],
    }


def _write(job: DedupJob, clusters: Clusters, found: Found, summary: dict[str, Any]) -> list[str]:
    """Write what rows to keep, and a fitted model; return the names of the files."""
    out, source = job.settings.out, job.source
    name = files.KEEP[job.is_table]
    results.write_labels(out / name, source.spread(found.removal.keep(), False), "keep")
    written = [name, files.PAIRS[job.is_table]]
    if job.clusters is not None:
        results.write_summary(out / files.SUMMARY, summary)
        return [*written, files.SUMMARY]
    labels = files.LABELS[job.is_table]
    results.write_labels(out / labels, source.spread(clusters.labels, results.NO_LABEL))
    return [*written, labels, *results.write_model(out, clusters.model, source, summary)]


def _table(found: Found, job: DedupJob) -> list[str]:
    """Return lines that say what other thresholds would remove."""
    lines = ["threshold       pairs   removed rows"]
    for level in found.removal.levels():
        share = percent(level.removed / job.source.n_rows)
        lines.append(
            f"{level.threshold:9.6g}{count(level.pairs):>12}{count(level.removed):>15}  ({share})"
        )
    return lines

"""`unsup-fast dedup`: from rows to the pairs of near-duplicates, and the rows to keep."""

from contextlib import suppress
from typing import Any

import numpy as np
from rich.console import Console

from unsup_fast import report
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.dedup.clusters import Clusters, clustered
from unsup_fast.cli.dedup.job import DedupJob, prepare
from unsup_fast.cli.dedup.search import SearchResult, search
from unsup_fast.cli.dedup.settings import DedupSettings
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.matrices import zero_rows
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.report.numbers import count, counted, percent, seconds

ROW_BYTES = 5  # of the results: keep and label


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
            clusters, outcome = clustered(job, progress, interrupts), None
            pairs = settings.out / files.PAIRS[job.is_table]
            if clusters is not None and clusters.complete:
                with suppress(KeyboardInterrupt):  # before the first rows were compared
                    outcome = search(job, clusters, pairs, progress, interrupts)
        if outcome is None or clusters is None:
            return _stopped(job, clusters, folder, console, interrupts)
        return _finish(job, clusters, outcome, folder, console, interrupts)


def _stopped(
    job: DedupJob,
    clusters: Clusters | None,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Save clusters that were fitted for an interrupted run, and return the exit status."""
    if clusters is None or not clusters.fitted:
        console.print("[bold]Interrupted[/] before rows were compared: nothing is saved.")
        return interrupts.status
    model, out = clusters.model, job.settings.out
    iterations = int(model.n_iter_)
    summary = job.summary({"iterations": iterations})
    written, _ = folder.write(
        lambda: results.write_model(out, model, job.source, summary), None, interrupts
    )
    console.print(
        f"[bold]Interrupted[/] after {counted(iterations, 'iteration')} of k-means, before rows "
        "were compared."
    )
    console.print(results.closing(out, written))
    console.print("To compare rows in these clusters, pass --model and another -o.", style="dim")
    return interrupts.status


def _finish(
    job: DedupJob,
    clusters: Clusters,
    outcome: SearchResult,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    settings, interrupted = job.settings, outcome.share < 1
    summary = job.summary(_figures(job, clusters, outcome))

    def page() -> str:
        return report.dedup(
            report.Duplicates(
                title=settings.title or f"Near-duplicates in {settings.data.name}",
                data_name=settings.data.name,
                summary=summary,
                keep_name=files.KEEP[job.is_table],
                examples=outcome.examples,
                lines=job.lines,
            )
        )

    written, complete = folder.write(
        lambda: _write(job, clusters, outcome, summary),
        page if settings.report and not interrupted else None,
        interrupts,
    )
    n_keep = int(np.count_nonzero(outcome.removal.keep()))
    removed = job.source.n_rows - n_keep
    if interrupted:
        console.print(
            f"[bold]Interrupted[/] after {percent(outcome.share)} of the comparisons: rows that "
            "were not compared stay."
        )
    console.print(
        f"[bold]{counted(removed, 'row')}[/] of {count(job.source.n_rows)} "
        f"({percent(removed / job.source.n_rows)}) are near-duplicates, "
        f"of {counted(outcome.n_pairs, 'pair')}, in {seconds(outcome.seconds)}."
    )
    for line in _table(outcome, job):
        console.print(line, highlight=False)
    console.print(results.closing(settings.out, written))
    return interrupts.status if interrupted or not complete else 0


def _figures(job: DedupJob, clusters: Clusters, outcome: SearchResult) -> dict[str, Any]:
    n_keep = int(np.count_nonzero(outcome.removal.keep()))
    labels = clusters.labels
    return {
        "pairs": outcome.n_pairs,
        "rows_to_keep": n_keep,
        "rows_removed": job.source.n_rows - n_keep,
        "clusters": len(np.unique(labels[labels >= 0])),
        "share_compared": outcome.share,
        "seconds": round(outcome.seconds, 4),
        "thresholds": [level._asdict() for level in outcome.removal.levels()],
    }


def _write(
    job: DedupJob, clusters: Clusters, outcome: SearchResult, summary: dict[str, Any]
) -> list[str]:
    """Write what rows to keep, and a fitted model; return the names of the files."""
    out, source = job.settings.out, job.source
    name = files.KEEP[job.is_table]
    results.write_labels(out / name, source.spread(outcome.removal.keep(), False), "keep")
    written = [name, files.PAIRS[job.is_table]]
    if not clusters.fitted:
        results.write_summary(out / files.SUMMARY, summary)
        return [*written, files.SUMMARY]
    labels = files.LABELS[job.is_table]
    results.write_labels(out / labels, source.spread(clusters.labels, results.NO_LABEL))
    return [*written, labels, *results.write_model(out, clusters.model, source, summary)]


def _table(outcome: SearchResult, job: DedupJob) -> list[str]:
    """Return lines that say what other thresholds would remove."""
    lines = ["threshold       pairs   removed rows"]
    for level in outcome.removal.levels():
        share = percent(level.removed / job.source.n_rows)
        lines.append(
            f"{level.threshold:9.6g}{count(level.pairs):>12}{count(level.removed):>15}  ({share})"
        )
    return lines

"""The files that a run leaves behind."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.text import Text

from unsup_fast import report
from unsup_fast._rows import scaling
from unsup_fast._text import valid
from unsup_fast.blocks import Source
from unsup_fast.cli import files, info, terminal
from unsup_fast.cli.data import TABLES, dominant_column, named
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.fitting import Result
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.kernels import _native, threads
from unsup_fast.report.numbers import counted
from unsup_fast.storage import records

if TYPE_CHECKING:
    from unsup_fast.cli.kmeans import Job

Array = npt.NDArray[Any]

NO_LABEL = -1  # of a row that was dropped for its missing values
SUMMARY = "summary"
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def write(job: "Job", result: Result, interrupts: Interrupts) -> tuple[list[str], bool]:
    """Write labels, model, summary and report.

    All but the report are written even if a signal comes, which leaves the report out. The
    checkpoint is removed last, and only if there is nothing to resume.

    Returns
    -------
    list of str
        Names of the files in the directory of results.
    bool
        Whether no signal came.

    Raises
    ------
    UserError
        If a file cannot be written; the checkpoint is then still there.
    """
    out, model = job.settings.out, result.model
    written: list[str] = []
    complete = True
    try:
        with interrupts.shield():
            _write_data(job, result, written)
        interrupts.check()
        if job.settings.report and hasattr(model, "labels_"):
            page = report.kmeans(content(job, result))
            with interrupts.shield():
                write_text(out / files.REPORT, page)
                written.append(files.REPORT)
    except KeyboardInterrupt:
        complete = files.REPORT in written or not job.settings.report
    files.remove_others(out, [*written, files.CHECKPOINT])
    if result.kept is None:
        (out / files.CHECKPOINT).unlink(missing_ok=True)
    elif (out / files.CHECKPOINT).exists():
        written.append(files.CHECKPOINT)
    return written, complete


def _write_data(job: "Job", result: Result, written: list[str]) -> None:
    out, model = job.settings.out, result.model
    if hasattr(model, "labels_"):
        name = files.LABELS[job.source.kind in TABLES]
        write_labels(out / name, job.source.spread(model.labels_, NO_LABEL))
        written.append(name)
    written += write_model(out, model, job.source, summarise(job, result))


def write_model(
    out: Path, model: Any, source: Source, summary: Mapping[str, Any]
) -> tuple[str, str]:
    """Write a model, with the names of the columns, and the summary; return the files' names."""
    if named(source):
        model.feature_names_in_ = np.array(source.names, dtype=object)
    try:
        model.save(out / files.MODEL)
    except ValueError as error:
        raise UserError(f"{out / files.MODEL}: {error}") from error
    write_summary(out / files.SUMMARY, summary)
    return files.MODEL, files.SUMMARY


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a summary with a checksum; a number that is not finite becomes null."""
    content = valid(records.finite(summary))
    records.write(path, content, kind=SUMMARY, what="the summary")


def as_json(summary: Mapping[str, Any]) -> str:
    """Return a summary as JSON to print; a number that is not finite becomes null."""
    return records.dumps(valid(records.finite(summary)), "the result", indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with files.replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_labels(path: Path, labels: Array, distances: Array | None = None) -> None:
    """Write labels as `.npy`, or labels and distances as `.parquet` or `.csv`."""
    with files.replacing(path) as file:
        if path.suffix == ".npy":
            np.save(file, labels, allow_pickle=False)
            return
        import pyarrow as pa

        columns = {"label": labels}
        if distances is not None:
            columns["distance"] = distances
        if path.suffix == ".parquet":
            import pyarrow.parquet as parquet

            parquet.write_table(pa.table(columns), file)
        else:
            import pyarrow.csv as csv

            # pyarrow would put the names of the columns in quotes.
            file.write((",".join(columns) + "\n").encode())
            csv.write_csv(pa.table(columns), file, csv.WriteOptions(include_header=False))


def summarise(job: "Job", result: Result) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    settings, source, model = job.settings, job.source, result.model
    summary: dict[str, Any] = {
        "command": "kmeans",
        "data": about(settings.data, source, job.fingerprints["data"], dominant(job)),
        "parameters": {
            "n_clusters": settings.n_clusters,
            "init": settings.init,
            "max_iter": settings.max_iter,
            "tol": settings.tol,
            "tol_inertia": settings.tol_inertia,
            "standardize": settings.standardize,
            "seed": settings.seed,
            "algorithm": settings.algorithm,
            "metric": settings.metric,
            "threads": settings.threads,
            **settings.data_parameters(source),
            "weights": settings.weights,
        },
        "result": {
            "inertia": float(model.inertia_),
            "explained": explained(job, result),
            "iterations": int(model.n_iter_),
            "converged": result.converged,
            "stopped": result.reason,
            "seconds": round(result.seconds, 4),
        },
        "machine": machine(settings.threads),
        "versions": versions(),
    }
    if hasattr(model, "cluster_sizes_"):
        sizes = model.cluster_sizes_
        summary["result"]["cluster_sizes"] = {
            f"{share:.0%}": float(np.quantile(sizes, share)) for share in QUANTILES
        }
        summary["result"]["empty_clusters"] = int(np.count_nonzero(sizes == 0))
    return summary


def dominant(job: "Job") -> str | None:
    """Return a warning if distances tell of one column alone, or None."""
    settings = job.settings
    # Rows at unit length have other variances.
    if settings.standardize or settings.metric != "euclidean":
        return None
    return dominant_column(job.source)


def warn(line: str | None) -> None:
    """Print a warning, if there is one."""
    if line is not None:
        terminal.warn(line)


def about(
    path: Path, source: Source, fingerprint: Mapping[str, Any], warning: str | None = None
) -> dict[str, Any]:
    """Return what `summary.json` says of the data."""
    n_rows, n_columns = source.shape
    return {
        "file": str(path),
        "rows": n_rows,
        "columns": n_columns,
        "column_names": list(source.names) if source.names else None,
        "dtype_in_file": source.source_dtype,
        "dtype": str(source.dtype),
        "notes": [*source.notes, *([_sentence(warning)] if warning else [])],
        **fingerprint,
    }


def _sentence(warning: str) -> str:
    return f"{warning[:1].upper()}{warning[1:]}."


def opening(path: Path, source: Source, what: str) -> list[Text]:
    """Return lines that describe the data, and what is to be done with them."""
    n_rows, n_columns = source.shape
    return [
        terminal.bold(
            path.name,
            f"  {counted(n_rows, 'row')} x {counted(n_columns, 'column')}, {source.dtype}, {what}",
        ),
        *(terminal.plain(note, "dim") for note in source.notes),
    ]


def closing(out: Path, written: Sequence[str]) -> Text:
    """Return a line that lists the files in `out`."""
    return terminal.bold(f"{out}/", f"  {'  '.join(written)}")


def explained(job: "Job", result: Result) -> float | None:
    """Return the share of the variance that the clusters explain; None with weights or cosines."""
    scale = scaling.pow2_scale(result.model)
    variance = job.source.moments.variance / (1.0 if scale is None else scale.astype(float) ** 2)
    total = float(variance.sum()) * job.source.n_rows
    if job.weights is not None or total == 0 or job.settings.metric != "euclidean":
        return None
    return 1 - float(result.model.inertia_) / total


def machine(n_threads: int | None) -> dict[str, Any]:
    """Return what the speed of a run depends on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads.effective(n_threads),
        "simd": _native.simd(),
    }


def versions() -> dict[str, str]:
    """Return the versions that took part."""
    return {
        "unsup_fast": info.version("unsup-fast"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def content(job: "Job", result: Result) -> report.Content:
    """Return the content of the report."""
    settings = job.settings
    clusters = counted(settings.n_clusters, "cluster")
    return report.Content(
        title=settings.title or f"{settings.data.name} in {clusters}",
        data_name=settings.data.name,
        X=job.source,
        model=result.model,
        summary=summarise(job, result),
        labels_name=files.LABELS[job.source.kind in TABLES],
        lines=job.lines,
        image_shape=job.image_shape,
    )

"""The results of `unsup-fast kmeans`: labels, model, summary and the content of the report."""

from typing import Any

import numpy as np

from unsup_fast import report
from unsup_fast._rows import scaling
from unsup_fast.cli import files, results
from unsup_fast.cli.data import TABLES
from unsup_fast.cli.kmeans.fitting import KMeansResult
from unsup_fast.cli.kmeans.job import KMeansJob
from unsup_fast.report.numbers import counted

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def write(job: KMeansJob, result: KMeansResult) -> list[str]:
    """Write labels, model and summary, and return the names of the files."""
    out, model = job.settings.out, result.model
    written: list[str] = []
    if hasattr(model, "labels_"):
        name = files.LABELS[job.source.kind in TABLES]
        results.write_labels(out / name, job.source.spread(model.labels_, results.NO_LABEL))
        written.append(name)
    return [*written, *results.write_model(out, model, job.source, summarise(job, result))]


def summarise(job: KMeansJob, result: KMeansResult) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    settings, source, model = job.settings, job.source, result.model
    figures: dict[str, Any] = {
        "inertia": float(model.inertia_),
        "explained": explained(job, result),
        "iterations": int(model.n_iter_),
        "converged": result.converged,
        "stopped": result.reason,
        "seconds": round(result.seconds, 4),
    }
    if hasattr(model, "cluster_sizes_"):
        sizes = model.cluster_sizes_
        figures["cluster_sizes"] = {
            f"{share:.0%}": float(np.quantile(sizes, share)) for share in QUANTILES
        }
        figures["empty_clusters"] = int(np.count_nonzero(sizes == 0))
    return {
        "command": "kmeans",
        "data": results.about(settings.data, source, job.fingerprints["data"], job.dominant()),
        "parameters": settings.recorded_of(source),
        "result": figures,
        "machine": results.machine(settings.threads),
        "versions": results.versions(),
    }


def explained(job: KMeansJob, result: KMeansResult) -> float | None:
    """Return the share of the variance that the clusters explain; None with weights or cosines."""
    scale = scaling.scale_of(result.model)
    variance = job.source.moments.variance / (1.0 if scale is None else scale.astype(float) ** 2)
    total = float(variance.sum()) * job.source.n_rows
    if job.weights is not None or total == 0 or job.settings.metric != "euclidean":
        return None
    return 1 - float(result.model.inertia_) / total


def content(job: KMeansJob, result: KMeansResult) -> report.Content:
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

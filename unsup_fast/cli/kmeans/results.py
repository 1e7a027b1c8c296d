"""The results of `unsup-fast kmeans`: labels, model and summary."""

from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.cli import files, results
from unsup_fast.cli.kmeans.fitting import KMeansResult
from unsup_fast.cli.kmeans.job import KMeansJob

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def write(job: KMeansJob, result: KMeansResult, summary: dict[str, Any]) -> list[str]:
    """Write labels, model and summary, and return the names of the files."""
    out, model = job.settings.out, result.model
    written: list[str] = []
    if hasattr(model, "labels_"):
        name = files.LABELS[job.is_table]
        results.write_labels(out / name, job.source.spread(model.labels_, results.NO_LABEL))
        written.append(name)
    return [*written, *results.write_model(out, model, job.source, summary)]


def summarise(job: KMeansJob, result: KMeansResult) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    model = result.model
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
        figures["cluster_sizes"] = quantiles(sizes)
        figures["empty_clusters"] = int(np.count_nonzero(sizes == 0))
    if hasattr(model, "parents_"):
        figures["clusters_per_parent"] = quantiles(np.bincount(model.parents_))
    return job.summary("kmeans", figures)


def quantiles(sizes: Array) -> dict[str, float]:
    """Return the quantiles of some numbers, by percentage."""
    return {f"{share:.0%}": float(np.quantile(sizes, share)) for share in QUANTILES}


def explained(job: KMeansJob, result: KMeansResult) -> float | None:
    """Return the share of the variance that the clusters explain; None with weights or cosines."""
    scale = scaling.scale_of(result.model)
    variance = job.source.moments.variance / (1.0 if scale is None else scale.astype(float) ** 2)
    total = float(variance.sum()) * job.source.n_rows
    if job.weights is not None or total == 0 or job.settings.metric != "euclidean":
        return None
    return 1 - float(result.model.inertia_) / total

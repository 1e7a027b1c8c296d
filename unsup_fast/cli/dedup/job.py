"""The job of `unsup-fast dedup`: rows, and the clusters that they are compared within."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import blocks
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import Source, npy
from unsup_fast.cli import checkpoint, models, results
from unsup_fast.cli.data import TABLES, check_rows, for_model, open_source
from unsup_fast.cli.dedup.settings import DedupSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cluster import KMeans
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count


@dataclass(frozen=True, kw_only=True)
class DedupJob:
    """All that a run needs, checked.

    Attributes
    ----------
    settings : DedupSettings
    source : Source of shape (N, D)
    model : KMeans or None
        Its clusters are those of the rows.
    labels : ndarray of int, shape (N,), or None
        From 0 to K - 1, and -1 for rows outside of all clusters.
    lines : Lines or None
        The text of each row.
    fingerprints : dict
        Of each file that is read, by what it is.
    """

    settings: DedupSettings
    source: Source
    model: KMeans | None
    labels: Array | None
    lines: Lines | None
    fingerprints: dict[str, Any]

    @property
    def is_table(self) -> bool:
        """Whether the rows are those of a table, and so the results are tables too."""
        return self.source.kind in TABLES

    def summary(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return what `summary.json` holds."""
        settings = self.settings
        return {
            "command": "dedup",
            "data": results.about(settings.data, self.source, self.fingerprints["data"]),
            "parameters": settings.recorded_of(self.source),
            "result": figures,
            "machine": results.machine(settings.threads),
            "versions": results.versions(),
        }


def prepare(settings: DedupSettings) -> DedupJob:
    """Read and check everything that the settings name."""
    lines = Lines(settings.text) if settings.text else None
    model: KMeans | None = None
    if settings.model is not None:
        model = models.load(settings.model)
        if not hasattr(model, "cluster_centers_"):
            raise UserError(
                f"--model {settings.model}: holds a {type(model).__name__}, which has no "
                "centroids; pass a model of unsup-fast kmeans"
            )
        model.set_params(n_threads=settings.threads)
        source = for_model(model, settings)
    else:
        source = open_source(settings)
    source.moments  # noqa: B018  reads all values, and so finds what is wrong with them
    if settings.n_clusters is not None:
        check_rows(settings.data, source, settings.n_clusters, "-k")
    n_rows = source.n_rows_of_data
    if lines is not None and lines.count != n_rows:
        raise UserError(
            f"{settings.text}: has {count(lines.count)} lines, "
            f"{settings.data} has {count(n_rows)} rows; line i must belong to row i"
        )
    labels = None
    if settings.labels is not None:
        labels = _labels(settings.labels, settings.data, source)
    return DedupJob(
        settings=settings,
        source=source,
        model=model,
        labels=labels,
        lines=lines,
        fingerprints=checkpoint.fingerprints(settings.data, source, None),
    )


def _labels(path: Path, data: File, source: Source) -> Array:
    """Return the labels in a file: from 0 to K - 1 in their order, and -1 if negative."""
    if blocks.kind_of(path) == "npy":
        values: Array = npy.load(path)
        values = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
    else:
        values = blocks.source(path, columns=["label"]).to_array()[:, 0]
    n_rows = source.n_rows_of_data
    if values.shape != (n_rows,):
        raise UserError(
            f"--labels {path}: has {count(len(values))} labels, {data} has {count(n_rows)} rows; "
            "label i must belong to row i"
        )
    whole = values.astype(np.int64) if values.dtype.kind in "iuf" else None
    if whole is None or not np.array_equal(whole, values):
        raise UserError(f"--labels {path}: holds {values.dtype} that are not all integers")
    own = whole[source.rows_of_data(np.arange(source.n_rows))]
    clusters, codes = np.unique(own, return_inverse=True)
    codes = codes.reshape(-1) - int(np.searchsorted(clusters, 0))
    return np.maximum(codes, -1)

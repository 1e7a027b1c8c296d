"""The job of a k-means run."""

from dataclasses import dataclass
from pathlib import Path

from unsup_fast import blocks
from unsup_fast._types import Array
from unsup_fast.cli import checkpoint
from unsup_fast.cli.data import (
    check_rows,
    image_shape,
    open_source,
    weighted,
    weights_column,
)
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.job import FitJob
from unsup_fast.cli.kmeans.settings import STARTS, KMeansSettings
from unsup_fast.cluster._splits import ROWS_PER_CLUSTER
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count


@dataclass(frozen=True, kw_only=True)
class KMeansJob(FitJob):
    """All that a run needs, checked.

    Attributes
    ----------
    init : str or ndarray of shape (K, D)
        Name of the start, or the first centroids.
    """

    settings: KMeansSettings
    init: str | Array

    def dominant(self) -> str | None:
        """Return a warning if distances tell of one column alone, or None."""
        # Rows at unit length have other variances.
        return super().dominant() if self.settings.metric == "euclidean" else None

    def result_bytes(self) -> int:
        """Return the bytes of labels and centroids, twice for the checkpoint, and of a report."""
        n_rows, n_columns = self.source.shape
        centers = self.settings.n_clusters * n_columns * self.source.dtype.itemsize
        return int(2 * (4 * n_rows + centers) + (8 << 20))


def prepare(settings: KMeansSettings) -> KMeansJob:
    """Read and check everything that the settings name."""
    if settings.engine is not None and settings.init == "k-means++" and settings.levels is None:
        raise UserError(
            "--init k-means++ passes over all rows once for each cluster, so it is not available "
            "with --engine; pass --init 'k-means||', random or a file, or --levels"
        )
    if settings.init not in STARTS:
        blocks.kind_of(Path(settings.init))
    lines = Lines(settings.text) if settings.text else None
    source = open_source(settings, exclude=weights_column(settings.weights))
    source.moments  # noqa: B018  reads all values, and so finds what is wrong with them
    n_rows, n_columns = source.n_rows_of_data, source.n_columns
    source, weights = weighted(settings, settings.weights, source)
    check_rows(settings.data, source, settings.n_clusters, "-k")
    _check_sample(settings, n_rows)
    fingerprints = checkpoint.fingerprints(settings.data, source, settings.weights)
    if lines is not None and lines.count != n_rows:
        raise UserError(
            f"{settings.text}: has {count(lines.count)} lines, "
            f"{settings.data} has {count(n_rows)} rows; line i must belong to row i"
        )
    return KMeansJob(
        settings=settings,
        image_shape=image_shape(source, settings.images),
        source=source,
        weights=weights,
        init=_init(settings, n_columns),
        lines=lines,
        fingerprints=fingerprints,
    )


def _check_sample(settings: KMeansSettings, n_rows: int) -> None:
    """Raise UserError if k-means++ would choose among all rows that an engine's processes have."""
    if settings.engine is None or settings.levels is None or settings.init != "k-means++":
        return
    least = ROWS_PER_CLUSTER * settings.levels
    if n_rows <= least:
        raise UserError(
            f"--init k-means++ with --engine and --levels {settings.levels} needs more than "
            f"{count(least)} rows, and {settings.data} has {count(n_rows)}; pass --init "
            "'k-means||' or random, or no --engine"
        )


def _init(settings: KMeansSettings, n_columns: int) -> str | Array:
    if settings.init in STARTS:
        return settings.init
    init = blocks.source(settings.init).to_array()
    if init.shape != (settings.n_clusters, n_columns):
        raise UserError(
            f"--init {settings.init}: has shape {init.shape}; "
            f"({settings.n_clusters}, {n_columns}) is needed"
        )
    return init

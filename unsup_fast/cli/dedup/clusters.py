"""The clusters that rows are compared within: of labels, of a model, or fitted."""

from typing import NamedTuple

from unsup_fast._types import Array
from unsup_fast.cli import centers
from unsup_fast.cli.dedup.job import DedupJob
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.kmeans.fitting import KMeansSnapshot, fit
from unsup_fast.cli.progress import Silent
from unsup_fast.cluster import KMeans

TOL = 1e-4  # of k-means


class Clusters(NamedTuple):
    """The clusters of the rows."""

    model: KMeans
    """Its centroids decide which rows are hard and easy."""
    labels: Array
    """int [N]; -1 for a row outside of all clusters"""
    fitted: bool
    """Whether the model was fitted by this run."""
    complete: bool
    """Whether its fit was not interrupted."""


def clustered(job: DedupJob, progress: Silent, interrupts: Interrupts) -> Clusters | None:
    """Return the clusters, or None if their fit was interrupted in its first iteration."""
    source, settings = job.source, job.settings
    if job.labels is not None:
        progress.begin("Centroids of the labels")
        model = centers.of_labels(source, job.labels, settings.metric)
        return Clusters(model=model, labels=job.labels, fitted=False, complete=True)
    if job.model is not None:
        progress.begin("Clusters of the rows")
        labels = job.model.predict(source)
        return Clusters(model=job.model, labels=labels, fitted=False, complete=True)
    parameters = {
        "n_clusters": settings.n_clusters,
        "init": "k-means++",
        "n_init": 1,
        "max_iter": settings.max_iter,
        "tol": TOL,
        "tol_inertia": None,
        "levels": None,
        "random_state": settings.seed,
        "metric": settings.metric,
        "n_threads": settings.threads,
    }
    result = fit(
        source,
        None,
        parameters,
        engine=None,
        before=None,
        save=_unsaved,
        progress=progress,
        interrupts=interrupts,
    )
    if result is None:
        return None
    complete = not result.interrupted
    labels = result.model.labels_ if complete else result.model.cluster_centers_[:0]
    return Clusters(model=result.model, labels=labels, fitted=True, complete=complete)


def _unsaved(snapshot: KMeansSnapshot) -> None:
    """Write no checkpoint: the model of an interrupted fit is saved."""

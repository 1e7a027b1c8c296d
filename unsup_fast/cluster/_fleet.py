"""k-means on rows that an engine divides among processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from unsup_fast._rows.sources import check_columns
from unsup_fast._types import on_host
from unsup_fast.blocks import Source
from unsup_fast.cluster import _input, _label_files
from unsup_fast.cluster._holder import KMeansHolder, in_order
from unsup_fast.distributed import Assign, Engine
from unsup_fast.distributed._collections import is_collection, lazy_labels
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.distributed._spread import as_source, parts_for
from unsup_fast.distributed._spread import spread as parts_spread
from unsup_fast.kernels._types import Array


@contextmanager
def spread(
    X: Any, engine: Engine | None, estimator: Any = None, *, reset: bool = False
) -> Iterator[Any]:
    """Yield X as rows that an engine's holders have in the meantime; X itself without an engine.

    Parameters
    ----------
    X : array-like, table, Source or collection of shape (N, D)
    engine : Engine, optional
        None for that of a collection of Dask or Ray, which other data have not.
    estimator : KMeans, optional
        Whose number and names of columns are set (`reset`) or compared, and whose `n_threads`
        count.
    reset : bool
        Whether the estimator is being fitted.
    """
    parts = parts_for(X, engine)
    if parts is None:
        yield X
        return
    if estimator is not None:
        check_columns(estimator, parts, reset=reset)
    create = partial(KMeansHolder, n_threads=None if estimator is None else estimator.n_threads)
    with parts_spread(parts, engine, create) as rows:
        yield rows


def predicted(estimator: Any, rows: FleetRows) -> Array:
    """Return the label of each row, [N] int32, by a fitted model."""
    checked, centroids = _input.fitted(estimator, rows, None)
    fitted, centers = centroids.measured(checked)
    replies = _calls(fitted, "predict", centers, centroids.penalties)
    return np.concatenate([replies[index] for index in sorted(replies)])


def write_labels(estimator: Any, folder: str, engine: Engine | None) -> list[str]:
    """Write the labels of a fit into a folder; return the names of the files in order of rows."""
    labels = estimator.labels_
    if not isinstance(labels, LazyLabels):
        if not isinstance(on_host(labels), np.ndarray):
            raise TypeError(
                f"labels_ are a {type(labels).__name__}; write them by its own methods, such as "
                "to_zarr or write_parquet"
            )
        return _label_files.write(folder, [(0, on_host(labels))])
    source = labels.source
    if engine is None:
        parts = source.parts(-(-source.n_rows // source.chunk_size))
        return _label_files.write(
            folder, ((part.first_row, labels.model.predict(part)) for part in parts)
        )
    with spread(source, engine, estimator) as rows:
        checked, centroids = _input.fitted(labels.model, rows, None)
        fitted, centers = centroids.measured(checked)
        version, penalties = cast(FleetRows, fitted).version, centroids.penalties
        replies = rows.fleet.call("write_labels", version, centers, penalties, folder)
        return sorted(name for reply in replies for name in reply)


def inertia(estimator: Any, rows: FleetRows, sample_weight: Any) -> float:
    """Return the weighted sum of squared distances of rows to a fitted model's centroids."""
    fitted, centers = _input.measured(estimator, rows, None)
    return in_order(_calls(fitted.weighted(sample_weight), "score", centers))


def _calls(rows: Any, verb: str, *arguments: Any) -> dict[int, Any]:
    """Return the replies of a call on a version of the rows, by part."""
    replies: Sequence[dict[int, Any]] = rows.fleet.call(verb, rows.version, *arguments)
    return {index: part for reply in replies for index, part in reply.items()}


@dataclass(frozen=True, kw_only=True)
class LazyLabels:
    """The labels of a fit on an engine: computed when they are read, equal to ``predict(X)``.

    ``numpy.asarray(labels)`` labels the rows on this machine; ``model.labels_to`` writes them to
    files without gathering them.
    """

    model: Any
    """The fitted estimator, as it was after the fit."""
    source: Source
    """The rows."""

    dtype = np.dtype(np.int32)
    ndim = 1

    @property
    def shape(self) -> tuple[int]:
        """(N,)."""
        return (self.source.n_rows,)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.source.n_rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all labels, [N] int32."""
        labels: Array = self.model.predict(self.source)
        return labels if dtype is None else labels.astype(dtype)


def is_spread(X: Any, engine: Engine | None) -> bool:
    """Return whether processes have the rows: those of an engine, or of X itself."""
    return engine is not None or is_collection(X)


def labels_of(estimator: Any, X: Any) -> Any:
    """Return labels that are computed when they are read: lazy ones of a collection, or of rows."""
    if is_collection(X):
        return lazy_labels(X, Assign(estimator), estimator.cluster_centers_.dtype)
    model = copy(estimator)
    model.__dict__.pop("labels_", None)
    return LazyLabels(model=model, source=as_source(X))

"""`Assign`: the nearest centroids of batches of rows, for the maps of Ray, Dask and Spark."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from unsup_fast import blocks
from unsup_fast.kernels import threads
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.nearest import check_top

if TYPE_CHECKING:
    from unsup_fast._rows.centroids import Centroids
    from unsup_fast._rows.protocol import Rows


Kind = TypeVar("Kind")
"""A dict of arrays, pyarrow Table or RecordBatch, pandas frame, iterator of frames, or array."""


@dataclass(frozen=True, kw_only=True)
class _Assigned:
    """What a batch gets."""

    labels: Array
    """int32 [B], or [B, m]."""
    distances: Array | None
    """[B, m]; None for one label a row."""


class Clusters(Protocol):
    """A fitted `KMeans` or `MiniBatchKMeans`."""

    def _centroids(self) -> "Centroids":
        """Return what it labels rows by."""


class Assign:
    """Adds the nearest centroid of each row to a batch; a function for Ray, Dask and Spark.

    Labels are those of ``model.predict``. The object holds the centroids, what they are measured
    from and the metric, and not the model, so it is small enough to travel to every worker.

    Parameters
    ----------
    model : KMeans or MiniBatchKMeans
        A fitted model.
    top : int, default=1
        How many centroids m of each row, the nearest first: from 1 to 16 and at most K. With more
        than one, labels are lists (arrays of shape (B, m) in a dict), and a column of their
        distances, as `KMeans.nearest` returns them, is added as well.
    column : str or sequence of str, optional
        The list column, or the columns, that hold the vectors; see `blocks.source`. None takes the
        only list column of a table without other numbers, or all numeric columns, or the only array
        of a dict.
    output : str, default="label"
        Name of the new column; that of the distances is `output` + "_distance".
    n_threads : int, optional
        Threads to run in a worker; None for all that OMP_NUM_THREADS, affinity and the container
        allow.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If it is no such model, or `top` is out of range.

    Examples
    --------
    With Ray, Dask and Spark::

        dataset.map_batches(Assign(model, column="embedding"))
        array.map_blocks(Assign(model), dtype="int32", drop_axis=1)
        frame.mapInPandas(Assign(model, column="embedding"), schema="id long, ..., label int")

    >>> import numpy as np
    >>> from unsup_fast.cluster import KMeans
    >>> from unsup_fast.distributed import Assign
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [10.0, 2.0], [10.0, 4.0]])
    >>> model = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> batch = Assign(model)({"vector": X})
    >>> bool((batch["label"] == model.labels_).all())
    True
    """

    def __init__(
        self,
        model: Clusters,
        *,
        top: int = 1,
        column: str | Sequence[str] | None = None,
        output: str = "label",
        n_threads: int | None = None,
    ) -> None:
        if not hasattr(model, "_centroids"):
            raise TypeError(f"a KMeans or MiniBatchKMeans is needed, got {type(model).__name__}")
        self.centroids = model._centroids()
        self.top = check_top(top, len(self.centroids.centers))
        self.column = column if column is None or isinstance(column, str) else tuple(column)
        self.output = output
        self.n_threads = n_threads

    def __call__(self, batch: Kind) -> Kind:
        """Return a batch with the labels of its rows.

        Parameters
        ----------
        batch : dict of ndarray, pyarrow Table or RecordBatch, pandas frame, iterator of frames, or
            ndarray of shape (B, D)

        Returns
        -------
        same kind
            With the new columns, or for an array the labels, int32 of shape (B,), or (B, m) with
            `top` > 1. A batch without rows comes back with empty columns.

        Raises
        ------
        TypeError
            If it is none of these.
        ValueError
            If its vectors have another length than the centroids, hold NaN or infinity, or the
            output's name is taken.
        """
        return cast(Kind, self._result(batch))

    def _result(self, batch: Any) -> Any:
        """Return what a batch of any kind becomes."""
        result: Any
        if isinstance(batch, np.ndarray):
            result = self._assigned(batch, len(batch)).labels
        elif isinstance(batch, Mapping):
            vectors = self._vectors(batch)
            result = {**batch, **self._columns(self._assigned(vectors, len(vectors)), batch)}
        elif hasattr(batch, "append_column"):
            result = batch
            assigned = self._assigned(self._rows_of(_stored(batch)), batch.num_rows)
            for name, values in self._columns(assigned, batch.schema.names).items():
                result = result.append_column(name, _arrow(values))
        elif hasattr(batch, "assign"):
            assigned = self._assigned(self._rows_of(batch), len(batch))
            new = self._columns(assigned, batch.columns)
            result = batch.assign(**{name: _cells(values) for name, values in new.items()})
        elif isinstance(batch, Iterator):
            result = (self(frame) for frame in batch)
        else:
            raise TypeError(
                f"a batch is a dict of arrays, a pyarrow Table, a pandas frame, an array or an "
                f"iterator of frames, and not {type(batch).__name__}"
            )
        return result

    def _rows_of(self, table: Any) -> Any:
        """Return the vectors of a table or frame, as `predict` takes them."""
        if self.column is None or len(table) == 0:
            return table
        return blocks.source(table, columns=self.column)

    def _vectors(self, batch: "Mapping[str, Array]") -> Array:
        """Return the vectors [B, D] of a dict of arrays."""
        names = [self.column] if isinstance(self.column, str) else self.column or list(batch)
        missing = [name for name in names if name not in batch]
        if missing:
            raise ValueError(f"the batch has no column {missing[0]!r}; it has {list(batch)}")
        if self.column is None and len(names) != 1:
            raise ValueError(f"the batch has columns {names}; pass column= to choose among them")
        arrays = [_dense(np.asarray(batch[name])) for name in names]
        return arrays[0] if len(arrays) == 1 else np.column_stack(arrays)

    def _assigned(self, vectors: Any, n_rows: int) -> _Assigned:
        """Return the labels of rows of any kind that `predict` takes."""
        k, d = self.centroids.centers.shape
        shape = (n_rows,) if self.top == 1 else (n_rows, self.top)
        if n_rows == 0:  # an empty partition, or Dask asking for the type of the result
            dtype = self.centroids.centers.dtype
            return _Assigned(labels=np.empty(shape, np.int32), distances=np.empty(shape, dtype))
        # Where labels are computed, so that an engine starts without scikit-learn.
        from unsup_fast._rows import validate

        n_threads = threads.effective(self.n_threads)
        host_rows = validate.cpu_rows(vectors, type(self).__name__, n_threads)
        rows = cast("Rows", host_rows)  # of arrays, each kind of rows takes its own
        if rows.n_columns != d:
            raise ValueError(
                f"the vectors have length {rows.n_columns}, and the {k} centroids {d}; pass "
                "column= to name the column, or the columns, that hold the vectors"
            )
        if self.top == 1:
            return _Assigned(labels=self.centroids.labels(rows), distances=None)
        labels, distances = self.centroids.nearest(rows, self.top)
        return _Assigned(labels=labels, distances=distances)

    def _columns(self, assigned: _Assigned, taken: Any) -> dict[str, Array]:
        """Return the new columns by name."""
        columns = {self.output: assigned.labels}
        if self.top > 1 and assigned.distances is not None:
            columns[self.output + "_distance"] = assigned.distances
        for name in columns:
            if name in taken:
                raise ValueError(f"the batch has a column {name!r} already; pass another output=")
        return columns


def _dense(values: Array) -> Array:
    """Return vectors that came as an array of arrays as a matrix."""
    if values.dtype != object or len(values) == 0:
        return values
    lengths = {len(value) for value in values}
    if len(lengths) != 1:
        raise ValueError(f"vectors of a column have lengths {sorted(lengths)[:5]}; one is needed")
    return np.stack(list(values))


def _stored(table: Any) -> Any:
    """Return a table whose extension types, such as Ray's tensors, are those they are stored as."""
    pa = sys.modules["pyarrow"]
    fields = enumerate(table.schema)
    for index, field in [each for each in fields if isinstance(each[1].type, pa.BaseExtensionType)]:
        column = table.column(index)
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        stored = pa.chunked_array([chunk.storage for chunk in chunks], field.type.storage_type)
        table = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        table = table.set_column(index, field.name, stored)
    return table


def _arrow(values: Array) -> Any:
    """Return a column [B] or [B, m] as an Arrow array, of lists if it has two dimensions."""
    pa = sys.modules["pyarrow"]
    flat = pa.array(values.ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _cells(values: Array) -> Any:
    """Return a column [B] or [B, m] as a frame takes it."""
    return values if values.ndim == 1 else list(values)

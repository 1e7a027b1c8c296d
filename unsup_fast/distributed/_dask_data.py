"""Dask's arrays and dataframes as parts, and their labels."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast.blocks import DataError
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import number_type
from unsup_fast.blocks.arrow import arrow
from unsup_fast.distributed._chunks import NAME, Chunk, Labels, table_columns, type_of
from unsup_fast.distributed._dask import dask
from unsup_fast.distributed._parts import Part, Parts
from unsup_fast.kernels._types import Array


@dataclass(frozen=True, kw_only=True)
class Described:
    """What is known of a collection before a chunk is computed."""

    n_columns: int
    dtype: np.dtype[Any] | None
    """None if wide integers have to be looked at."""
    names: tuple[str, ...] | None
    """Columns of a dataframe; None for an array."""


def parts_of(X: Any) -> Parts:
    """Return the chunks of a dask array or the partitions of a dataframe; see `parts_of`."""
    described = _described(X)
    delayed = list(np.ravel(X.to_delayed()))
    dtype = described.dtype
    if dtype is None:
        dtype = _widest(delayed, described.names)
    known = X.chunks[0] if described.names is None else [math.nan] * len(delayed)
    graphs = _culled(delayed)
    has_futures = _has_futures(X)
    return Parts(
        parts=[
            Part(
                index=index,
                open=Chunk(
                    index=index,
                    compute=Graph(tasks=graphs[index], key=chunk.key, has_futures=has_futures),
                    n_columns=described.n_columns,
                    names=described.names,
                ),
                n_rows=None if math.isnan(known[index]) else int(known[index]),
            )
            for index, chunk in enumerate(delayed)
        ],
        n_columns=described.n_columns,
        dtype=dtype,
        names=described.names,
        name=NAME,
        engine=dask,
    )


def lazy_labels(X: Any, assign: Callable[[Array], Array], dtype: np.dtype[Any] | None) -> Any:
    """Return the labels of a dask array or dataframe as a lazy array or series."""
    described = _described(X)
    kind = dtype or described.dtype or np.dtype(np.float64)
    labels = Labels(assign=assign, names=described.names, dtype=kind)
    if described.names is None:
        return X.map_blocks(labels, dtype=np.int32, drop_axis=1, meta=np.empty(0, np.int32))
    pandas = sys.modules["pandas"]
    meta = pandas.Series([], dtype=np.int32, name="label", index=X._meta.index)
    return X.map_partitions(Series(labels), meta=meta)


@dataclass(frozen=True)
class Series:
    """Labels a pandas frame."""

    labels: Labels

    def __call__(self, frame: Any) -> Any:
        """Return the labels as a series with the index of the frame."""
        pandas = sys.modules["pandas"]
        return pandas.Series(self.labels(frame), dtype=np.int32, name="label", index=frame.index)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The tasks of one chunk."""

    tasks: Mapping[Any, Any]
    key: Any
    has_futures: bool
    """Whether some tasks are results that Dask's workers hold."""

    def __call__(self) -> Any:
        """Compute the chunk in this process; what workers hold is fetched by their client."""
        if self.has_futures:
            from distributed import get_client

            return get_client().get(dict(self.tasks), self.key)
        import dask

        return dask.get(self.tasks, self.key)


def _described(X: Any) -> Described:
    if hasattr(X, "columns"):
        columns = _columns_of(X)
        return Described(n_columns=columns.n_columns, dtype=columns.dtype, names=columns.names)
    if X.ndim != 2:
        raise DataError(
            f"{NAME}: is a dask array of {X.ndim} dimensions; rows x columns are needed"
        )
    if len(X.chunks[1]) > 1:
        raise DataError(
            f"{NAME}: is a dask array in chunks of {X.chunks[1][0]} of its {X.shape[1]} columns; "
            "whole rows are needed: pass X.rechunk({1: -1})"
        )
    if math.isnan(X.shape[1]):
        raise DataError(
            f"{NAME}: is a dask array of an unknown number of columns; call "
            "X.compute_chunk_sizes() first"
        )
    dtype = number_type(np.dtype(X.dtype), NAME)
    return Described(n_columns=int(X.shape[1]), dtype=dtype, names=None)


def _columns_of(X: Any) -> Columns:
    """Return the columns of a dataframe that are used."""
    pa = arrow()
    schema = pa.Schema.from_pandas(X._meta, preserve_index=False)
    return table_columns(
        schema,
        lambda: pa.Table.from_pandas(X.head(1, npartitions=-1, compute=True), schema=schema),
    )


def _widest(chunks: list[Any], names: tuple[str, ...] | None) -> np.dtype[Any]:
    """Return the type that the numbers of all chunks need; each chunk is computed for it."""
    import dask

    types = dask.compute(*(dask.delayed(type_of)(chunk, names) for chunk in chunks))
    return np.result_type(*types)


def _culled(chunks: list[Any]) -> list[Mapping[Any, Any]]:
    """Return the tasks that each chunk needs."""
    from dask.optimization import cull
    from dask.utils import ensure_dict

    graphs: dict[int, Mapping[Any, Any]] = {}
    culled = []
    for chunk in chunks:  # which share a graph
        shared = chunk.__dask_graph__()
        tasks = graphs.setdefault(id(shared), ensure_dict(shared))
        culled.append(cull(tasks, [chunk.key])[0])
    return culled


def _has_futures(X: Any) -> bool:
    distributed = sys.modules.get("distributed")
    return distributed is not None and bool(distributed.futures_of(X))

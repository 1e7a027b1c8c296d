"""Ray's data sets as parts, and their labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast.blocks import DataError
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks.arrow import arrow
from unsup_fast.distributed._chunks import NAME, Chunk, Labels, table_columns, type_of
from unsup_fast.distributed._parts import Part, Parts
from unsup_fast.distributed._ray import ray
from unsup_fast.kernels._types import Array

LABEL = "label"  # the column that labels go to


def parts_of(X: Any) -> Parts:
    """Return the blocks of a data set, which is executed in the order of its rows."""
    columns = _columns_of(X)
    refs = _in_order(X).to_arrow_refs()
    dtype = columns.dtype
    if dtype is None:
        dtype = _widest(refs, columns.names)
    return Parts(
        parts=[
            Part(
                index=index,
                open=Chunk(
                    index=index,
                    compute=Block(ref),
                    n_columns=columns.n_columns,
                    names=columns.names,
                ),
            )
            for index, ref in enumerate(refs)
        ],
        n_columns=columns.n_columns,
        dtype=dtype,
        names=columns.names,
        name=NAME,
        engine=ray,
    )


def lazy_labels(X: Any, assign: Callable[[Array], Array], dtype: np.dtype[Any] | None) -> Any:
    """Return the data set with a column of labels."""
    columns = _columns_of(X)
    if LABEL in X.columns():
        raise DataError(f"{NAME}: has a column {LABEL!r} already; rename it before it is labelled")
    kind = dtype or columns.dtype or np.dtype(np.float64)
    labels = Labels(assign=assign, names=columns.names, dtype=kind)
    return X.map_batches(Labelled(labels), batch_format="pyarrow", batch_size=None)


@dataclass(frozen=True)
class Labelled:
    """Adds a column of labels to a batch."""

    labels: Labels

    def __call__(self, table: Any) -> Any:
        """Return the pyarrow Table with the column."""
        labels = arrow().array(self.labels(plain(table)))
        return table.append_column(LABEL, labels)


@dataclass(frozen=True)
class Block:
    """A block in the store of Ray's objects."""

    ref: Any

    def __call__(self) -> Any:
        """Return the block as a pyarrow Table without tensors."""
        import ray

        return plain(ray.get(self.ref))


def plain(table: Any) -> Any:
    """Return a pyarrow Table whose columns of tensors are columns of lists."""
    pa = arrow()
    for index, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            chunks = [chunk.storage for chunk in table.column(index).chunks]
            column = pa.chunked_array(chunks, type=field.type.storage_type)
            table = table.set_column(index, field.name, column)
    return table


def _columns_of(X: Any) -> Columns:
    """Return the columns of a data set that are used; a row is computed for the length of lists."""
    pa = arrow()
    schema = X.schema()
    if schema is None:
        raise DataError(f"{NAME}: has no rows")
    empty = pa.schema(
        [pa.field(name, kind) for name, kind in zip(schema.names, schema.types, strict=True)]
    ).empty_table()
    return table_columns(plain(empty).schema, lambda: plain(_first_row(X)))


def _first_row(X: Any) -> Any:
    pa, ray = arrow(), _module()
    return pa.concat_tables(ray.get(X.limit(1).to_arrow_refs()))


def _in_order(X: Any) -> Any:
    """Return a data set with its blocks computed, in the order of the rows."""
    options = X.context.execution_options
    before = options.preserve_order
    options.preserve_order = True
    try:
        return X.materialize()
    finally:
        options.preserve_order = before


def _widest(refs: list[Any], names: tuple[str, ...]) -> np.dtype[Any]:
    """Return the type that the numbers of all blocks need."""
    ray = _module()
    ask = ray.remote(num_cpus=1)(_type_of)
    return np.result_type(*ray.get([ask.remote(ref, names) for ref in refs]))


def _type_of(table: Any, names: tuple[str, ...]) -> np.dtype[Any]:
    return type_of(plain(table), names)


def _module() -> Any:
    import ray

    return ray

"""Parquet files in the form of Hugging Face's data sets: encoded pictures, and labels."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._text import listed
from unsup_fast.blocks import DataError
from unsup_fast.blocks.arrow import arrow, reasons
from unsup_fast.blocks.mapped import arrow_file
from unsup_fast.pictures._labels import NAMES, Classes, Labels, coded, no_labels

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import ArrowArray, DataType, Schema

PICTURES = ("image", "img")
ROWS = 16  # rows that are decoded together


@dataclass(frozen=True)
class Table:
    """The table of one or several files."""

    name: str
    paths: list[Path]
    n_rows: int
    column: str
    nested: bool
    """Whether the column holds structs whose `bytes` are the pictures."""
    label: str | None
    classes: Classes
    """Names of integer labels, if the files have them."""
    guessed: bool
    """Whether `label` was chosen by its name, and not by the user."""


def table(
    name: str, paths: list[Path], key: str | None, label_key: str | None, labels: bool
) -> Table:
    """Find the columns of pictures and, if `labels`, of labels.

    Raises
    ------
    DataError
        If there are none, or a file is not Parquet.
    """
    parquet = arrow("parquet")
    n_rows = 0
    first: Any = None
    for path in paths:
        with reasons(path, "a Parquet file"), parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            n_rows += file.metadata.num_rows
        first = schema if first is None else first
        if schema.names != first.names or schema.types != first.types:
            raise DataError(f"{path}: has other columns than {paths[0].name}")
    if n_rows == 0:
        raise DataError(f"{name}: has no rows")
    column = _pictures(name, first, key)
    classes = _classes(first)
    label = _label(name, first, label_key, classes) if labels else None
    return Table(
        name=name,
        paths=paths,
        n_rows=n_rows,
        column=column,
        nested=bool(arrow().types.is_struct(first.field(column).type)),
        label=label,
        classes=classes.get(label or "", ()),
        guessed=label_key is None,
    )


def _pictures(name: str, schema: "Schema", key: str | None) -> str:
    columns = [field.name for field in schema if _holds_files(field.type)]
    if key is not None and key not in schema.names:
        raise DataError(f"{name}: has no column {key!r}; it has {listed(schema.names)}")
    if key is not None and key not in columns:
        raise DataError(f"{name}: column {key!r} holds {schema.field(key).type}, not pictures")
    if not columns:
        raise DataError(
            f"{name}: has no column of pictures (binary, or structs of bytes and path), only "
            f"{listed(schema.names)}"
        )
    return key or next((one for one in PICTURES if one in columns), columns[0])


def _holds_files(kind: "DataType") -> bool:
    types = arrow().types
    if types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _holds_files(kind.field(at).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _classes(schema: "Schema") -> dict[str, Classes]:
    """Return the names of classes that Hugging Face's `datasets` wrote into the schema."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return {
            column: tuple(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return {}


def _label(
    name: str, schema: "Schema", label_key: str | None, classes: dict[str, Classes]
) -> str | None:
    if label_key is None:
        return next((one for one in (*NAMES, *classes) if one in schema.names), None)
    if label_key not in schema.names:
        raise DataError(f"{name}: has no column {label_key!r}; it has {listed(schema.names)}")
    return label_key


def chunks(table: Table) -> Iterator[list[tuple[str, bytes | None]]]:
    """Yield a few rows at a time: the name of each in errors, and the file in it."""
    parquet, row = arrow("parquet"), 0
    for path in table.paths:
        with (
            reasons(path, "a Parquet file"),
            arrow_file(path) as mapped,
            parquet.ParquetFile(mapped) as file,
        ):
            for batch in file.iter_batches(ROWS, columns=[table.column]):
                values = batch.column(0).to_pylist()
                if table.nested:
                    values = [value and value["bytes"] for value in values]
                yield [(f"row {row + i}", value) for i, value in enumerate(values)]
                row += len(values)


def labels(table: Table) -> tuple[Labels | None, Classes, list[str]]:
    """Return the labels of all rows, the names of their classes, and notes.

    Raises
    ------
    DataError
        If the column that the user named lacks labels for some rows, or has one without a class.
    """
    if table.label is None:
        return None, (), []
    parquet, pa = arrow("parquet"), arrow()
    parts = []
    for path in table.paths:
        with reasons(path, "a Parquet file"), parquet.ParquetFile(path) as file:
            parts.append(file.read(columns=[table.label]).column(0))
    column = pa.chunked_array([chunk for part in parts for chunk in part.chunks])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count == len(column):
        return None, (), []
    try:
        return *_coded(table, column), []
    except DataError:
        if not table.guessed:
            raise
        return None, (), [no_labels(f"column {table.label!r}")]


def _coded(table: Table, column: "ArrowArray") -> tuple[Labels | None, Classes]:
    """Return the labels of a column and the names of their classes, or raise DataError."""
    where = f"{table.name}: column {table.label!r}"
    if column.null_count:
        raise DataError(f"{where} lacks {column.null_count} of {len(column)} labels")
    values = column.to_numpy()
    if values.dtype.hasobject and all(isinstance(value, str) for value in values):
        values = values.astype(np.str_)
    if not table.classes or values.dtype.kind not in "iu":
        return coded(where, values)
    if (values == -1).all():  # how `datasets` marks rows without labels
        return None, ()
    outside = (values < 0) | (values >= len(table.classes))
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{where}: row {row} is {values[row]}, and there are {len(table.classes)} classes"
        )
    return values.astype(np.int64), table.classes

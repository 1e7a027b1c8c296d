"""Parquet files."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import EXACT_IN_FLOAT32, DataError, DType, Feed, Piece, later

VALUES = 1 << 20  # of a batch that is read at once


def feed(path: Path, columns: Sequence[str] | None, exclude: tuple[str, ...]) -> Feed:
    """Return the feed of a Parquet file, which is read by row groups."""
    parquet = _columns.arrow("parquet")
    notes: list[str] = []
    with (
        _columns.reasons(path, "a Parquet file"),
        parquet.ParquetFile(path, memory_map=True) as file,
    ):
        schema, metadata = file.schema_arrow, file.metadata
        names, is_list = _columns.chosen(str(path), schema, columns, exclude, notes)
        if metadata.num_rows == 0:
            raise DataError(f"{path}: has no rows")
        first = next(file.iter_batches(1, columns=names)) if is_list else None
        found = _columns.describe(str(path), schema, names, is_list, first)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    def pieces(start: int) -> Iterator[Piece]:
        return _pieces(path, found, sizes, start)

    return Feed(
        name=str(path),
        kind="parquet",
        n_columns=found.n_columns,
        source_dtype=found.source_dtype,
        pieces=pieces,
        n_rows=metadata.num_rows,
        dtype=_float_type(metadata, found),
        integers=found.integers,
        names=found.names,
        notes=tuple(notes),
        path=path,
        decoded=True,
    )


def _pieces(path: Path, columns: Columns, sizes: list[int], start: int) -> Iterator[Piece]:
    """Yield the rows from `start` on; row groups before it are not read."""
    parquet = _columns.arrow("parquet")
    starts = [0, *accumulate(sizes)]
    group = int(np.searchsorted(starts, start, side="right")) - 1
    row, n_rows = starts[group], max(1, VALUES // columns.n_columns)
    with (
        _columns.reasons(path, "a Parquet file"),
        parquet.ParquetFile(path, memory_map=True) as file,
    ):
        groups = list(range(group, len(sizes)))
        for batch in file.iter_batches(n_rows, row_groups=groups, columns=list(columns.names)):
            after = row + batch.num_rows
            if after > start:
                piece = _columns.piece(str(path), batch, columns, row)
                yield later(piece, start - row) if start > row else piece
            row = after


def _float_type(metadata: Any, columns: Columns) -> DType | None:
    """Return the type of the blocks if the file's statistics tell how large its integers are."""
    if columns.dtype is not None:
        return columns.dtype
    kinds = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    wide = columns.names
    if columns.integers is not None:
        wide = tuple(columns.names[j] for j in columns.integers)
    for i, kind in enumerate(kinds):
        if not any(kind == name or kind.startswith(f"{name}.") for name in wide):
            continue
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(i).statistics
            if statistics is None or not statistics.has_min_max:
                return None
            if max(abs(int(statistics.min)), abs(int(statistics.max))) > EXACT_IN_FLOAT32:
                return np.dtype(np.float64)
    return np.dtype(np.float32)

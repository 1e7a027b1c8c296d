"""Matrices that are written to a file while their blocks are computed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unsup_fast import _extras
from unsup_fast._rows.errors import ZeroRowError
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import Source
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError, zero_row

SUFFIXES = (".npy", ".parquet", ".csv")
BLOCK_VALUES = 1 << 22  # of a block of what is written


def check_outputs(outputs: Sequence[Path], overwrite: bool, inputs: Iterable[files.Input]) -> None:
    """Check that the files may and can be written; the first decides the kind.

    Raises
    ------
    UserError
        If not.
    ImportError
        If their kind needs pyarrow, and it is missing.
    """
    out = outputs[0]
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: is not a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    for path in outputs:
        files.check_file(path, "-o", SUFFIXES, overwrite, inputs)
    if out.suffix != ".npy":
        _extras.require("pyarrow", "data", "writing CSV and Parquet files")


@contextmanager
def zero_rows(data: File, source: Source, init: str = "") -> Iterator[None]:
    """Turn the error for a row without direction into one that names the file and its row."""
    try:
        yield
    except ZeroRowError as error:
        if error.name == "init":
            raise zero_row(init, error.row) from None
        raise zero_row(data, int(source.rows_of_data(np.array(error.row)))) from None


def computed(source: Source, function: Callable[[Array], Array], width: int) -> Iterator[Array]:
    """Yield what a function makes of the rows, in blocks of a modest size.

    Rows that were dropped for missing values are NaN.

    Parameters
    ----------
    source : Source of shape (N, D)
    function : callable
        From rows [M, D] to [M] or [M, width].
    width : int
    """
    step = max(1, BLOCK_VALUES // max(width, source.n_columns))
    done, end = 0, 0  # rows of the source, and of the data
    with closing(source.blocks()) as blocks:
        for row, block in blocks:
            for start in range(0, len(block), step):
                try:
                    part = function(block[start : start + step])
                except ZeroRowError as error:
                    error.row += row + start
                    raise
                rows = source.rows_of_data(np.arange(done, done + len(part)))
                done += len(part)
                yield _at(part, rows - end, int(rows[-1]) + 1 - end)
                end = int(rows[-1]) + 1
    if end < source.n_rows_of_data:
        yield _at(part[:0], rows[:0], source.n_rows_of_data - end)


def _at(part: Array, positions: Array, length: int) -> Array:
    """Return rows at these positions among `length` rows, the others NaN."""
    if len(part) == length:
        return part
    spread = np.full((length, *part.shape[1:]), np.nan, part.dtype)
    spread[positions] = part
    return spread


def write(
    path: Path, blocks: Iterator[Array] | Iterator[list[Array]], n_rows: int, names: Sequence[str]
) -> None:
    """Write the blocks of a matrix as `.npy`, or as a table, `.parquet` or `.csv`.

    Parameters
    ----------
    path : Path
        Replaced once the new file is complete.
    blocks : iterator of ndarray of shape (M, K), or for tables of lists of K columns
    n_rows : int
    names : sequence of str
        Names of the K columns, for tables.
    """
    with files.replacing(path) as file:
        if path.suffix == ".npy":
            _npy(file, blocks, n_rows)
        else:
            _table(file, path.suffix, blocks, names)


def _npy(file: BinaryIO, blocks: Iterator[Any], n_rows: int) -> None:
    for number, block in enumerate(blocks):
        if number == 0:
            about = np.lib.format.header_data_from_array_1_0(block)
            about |= {"shape": (n_rows, *block.shape[1:]), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, about)
        file.write(np.ascontiguousarray(block).data)


def _table(file: BinaryIO, suffix: str, blocks: Iterator[Any], names: Sequence[str]) -> None:
    import pyarrow as pa

    writer: Any = None
    with ExitStack() as stack:
        for block in blocks:
            columns = block if isinstance(block, list) else list(np.ascontiguousarray(block.T))
            batch = pa.table(dict(zip(names, columns, strict=True)))
            if suffix == ".parquet":
                import pyarrow.parquet as parquet

                if writer is None:
                    writer = stack.enter_context(parquet.ParquetWriter(file, batch.schema))
                writer.write_table(batch)
            else:
                import pyarrow.csv as csv

                if file.tell() == 0:  # pyarrow would put the names in quotes
                    file.write((",".join(names) + "\n").encode())
                csv.write_csv(batch, file, csv.WriteOptions(include_header=False))

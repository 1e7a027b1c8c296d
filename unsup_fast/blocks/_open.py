"""Open any kind of data as a source of blocks."""

import sys
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast._urls import Url, file_of
from unsup_fast.blocks import _arrays, _calls, _files, _missing
from unsup_fast.blocks._feed import DataError, Feed
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks._source import Source

NAMES = (str, Path, Url)
ENDS = '"\r\n'  # of values and rows of CSV text, which cannot separate values


def source(
    data: Any,
    *,
    columns: Sequence[str] | str | None = None,
    key: str | None = None,
    exclude: Sequence[str] = (),
    chunk_size: int | None = None,
    header: bool | None = None,
    separator: str | None = None,
    missing: str = "error",
) -> Source:
    """Return the rows of `data` as a source of blocks, without reading more than it must.

    Parameters
    ----------
    data : path, URL, list of these, array, sparse matrix, table, data frame or callable
        A `.npy`, `.npz`, `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz`, `.parquet`, `.arrow` or `.feather`
        file; a folder of such files (not `.npz`) of one kind, a pattern (``"e-*.npy"``), both in
        the order of the numbers in their names, or a list in its own order, all with the same
        columns; any of these as a URL that fsspec opens (``"s3://bucket/e-*.npy"``), of which
        nothing is written to the disk; a NumPy array of any
        layout or anything with ``__array__``, images (three or four dimensions) being flattened to
        one row each; a SciPy matrix, dense a block at a time; a pyarrow Table, RecordBatch or
        Dataset; a pandas frame; a frame with ``__arrow_c_stream__`` or ``to_arrow``, as those of
        polars; or a function without arguments that returns an iterator of matrices, anew each
        time it is called. An `.npz` is unpacked into memory.
    columns : sequence of str or str, optional
        Columns of a table to use, in this order; the values of a list column are columns, too.
        A str is one name, or names with commas between them, quoted as in CSV. None takes all
        numeric columns, or the only list column.
    key : str, optional
        Which array of an `.npz` to take; needed if several have two dimensions or more.
    exclude : sequence of str
        Columns of a table not to take when `columns` is None.
    chunk_size : int, optional
        Rows of a block; None takes as many as fill 64 MiB.
    header : bool, optional
        Whether the first line of a CSV file holds the names of the columns. None decides by what
        stands in and below it; a doubtful choice is in the `notes` of the source.
    separator : str, optional
        Character between the values of a CSV file; None finds a comma, semicolon, tab or bar.
    missing : {"error", "drop", "mean"}
        What to do about missing values, NaN among them: raise, leave their rows out (see
        `Source.row_indices`), or put in the mean of the other values in the column. The latter two
        take a pass over the data at once.

    Returns
    -------
    Source
        `data` itself if it is one.

    Raises
    ------
    DataError
        If the data are missing, unreadable, empty, or hold anything but numbers.
    TypeError, ValueError
        If `data` is nothing of the above, or another argument does not fit it.
    ImportError
        If a table is read without pyarrow, or a URL without fsspec or the package of its store.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast import blocks
    >>> rows = blocks.source(np.arange(10, dtype=np.float16).reshape(5, 2), chunk_size=3)
    >>> [(first, block.shape) for first, block in rows.blocks()]
    [(0, (3, 2)), (3, (2, 2))]
    """
    if chunk_size is not None and (not isinstance(chunk_size, Integral) or chunk_size < 1):
        raise ValueError(f"chunk_size={chunk_size!r} is not a number of rows; pass an int >= 1")
    if isinstance(data, Source):
        stated = (columns, key, header, separator) != (None,) * 4 or missing != "error"
        if stated or chunk_size not in (None, data.chunk_size):
            raise ValueError("data is a Source already; pass columns, key and chunk_size to that")
        return data
    if missing not in _missing.CHOICES:
        raise ValueError(f"missing={missing!r} is not one of {', '.join(_missing.CHOICES)}")
    options = TableOptions(
        columns=columns,
        exclude=tuple(exclude),
        header=header,
        separator=_checked(separator),
        missing=missing != "error",
    )
    feed = _feed(data, options, key)
    if missing != "error":
        feed = _missing.applied(feed, missing)
    return Source(feed, None if chunk_size is None else int(chunk_size))


def _feed(data: Any, options: TableOptions, key: str | None) -> Feed:
    if isinstance(data, NAMES):
        return _files.feed(file_of(data), options, key)
    if key is not None:
        raise ValueError(f"key={key!r} is for .npz files; pass none with {_type(data)}")
    if isinstance(data, list | tuple) and data and all(isinstance(x, NAMES) for x in data):
        return _files.several([file_of(name) for name in data], options)
    if options.header is not None or options.separator is not None:
        raise ValueError(f"header and separator are for CSV files; pass none with {_type(data)}")
    return _table(data, options) or _untabled(data, options.columns)


def _checked(separator: str | None) -> str | None:
    """Return a separator if it can be one."""
    if separator is None or (len(separator) == 1 and separator.isascii() and separator not in ENDS):
        return separator
    raise ValueError(
        f"separator={separator!r} is not one character other than a quote or line end; "
        "pass ',', ';' or '\\t', for instance"
    )


def _table(data: Any, options: TableOptions) -> Feed | None:
    """Return the feed of data with named columns, None for other data."""
    from unsup_fast.blocks import _tables

    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _tables.frame(data, options)
    pa = sys.modules.get("pyarrow")
    if pa is not None:
        if isinstance(data, pa.RecordBatchReader):
            raise TypeError(
                "a RecordBatchReader can be read once only; pass its table, or a function that "
                "opens it anew and yields matrices"
            )
        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        if isinstance(data, pa.Table):
            return _tables.table(data, options)
    dataset = sys.modules.get("pyarrow.dataset")
    if dataset is not None and isinstance(data, dataset.Dataset):
        return _tables.dataset(data, options)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "to_arrow"):
        return _tables.table(_tables.imported(data), options)
    return None


def _untabled(data: Any, columns: Sequence[str] | str | None) -> Feed:
    if columns is not None:
        raise DataError(f"X: columns are for tables; {_type(data)} has no names")
    if sp.issparse(data):
        return _arrays.sparse(data)
    if callable(data):
        return _calls.feed(data)
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        return _arrays.dense("X", "array", np.asanyarray(data))
    raise TypeError(
        f"data is of type {_type(data)}; pass a path, an array, a sparse matrix, a table, a data "
        "frame or a function that returns an iterator of matrices"
    )


def _type(data: object) -> str:
    return f"{type(data).__module__}.{type(data).__name__}"

"""From whatever the data are to a source of blocks."""

import sys
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.blocks import _arrays, _calls, _files
from unsup_fast.blocks._feed import DataError, Feed
from unsup_fast.blocks._source import Source


def source(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    key: str | None = None,
    exclude: Sequence[str] = (),
    chunk_size: int | None = None,
) -> Source:
    """Return the rows of `data` as a source of blocks, without reading more than it must.

    Parameters
    ----------
    data : path, array, sparse matrix, table, data frame or callable
        A `.npy`, `.npz`, `.csv`, `.parquet`, `.arrow` or `.feather` file; a NumPy array of any
        layout or anything with ``__array__``, images (three or four dimensions) being flattened to
        one row each; a SciPy matrix, made dense a block at a time; a pyarrow Table, RecordBatch or
        Dataset; a pandas frame; a frame with ``__arrow_c_stream__`` or ``to_arrow``, as those of
        polars; or a function without arguments that returns an iterator of matrices, anew each
        time it is called. An `.npz` is unpacked into memory.
    columns : sequence of str, optional
        Columns of a table to use, in this order; one list column stands for all its values.
        None takes all numeric columns, or the only list column.
    key : str, optional
        Which array of an `.npz` to take; needed if several have two dimensions or more.
    exclude : sequence of str
        Columns of a table not to take when `columns` is None.
    chunk_size : int, optional
        Rows of a block; None takes as many as fill 64 MiB.

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
        If a table is read without pyarrow.

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
        if columns is not None or key is not None or chunk_size not in (None, data.chunk_size):
            raise ValueError("data is a Source already; pass columns, key and chunk_size to that")
        return data
    if isinstance(data, str | Path):
        feed = _files.feed(Path(data), columns, key, tuple(exclude))
    else:
        if key is not None:
            raise ValueError(f"key={key!r} is for .npz files; pass none with {_type(data)}")
        feed = _table(data, columns, tuple(exclude)) or _untabled(data, columns)
    return Source(feed, None if chunk_size is None else int(chunk_size))


def _table(data: Any, columns: Sequence[str] | None, exclude: tuple[str, ...]) -> Feed | None:
    """Return the feed of data with named columns, None for other data."""
    from unsup_fast.blocks import _arrow

    options = (columns, exclude)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _arrow.frame(data, *options)
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
            return _arrow.table(data, *options)
    dataset = sys.modules.get("pyarrow.dataset")
    if dataset is not None and isinstance(data, dataset.Dataset):
        return _arrow.dataset(data, *options)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "to_arrow"):
        return _arrow.table(_arrow.imported(data), *options)
    return None


def _untabled(data: Any, columns: Sequence[str] | None) -> Feed:
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


def _type(data: Any) -> str:
    return f"{type(data).__module__}.{type(data).__name__}"

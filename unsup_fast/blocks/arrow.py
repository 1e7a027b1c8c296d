"""pyarrow, which is optional, and the errors that it raises about files."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from unsup_fast import _extras
from unsup_fast._urls import File
from unsup_fast.blocks._feed import DataError

if TYPE_CHECKING:  # the only place that names its types
    from pyarrow import Array as ArrowArray
    from pyarrow import DataType as DataType
    from pyarrow import RecordBatch as RecordBatch
    from pyarrow import Schema as Schema
    from pyarrow import Table as ArrowTable
    from pyarrow.csv import InvalidRow as InvalidRow
    from pyarrow.dataset import Dataset as Dataset
    from pyarrow.parquet import FileMetaData as FileMetaData

    __all__ = ["ArrowArray", "ArrowTable"]


def arrow(part: str | None = None) -> ModuleType:
    """Return pyarrow or a part of it, or raise ImportError with the command that installs it."""
    module = "pyarrow" if part is None else f"pyarrow.{part}"
    return _extras.require(module, "data", "reading tables")


@contextmanager
def reasons(path: File, kind: str) -> Iterator[None]:
    """Turn pyarrow's errors about a file that should be of some kind into ours."""
    pa = arrow()
    try:
        yield
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is not {kind}, or is truncated ({reason})") from error
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is damaged or truncated ({reason})") from error

"""Data files by their kind."""

from collections.abc import Sequence
from pathlib import Path

from unsup_fast.blocks import _npy
from unsup_fast.blocks._feed import DataError, Feed

KINDS = (".npy", ".npz", ".csv", ".parquet", ".arrow", ".feather")
TABLES = ("csv", "parquet", "arrow", "feather")


def kind_of(path: Path) -> str:
    """Return the kind of a data file by its name, or say why it cannot be one."""
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name one of the files in it")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() not in KINDS:
        raise DataError(f"{path}: is not a {', '.join(KINDS[:-1])} or {KINDS[-1]} file")
    return path.suffix.lower()[1:]


def feed(
    path: Path, columns: Sequence[str] | None, key: str | None, exclude: tuple[str, ...]
) -> Feed:
    """Return the feed of a file; `columns` and `exclude` are for tables, `key` is for `.npz`."""
    kind = kind_of(path)
    if columns is not None and kind not in TABLES:
        raise DataError(
            f"{path}: columns are for .csv, .parquet, .arrow and .feather; an .{kind} has no names"
        )
    if key is not None and kind != "npz":
        raise DataError(f"{path}: a key is for .npz; this is a .{kind} file")
    if kind == "npy":
        return _npy.feed(path)
    if kind == "npz":
        return _npy.archive(path, key)
    if kind == "csv":
        from unsup_fast.blocks import _csv

        return _csv.feed(path, columns, exclude)
    if kind == "parquet":
        from unsup_fast.blocks import _parquet

        return _parquet.feed(path, columns, exclude)
    from unsup_fast.blocks import _ipc

    return _ipc.feed(path, kind, columns, exclude)

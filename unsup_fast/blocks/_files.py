"""Data files by their kind."""

from collections.abc import Sequence
from pathlib import Path

from unsup_fast._paths import special
from unsup_fast._text import natural
from unsup_fast.blocks import npy
from unsup_fast.blocks._feed import DataError, Feed
from unsup_fast.blocks._options import TableOptions

KINDS = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
TABLES = ("csv", "parquet", "arrow", "feather")


def kind_of(path: Path) -> str:
    """Return the kind of a data file by its name, or say why it cannot be one.

    The kind is the suffix without its dot; "csv" for `.tsv`, `.csv.gz` and `.tsv.gz` too, and
    "parquet" for a directory of such files.
    """
    if path.is_dir():
        parquet_files(path)
        return "parquet"
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if kind := special(path):
        raise DataError(f"{path}: is {kind}; name a regular file")
    suffix = path.suffix.lower()
    packed = suffix == ".gz"
    if packed:
        suffix = Path(path.stem).suffix.lower()
    if suffix not in KINDS or (packed and suffix not in (".csv", ".tsv")):
        raise DataError(
            f"{path}: is not a {', '.join(KINDS[:-1])} or {KINDS[-1]} file, nor a .csv.gz or "
            ".tsv.gz"
        )
    return "csv" if suffix == ".tsv" else suffix[1:]


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a directory, in the order of the numbers in their names.

    Names that begin with a dot or an underscore are those of other things, as Spark writes them.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() == ".parquet"]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    paths = [path for path in paths if path.name[0] not in "._" and path.is_file()]
    if not paths:
        raise DataError(f"{folder}: is a directory without .parquet files; name a file in it")
    return sorted(paths, key=lambda path: natural(path.name))


def feed(path: Path, options: TableOptions, key: str | None) -> Feed:
    """Return the feed of a file, or of a directory of Parquet files; `key` is for `.npz`."""
    kind = kind_of(path)
    if options.columns is not None and kind not in TABLES:
        raise DataError(
            f"{path}: columns are for .csv, .parquet, .arrow and .feather; an .{kind} has no names"
        )
    if key is not None and kind != "npz":
        raise DataError(f"{path}: a key is for .npz; this is a .{kind} file")
    if kind == "csv":
        from unsup_fast.blocks import _csv

        return _csv.feed(path, options)
    if options.header is not None or options.separator is not None:
        option = "separator" if options.header is None else "header"
        raise DataError(f"{path}: --{option} is for .csv and .tsv; this is a .{kind} file")
    if kind == "npy":
        return npy.feed(path)
    if kind == "npz":
        return npy.archive(path, key)
    if kind == "parquet":
        return parquet(str(path), parquet_files(path) if path.is_dir() else [path], options)
    from unsup_fast.blocks import _ipc

    return _ipc.feed(path, kind, options)


def several(paths: Sequence[Path], options: TableOptions) -> Feed:
    """Return the feed of a list of Parquet files, whose rows follow each other in its order."""
    for path in paths:
        if path.is_dir() or kind_of(path) != "parquet":
            raise DataError(f"{path}: is not a .parquet file; a list is of these")
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    return parquet(name, list(paths), options)


def parquet(name: str, paths: list[Path], options: TableOptions) -> Feed:
    """Return the feed of Parquet files."""
    from unsup_fast.blocks import _parquet

    notes = () if len(paths) == 1 else (f"Rows of {len(paths)} Parquet files.",)
    return _parquet.feed(name, paths, options, notes)

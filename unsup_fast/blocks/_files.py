"""Data files by their kind."""

from collections.abc import Sequence

from unsup_fast._paths import special
from unsup_fast._urls import File, Url
from unsup_fast.blocks import _joined, _url_npy, npy
from unsup_fast.blocks._feed import DataError, Feed
from unsup_fast.blocks._listing import (
    IN_FOLDERS,
    KINDS,
    family,
    files_of,
    kind_by_name,
)
from unsup_fast.blocks._options import TableOptions

TABLES = ("csv", "parquet", "arrow", "feather")


def kind_of(file: File) -> str:
    """Return the kind of a data file by its name, or say why it cannot be one.

    The kind is the suffix without its dot; "csv" for `.tsv`, `.csv.gz` and `.tsv.gz` too; that of
    the files of a folder or a pattern.
    """
    files = files_of(file)
    if files is not None:
        return _kind_of_all(files)
    try:
        exists = file.exists()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    if not exists:
        raise DataError(f"{file}: no such file")
    if not isinstance(file, Url) and (kind := special(file)):
        raise DataError(f"{file}: is {kind}; name a regular file")
    return _readable_kind(file)


def _readable_kind(file: File) -> str:
    kind = kind_by_name(file)
    if kind is None:
        raise DataError(
            f"{file}: is not a {', '.join(KINDS[:-1])} or {KINDS[-1]} file, nor a .csv.gz or "
            ".tsv.gz"
        )
    return kind


def _kind_of_all(files: Sequence[File]) -> str:
    """Return the kind of files that are read as one."""
    kinds = [_readable_kind(file) for file in files]
    for file, kind in zip(files, kinds, strict=True):
        if family(kind) not in IN_FOLDERS:
            raise DataError(
                f"{file}: an .{kind} is unpacked into memory, and cannot be one file of several; "
                "name it alone, or save .npy files"
            )
        if family(kind) != family(kinds[0]):
            raise DataError(
                f"{file}: is a .{kind} file, {files[0]} is .{kinds[0]}; files that are read as one "
                "must be of one kind"
            )
    return kinds[0]


def feed(file: File, options: TableOptions, key: str | None) -> Feed:
    """Return the feed of a file, a folder or a pattern; `key` is for `.npz`."""
    files = files_of(file)
    if files is None:
        return _one(file, kind_of(file), options, key)
    kind = _kind_of_all(files)
    if key is not None:
        raise DataError(f"{file}: a key is for .npz; these are .{kind} files")
    return _joined.opened(str(file), files, options, _opener(kind))


def several(names: Sequence[File], options: TableOptions) -> Feed:
    """Return the feed of the rows of files, folders and patterns, in the order of the list."""
    files: list[File] = []
    for name in names:
        some = files_of(name)
        if some is None:
            kind_of(name)
        files += [name] if some is None else some
    shown = str(names[0]) if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return _joined.opened(shown, files, options, _opener(_kind_of_all(files)))


def _opener(kind: str) -> _joined.Open:
    def open_file(file: File, options: TableOptions) -> Feed:
        return _one(file, kind, options, None)

    return open_file


def _one(file: File, kind: str, options: TableOptions, key: str | None) -> Feed:
    """Return the feed of a file of this kind."""
    if options.columns is not None and kind not in TABLES:
        raise DataError(
            f"{file}: columns are for .csv, .parquet, .arrow and .feather; an .{kind} has no names"
        )
    if key is not None and kind != "npz":
        raise DataError(f"{file}: a key is for .npz; this is a .{kind} file")
    if kind == "csv":
        from unsup_fast.blocks import _csv

        return _csv.feed(file, options)
    if options.header is not None or options.separator is not None:
        option = "separator" if options.header is None else "header"
        raise DataError(f"{file}: --{option} is for .csv and .tsv; this is a .{kind} file")
    if kind == "npy":
        return _url_npy.feed(file) if isinstance(file, Url) else npy.feed(file)
    if kind == "npz":
        return npy.archive(file, key)
    if kind == "parquet":
        from unsup_fast.blocks import _parquet

        return _parquet.feed(file, options)
    from unsup_fast.blocks import _ipc

    return _ipc.feed(file, kind, options)

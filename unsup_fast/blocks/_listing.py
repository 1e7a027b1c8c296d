"""Which files a folder holds, and which a pattern matches."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from unsup_fast._text import natural
from unsup_fast._urls import File, Url
from unsup_fast.blocks._feed import DataError

KINDS = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
PACKED = (".csv", ".tsv")  # may be packed by gzip
IN_FOLDERS = ("npy", "csv", "parquet", "arrow")
MAGIC = re.compile(r"[*?[]")


def kind_by_name(file: File) -> str | None:
    """Return the kind of data in a file of this name, None if it is none that can be read.

    The kind is the suffix without its dot; "csv" for `.tsv`, `.csv.gz` and `.tsv.gz` too.
    """
    suffix = file.suffix.lower()
    packed = suffix == ".gz"
    if packed:
        suffix = Path(file.stem).suffix.lower()
    if suffix not in KINDS or (packed and suffix not in PACKED):
        return None
    return "csv" if suffix == ".tsv" else suffix[1:]


def family(kind: str) -> str:
    """Return what files of a list must have in common: Arrow's have two suffixes."""
    return "arrow" if kind == "feather" else kind


def is_pattern(file: File) -> bool:
    """Return whether a name is a pattern (`*.npy`), and no file or folder is called so."""
    if isinstance(file, Url):
        return not file.is_web and bool(MAGIC.search(file.text))
    return bool(MAGIC.search(str(file))) and not file.exists()


def files_of(file: File) -> list[File] | None:
    """Return the files of a folder or a pattern in natural order; None if it is neither.

    Raises
    ------
    DataError
        If there are no such files, those of a folder are of several kinds, or it cannot be read.
    """
    try:
        if is_pattern(file):
            return matches(file)
        return in_folder(file) if file.is_dir() else None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error


def matches(pattern: File) -> list[File]:
    """Return the files that a pattern matches."""
    files: Sequence[File]
    if isinstance(pattern, Url):
        files = pattern.glob()
    else:
        paths = map(Path, glob.glob(str(pattern), recursive=True))
        files = [path for path in paths if path.is_file()]
    if not files:
        raise DataError(f"{pattern}: matches no file; check the folder and the pattern")
    return _ordered(files)


def in_folder(folder: File) -> list[File]:
    """Return the data files in a folder.

    Names that begin with a dot or an underscore are those of other things, as Spark writes them.
    """
    files: Sequence[File]
    if isinstance(folder, Url):
        files = folder.files()
    else:
        files = [path for path in folder.iterdir() if path.is_file()]
    kinds: dict[str, list[File]] = {}
    for file in files:
        kind = family(kind_by_name(file) or "")
        if kind in IN_FOLDERS and file.name[0] not in "._":
            kinds.setdefault(kind, []).append(file)
    if not kinds:
        raise DataError(
            f"{folder}: is a directory without .parquet files, or .npy, .csv, .arrow or .feather; "
            "name a file in it"
        )
    if len(kinds) > 1:
        names = " and ".join(f".{kind}" for kind in sorted(kinds))
        raise DataError(
            f"{folder}: holds files of several kinds ({names}); name those to read, as in "
            f"'{folder}/*{next(iter(kinds.values()))[0].suffix}'"
        )
    return _ordered(*kinds.values())


def _ordered(files: Sequence[File]) -> list[File]:
    """Return files in the order of the numbers in their names."""
    return sorted(files, key=lambda file: natural(str(file)))

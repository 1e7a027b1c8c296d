"""What the results of every command hold: models, summaries, labels, and lines about them."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from unsup_fast._text import valid
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import Source
from unsup_fast.cli import files, info, matrices, terminal
from unsup_fast.cli.data import named
from unsup_fast.cli.errors import UserError
from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import compiled, is_native
from unsup_fast.report.numbers import counted
from unsup_fast.storage import records

NO_LABEL = -1  # of a row that was dropped for its missing values
SUMMARY = "summary"


def write_model(
    out: Path, model: Any, source: Source, summary: Mapping[str, Any]
) -> tuple[str, str]:
    """Write a model, with the names of the columns, and the summary; return the files' names."""
    if named(source):
        model.feature_names_in_ = np.array(source.names, dtype=object)
    try:
        model.save(out / files.MODEL)
    except ValueError as error:
        raise UserError(f"{out / files.MODEL}: {error}") from error
    write_summary(out / files.SUMMARY, summary)
    return files.MODEL, files.SUMMARY


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a summary with a checksum; a number that is not finite becomes null."""
    content = valid(records.finite(summary))
    records.write(path, content, kind=SUMMARY, what="the summary")


def as_json(summary: Mapping[str, Any]) -> str:
    """Return a summary as JSON to print; a number that is not finite becomes null."""
    return records.dumps(valid(records.finite(summary)), "the result", indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with files.replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_labels(path: Path, labels: Array, name: str = "label") -> None:
    """Write a value for each row as `.npy`, or as the one column of a `.parquet` or `.csv`."""
    if path.suffix == ".npy":
        matrices.write(path, iter([labels]), len(labels), [name])
    else:
        matrices.write(path, iter([[labels]]), len(labels), [name])


def about(
    file: File, source: Source, fingerprint: Mapping[str, Any], warning: str | None = None
) -> dict[str, Any]:
    """Return what `summary.json` says of the data."""
    n_rows, n_columns = source.shape
    return {
        "file": str(file),
        "rows": n_rows,
        "columns": n_columns,
        "column_names": list(source.names) if source.names else None,
        "dtype_in_file": source.source_dtype,
        "dtype": str(source.dtype),
        "notes": [*source.notes, *([_sentence(warning)] if warning else [])],
        **fingerprint,
    }


def _sentence(warning: str) -> str:
    return f"{warning[:1].upper()}{warning[1:]}."


def opening(file: File, source: Source, what: str) -> list[Text]:
    """Return lines that describe the data, and what is to be done with them."""
    n_rows, n_columns = source.shape
    return [
        terminal.bold(
            file.name,
            f"  {counted(n_rows, 'row')} x {counted(n_columns, 'column')}, {source.dtype}, {what}",
        ),
        *(terminal.plain(note, "dim") for note in source.notes),
    ]


def closing(out: Path, written: Sequence[str]) -> Text:
    """Return a line that lists the files in `out`."""
    return terminal.bold(f"{out}/", f"  {'  '.join(written)}")


def machine(n_threads: int | None) -> dict[str, Any]:
    """Return what the speed of a run depends on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads.effective(n_threads),
        "simd": compiled().simd() if is_native() else "numba",
    }


def versions() -> dict[str, str]:
    """Return the versions that took part."""
    return {
        "unsup_fast": info.version("unsup-fast"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }

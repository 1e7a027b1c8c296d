"""`unsup-fast predict`: the clusters of new rows by a saved model."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from unsup_fast import blocks
from unsup_fast.blocks import Source
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError, zero_row
from unsup_fast.cli.results import write_labels
from unsup_fast.cluster import KMeans, MiniBatchKMeans, _save
from unsup_fast.cluster._sphere import ZeroRowError, unit_rows
from unsup_fast.report.numbers import count, counted

Array = npt.NDArray[Any]

SUFFIXES = (".npy", ".parquet", ".csv")
BLOCK_VALUES = 1 << 22


def run(
    model_path: Path,
    data: Path,
    out: Path,
    *,
    columns: tuple[str, ...] | None,
    key: str | None,
    chunk_size: int | None,
    distances: bool,
    threads: int | None,
    quiet: bool,
    overwrite: bool,
) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If anything given is unusable.
    """
    outputs = [out]
    if distances and out.suffix == ".npy":
        outputs.append(out.with_suffix(".distances.npy"))
    _check_output(outputs, overwrite)
    model = _load(model_path)
    names = model.__dict__.pop("feature_names_in_", None)
    if columns is None and names is not None and data.suffix.lower() not in (".npy", ".npz"):
        columns = tuple(names.tolist())
    source = blocks.source(data, columns=columns, key=key, chunk_size=chunk_size)
    _check_columns(data, source, model)
    try:
        labels = model.set_params(n_threads=threads).predict(source)
    except ZeroRowError as error:
        raise zero_row(data, error) from None
    found = _distances(source, labels, model) if distances else None
    if found is not None and out.suffix == ".npy":
        write_labels(outputs[1], found)
        found = None
    write_labels(out, labels, found)
    if not quiet:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        for note in source.notes:
            console.print(note, style="dim")
        written = " and ".join(map(str, outputs))
        console.print(f"{counted(len(labels), 'label')} of {data.name} written to {written}")
    return 0


def _check_output(outputs: list[Path], overwrite: bool) -> None:
    out = outputs[0]
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: is not a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    for path in outputs:
        files.check_regular(path)
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists already; name another file or pass --overwrite")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out.parent}: no such directory")
    files.check_writable(Path(os.path.realpath(out)).parent)
    if out.suffix != ".npy":
        from unsup_fast import _extras

        _extras.require("pyarrow", "data", "writing CSV and Parquet files")


def _load(path: Path) -> Any:
    if path.is_dir():
        path = path / files.MODEL
    try:
        return _save.load(path, KMeans, MiniBatchKMeans)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such model file") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_columns(data: Path, source: Source, model: Any) -> None:
    n_columns = source.n_columns
    if n_columns != model.n_features_in_:
        hint = "; choose them with --columns" if source.names is not None else ""
        raise UserError(
            f"{data}: has {counted(n_columns, 'column')}, the model was fitted on "
            f"{count(model.n_features_in_)}{hint}"
        )


def _distances(X: Source, labels: Array, model: KMeans) -> Array:
    """Return the distance of each row to its centroid, from differences."""
    centers, cosine = model.cluster_centers_, model.metric == "cosine"
    distances = np.empty(X.n_rows, dtype=X.dtype)
    step = max(1, BLOCK_VALUES // X.n_columns)
    with closing(X.blocks()) as found:
        for row, block in found:
            for start in range(0, len(block), step):
                rows = block[start : start + step]
                some = slice(row + start, row + start + len(rows))
                apart = (unit_rows(rows) if cosine else rows) - centers[labels[some]]  # [step, D]
                squares = np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
                distances[some] = squares / 2 if cosine else np.sqrt(squares)
    return distances

"""Read and check the inputs of a command: rows, weights, sizes of pictures."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import blocks
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import Source
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import DataSettings
from unsup_fast.report.numbers import count, counted, percent

# A column with more than this share of the variance of all columns is warned of.
DOMINANT = 0.9
# Kinds of data that have rows in a table, and whose results are tables too.
TABLES = ("parquet", "arrow", "feather")


def weights_column(weights: str | None) -> tuple[str, ...]:
    """Return the column that holds the weights, which is then no data; none if it is a file."""
    return () if weights is None or Path(weights).exists() else (weights,)


def open_source(
    settings: DataSettings,
    *,
    columns: str | tuple[str, ...] | None = None,
    exclude: tuple[str, ...] = (),
) -> Source:
    """Return the rows that the options name; `columns` are those of `settings` if None."""
    return blocks.source(
        settings.data,
        columns=settings.columns if columns is None else columns,
        key=settings.key,
        exclude=exclude,
        chunk_size=settings.chunk_size,
        header=settings.header,
        separator=settings.separator,
        missing=settings.missing,
    )


def weighted(
    settings: DataSettings, weights: str | None, source: Source
) -> tuple[Source, Array | None]:
    """Return the rows, and their weights, of a file or a column of the data.

    Rows without a weight are left out with `--missing drop`; the weights of rows that are left out
    need not be any.

    Raises
    ------
    UserError, DataError
        If there are none, or not one for each row.
    """
    if weights is None:
        return source, None
    column = weights_column(weights)
    if column and source.names is None:
        raise UserError(f"--weights {weights}: no such file")
    if column:
        rows = blocks.source(
            settings.data,
            columns=column,
            header=settings.header,
            separator=settings.separator,
            missing="drop",
        )
        vector, name = rows.spread(rows.to_array()[:, 0], np.nan), settings.data
    else:
        vector, name = blocks.read_vector(weights, source.n_rows_of_data), Path(weights)
    used = source.spread(np.ones(source.n_rows, bool), False)
    lacking = used & np.isnan(vector)
    if lacking.any():
        if settings.missing != "drop":
            row = int(lacking.argmax())
            raise UserError(
                f"--weights {weights}: row {row} has no weight; fill it in, or pass --missing drop"
            )
        source = source.without(lacking)
    vector = blocks.weights_from(name, np.where(used & ~lacking, vector, 0), source.dtype)
    return source, vector[source.rows_of_data(np.arange(source.n_rows))]


def check_rows(data: File, source: Source, needed: int, option: str) -> None:
    """Refuse fewer rows than an option asks for."""
    if needed > source.n_rows:
        raise UserError(
            f"{data}: has {counted(source.n_rows, 'row')}, fewer than {option} {needed}; "
            f"pass {option} {source.n_rows} or less"
        )


def image_shape(source: Source, requested: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the shape of the pictures in the rows: the requested one, or that of the file."""
    shape = requested or source.image_shape
    if shape is not None and math.prod(shape) != source.n_columns:
        size = "x".join(map(str, shape))
        raise UserError(
            f"--images {size}: is {math.prod(shape)} values, rows have {source.n_columns}"
        )
    return shape


def dominant_column(source: Source) -> str | None:
    """Return a warning if one of several columns holds most of the variance, or None."""
    variance = source.moments.variance
    total = float(variance.sum())
    column = int(variance.argmax())
    if len(variance) < 2 or not variance[column] > DOMINANT * total:
        return None
    name = f"{source.names[column]!r}" if named(source) and source.names else f"{column}"
    others = "the other column" if len(variance) == 2 else f"the other {len(variance) - 1} columns"
    return (
        f"column {name} holds {percent(round(variance[column] / total, 9))} of the variance, so "
        f"distances and principal axes say little of {others}; pass --standardize to divide each "
        "column by its standard deviation"
    )


def named(source: Source) -> bool:
    """Whether each column of the matrix has a name of its own."""
    return source.names is not None and len(source.names) == source.n_columns


def for_model(model: Any, settings: DataSettings) -> Source:
    """Return rows for a fitted model; of a table the columns that it was fitted on.

    Raises
    ------
    UserError, DataError
        If the data cannot be read, or have other columns.
    """
    if settings.missing == "mean":
        raise UserError(
            "--missing mean: a fitted model holds no means of the rows that it was fitted on; pass "
            "--missing drop, or fill the values in"
        )
    names = model.__dict__.pop("feature_names_in_", None)
    fitted: tuple[str, ...] | None = None
    if names is not None and blocks.kind_of(settings.data) not in ("npy", "npz"):
        fitted = tuple(names.tolist())
    source = open_source(settings, columns=settings.columns or fitted)
    if source.n_columns != model.n_features_in_:
        hint = "; choose them with --columns" if source.names is not None else ""
        raise UserError(
            f"{settings.data}: has {counted(source.n_columns, 'column')}, the model was fitted on "
            f"{count(model.n_features_in_)}{hint}"
        )
    return source

"""Rows that come in blocks: which data do, and their columns."""

import sys
from os import PathLike, fspath
from typing import Any, Protocol

import numpy as np

from unsup_fast import blocks
from unsup_fast.blocks import Source


def source_of(X: Any) -> Source | None:
    """Return data that come in blocks as a source, or None for data validated as a whole.

    Data in blocks are sources, pyarrow's tables and data sets, frames of pandas and polars with a
    column of lists, and memory maps, which may be too large for a converted copy.

    Raises
    ------
    TypeError
        If X is the path of a file, or a list of paths.
    """
    if isinstance(X, Source):
        return X
    if isinstance(X, str | PathLike) or _is_paths(X):
        shown = f'"{fspath(X)}"' if isinstance(X, str | PathLike) else "[...]"
        call = f"blocks.source({shown})"
        raise TypeError(f"X is a path, not rows; pass {call} in its place, as in fit({call})")
    pa, dataset = sys.modules.get("pyarrow"), sys.modules.get("pyarrow.dataset")
    if (
        (isinstance(X, np.memmap) and X.ndim == 2)
        or (pa is not None and isinstance(X, pa.Table | pa.RecordBatch))
        or (dataset is not None and isinstance(X, dataset.Dataset))
        or _has_lists(X)
    ):
        return blocks.source(X)
    return None


def _is_paths(X: Any) -> bool:
    """Return whether X is a list of paths of files, and not of rows."""
    return isinstance(X, list | tuple) and bool(X) and isinstance(X[0], PathLike | str)


def _has_lists(X: Any) -> bool:
    """Return whether X is a frame of pandas or polars with a column of lists."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(X, pandas.DataFrame):
        return any(_is_list(X.iloc[:, j]) for j, kind in enumerate(X.dtypes) if kind.kind == "O")
    if polars is not None and isinstance(X, polars.DataFrame):
        return any(isinstance(kind, polars.List | polars.Array) for kind in X.dtypes)
    return False


def _is_list(column: Any) -> bool:
    """Return whether a pandas column holds lists or arrays, by type or first present value."""
    arrow = getattr(column.dtype, "pyarrow_dtype", None)
    if arrow is not None:
        return "list" in str(arrow)
    present = column.notna().to_numpy()
    if not present.any():
        return False
    return isinstance(column.iloc[int(present.argmax())], list | tuple | np.ndarray)


class Columns(Protocol):
    """What has columns: a source, or the parts of a collection."""

    @property
    def n_columns(self) -> int:
        """Number of columns D."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the columns, or None."""


def check_columns(estimator: Any, source: Columns, *, reset: bool) -> None:
    """Set the number and names of columns, or compare them as scikit-learn does."""
    names = source.names
    if names is not None and len(names) != source.n_columns:
        names = None
    if reset:
        estimator.n_features_in_ = source.n_columns
        estimator.__dict__.pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return
    expected = getattr(estimator, "n_features_in_", source.n_columns)  # not set by hand
    if source.n_columns != expected:
        raise ValueError(
            f"X has {source.n_columns} features, but {type(estimator).__name__} is expecting "
            f"{expected} features as input."
        )
    before = getattr(estimator, "feature_names_in_", None)
    if names is not None and before is not None and list(names) != before.tolist():
        raise ValueError(
            f"The feature names should match those that were passed during fit: X has "
            f"{', '.join(names)}, fit was given {', '.join(before)}."
        )

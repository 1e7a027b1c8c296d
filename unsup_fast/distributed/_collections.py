"""Collections that are in parts already: those of Dask, and Ray's data sets."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from unsup_fast.distributed._parts import Parts
from unsup_fast.kernels._types import Array


def parts_of(X: Any) -> Parts | None:
    """Return the parts of a collection, which holders compute; None for other data.

    Neither Dask nor Ray is imported for data of another kind.

    Parameters
    ----------
    X : dask array, dask dataframe or ray.data.Dataset of shape (N, D)
        A dask array has chunks along the rows only; chunks may be empty or of unknown size. Of a
        dataframe all numeric columns are used, or its only column of lists; of a data set these, or
        its only tensor column.

    Returns
    -------
    Parts or None

    Raises
    ------
    DataError
        If X does not hold rows of numbers, or a dask array has chunks along the columns.

    Notes
    -----
    Types are those of `blocks.source`. Where wide integers may need float64, each part is computed
    once to see how large they are. A `ray.data.Dataset` is executed here, in the order of its rows.
    """
    if _is_dask(X):
        from unsup_fast.distributed import _dask_data

        return _dask_data.parts_of(X)
    if _is_ray(X):
        from unsup_fast.distributed import _ray_data

        return _ray_data.parts_of(X)
    return None


def lazy_labels(
    X: Any, assign: Callable[[Array], Array], dtype: np.dtype[Any] | None = None
) -> Any:
    """Return the labels of a collection, which are computed when they are asked for.

    Parameters
    ----------
    X : dask array, dask dataframe or ray.data.Dataset
    assign : callable
        Returns the labels [M] of rows [M, D] of float32 or float64; it travels to the workers.
    dtype : dtype, optional
        float32 or float64: what rows are converted to. None takes the type of `parts_of`, but
        float64 for wide integers of any size, which are then not looked at.

    Returns
    -------
    dask array of shape (N,), dask series or ray.data.Dataset
        int32; with the chunks of a dask array or the index of a dataframe; a data set gets a column
        "label" after its own.
    """
    if _is_dask(X):
        from unsup_fast.distributed import _dask_data

        return _dask_data.lazy_labels(X, assign, dtype)
    if _is_ray(X):
        from unsup_fast.distributed import _ray_data

        return _ray_data.lazy_labels(X, assign, dtype)
    raise TypeError(f"X is of type {type(X).__name__}; pass a collection of Dask or Ray")


def is_collection(X: Any) -> bool:
    """Return whether X is a collection that `parts_of` takes."""
    return _is_dask(X) or _is_ray(X)


def _is_dask(X: Any) -> bool:
    array, frame = sys.modules.get("dask.array"), sys.modules.get("dask.dataframe")
    return (array is not None and isinstance(X, array.Array)) or (
        frame is not None and isinstance(X, frame.DataFrame)
    )


def _is_ray(X: Any) -> bool:
    data = sys.modules.get("ray.data")
    return data is not None and isinstance(X, data.Dataset)

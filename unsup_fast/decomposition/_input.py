"""Input of PCA: rows in memory, in blocks, in other processes or on a GPU, and coordinates."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils import check_array

from unsup_fast._rows import arrays, devices, scaling, validate
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.sources import check_columns
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import is_tensor
from unsup_fast.decomposition._estimator import Decomposition
from unsup_fast.distributed import Engine
from unsup_fast.distributed._holder import Holder
from unsup_fast.distributed._spread import parts_for, refuse_device, spread

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


def rows(model: Decomposition, X: RowsLike, *, reset: bool) -> Rows:
    """Validate rows, which may hold values that are not finite if they are in memory.

    Columns are divided by the deviations that the model is, or with `reset` is to be, standardized
    with.
    """
    checked = validate.rows(X, model.device, model, reset=reset, check_finite=False)
    return _divided(model, checked, reset=reset).in_memory()


@contextmanager
def opened(model: Decomposition, X: RowsLike, engine: Engine | None) -> Iterator[Rows]:
    """Yield validated rows to fit, which an engine's processes have in the meantime, if any."""
    parts = parts_for(X, engine)
    if parts is None:
        yield rows(model, X, reset=True)
        return
    refuse_device(model.device)
    check_columns(model, parts, reset=True)
    with spread(parts, engine, partial(Holder, n_threads=model.n_threads)) as fleet_rows:
        yield _divided(model, cast(Rows, fleet_rows), reset=True)


def _divided(model: Decomposition, checked: Rows, *, reset: bool) -> Rows:
    """Return rows with their columns divided as the model is, or is to be, standardized."""
    if reset:
        model.__dict__.pop("scale_", None)  # of an earlier fit
        if getattr(model, "standardize", False):
            # `checked` knows no moments, so those of the divided rows are not computed unless read.
            model.scale_ = checked.finite(type(model).__name__).deviations()
    scale = scaling.scale_for(model, checked.n_columns)
    return checked if scale is None else checked.divided(scale)


def finite_rows(model: Decomposition, X: RowsLike) -> Rows:
    """Validate rows for a fitted model; blocks are checked when they are read."""
    return rows(model, X, reset=False).finite(type(model).__name__)


def coordinates(
    model: Decomposition, X: RowsLike, n_axes: int
) -> "tuple[ArrayOrTensor, np.dtype[Any]]":
    """Validate coordinates [N, K] for `inverse_transform`, and return them and their type.

    Those of a model on a GPU are on the GPU, or where the tensor X is.
    """
    device = devices.compute_device(X, model.device, fitted=True)
    if device is not None and is_tensor(X):
        from unsup_fast._rows import tensors

        X = tensors.as_float(X.detach())
        _check_shape(tuple(X.shape), n_axes)
        return X, tensors.dtype_of(X)
    checked = check_array(arrays.to_numpy(X, "X"), input_name="X", dtype=arrays.FLOATS, order="C")
    _check_shape(checked.shape, n_axes)
    return arrays.to_device(np.require(checked, requirements=["C", "A"]), device), checked.dtype


def _check_shape(shape: tuple[int, ...], n_axes: int) -> None:
    if len(shape) != 2:
        raise ValueError(f"X has shape {shape}; inverse_transform needs (N, {n_axes})")
    if shape[1] != n_axes:
        raise ValueError(f"X has {shape[1]} columns; inverse_transform needs n_components={n_axes}")

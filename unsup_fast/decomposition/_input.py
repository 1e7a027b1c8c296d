"""Input of PCA: rows in memory, in blocks, sparse, or on a GPU, and coordinates to map back."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array

from unsup_fast._rows import arrays, devices, scaling, validate
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import is_tensor
from unsup_fast.decomposition._estimator import Decomposition

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


def rows(model: Decomposition, X: RowsLike, *, reset: bool) -> Rows:
    """Validate rows, which may hold values that are not finite if they are in memory.

    Columns are divided by the deviations that the model is, or with `reset` is to be, standardized
    with.
    """
    checked = validate.rows(X, model.device, model, reset=reset, check_finite=False)
    if reset:
        model.__dict__.pop("scale_", None)  # of an earlier fit
        if getattr(model, "standardize", False):
            # `checked` knows no moments, so those of the divided rows are not computed unless read.
            model.scale_ = checked.finite(type(model).__name__).deviations()
    scale = scaling.scale_for(model, checked.n_columns)
    return (checked if scale is None else checked.divided(scale)).in_memory()


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

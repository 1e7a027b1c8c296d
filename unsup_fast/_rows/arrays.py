"""Conversion and validation of input and output arrays: NumPy, CSR, and torch tensors."""

import sys
from numbers import Number
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from unsup_fast import _types
from unsup_fast._types import Array
from unsup_fast._types import is_tensor as is_tensor
from unsup_fast.blocks import check_sparse, check_weights, unmasked
from unsup_fast.kernels.moments import moments

if TYPE_CHECKING:
    import torch

FLOATS = (np.float64, np.float32)
AXES = ("row", "column")


def to_numpy(value: Any, name: str) -> Any:
    """Return a torch tensor as an array that shares its memory, and any other value unchanged.

    A masked array without masked entries becomes a plain one.

    Raises
    ------
    ValueError
        If the tensor is not in CPU memory, or not dense, or an entry is masked.
    """
    if not is_tensor(value):
        return unmasked(value, name)
    torch = sys.modules["torch"]
    if value.device.type != "cpu":
        raise ValueError(
            f"{name} is a tensor on device '{value.device}', but this computes on the CPU; "
            f"pass {name}.cpu()"
        )
    if value.layout != torch.strided:
        raise ValueError(
            f"{name} is a tensor of layout {value.layout}; pass a dense tensor "
            f"({name}.to_dense()) or a SciPy CSR matrix"
        )
    if value.dtype == torch.bfloat16:  # NumPy has no such type; float32 holds its values
        value = value.float()
    return value.detach().numpy()


def on_host(value: Any) -> Any:
    """Return a tensor on any device as an array, and any other value unchanged."""
    return _types.on_host(value) if is_tensor(value) else value


def as_tensor_like(value: Any, X: Any) -> Any:
    """Return an array as a tensor that shares its memory if X is a tensor, else unchanged."""
    if is_tensor(X) and isinstance(value, np.ndarray):
        return sys.modules["torch"].from_numpy(value)
    return value


def to_device(value: Any, device: "torch.device | None") -> Any:
    """Return an array as a tensor on a torch device, or unchanged if the device is None.

    A value that is not an array is returned unchanged.
    """
    if device is None or not isinstance(value, np.ndarray):
        return value
    return sys.modules["torch"].from_numpy(value).to(device)


def to_user(value: Any, X: Any) -> Any:
    """Return an array or tensor as a tensor on the device of X if X is one, else as an array."""
    if is_tensor(value):
        return value.to(X.device) if is_tensor(X) else value.cpu().numpy()
    return to_device(value, device_of(X))


def concatenate(parts: list[Any]) -> Any:
    """Return arrays or tensors one below the other; a single one is not copied."""
    if len(parts) == 1:
        return parts[0]
    return sys.modules["torch"].cat(parts) if is_tensor(parts[0]) else np.concatenate(parts)


def device_of(X: Any) -> "torch.device | None":
    """Return the device of a tensor, or None for any other value."""
    return X.device if is_tensor(X) else None


def _canonical(X: Any) -> Any:
    """Return a CSR matrix without duplicates whose two index arrays have one type."""
    n_values = int(X.indptr[-1])
    parts = (X.data[:n_values], X.indices[:n_values], X.indptr)  # without spare room
    if X.indices.dtype != X.indptr.dtype:
        wide = np.promote_types(X.indices.dtype, X.indptr.dtype)
        parts = (parts[0], parts[1].astype(wide), X.indptr.astype(wide))
    canonical = X.__class__(parts, shape=X.shape, copy=False)
    if canonical.has_canonical_format:
        return canonical
    canonical = canonical.copy()
    canonical.sum_duplicates()  # duplicate entries would be squared separately
    return canonical


def rows(X: Any, *, estimator: Any = None, reset: bool = False) -> Any:
    """Validate rows as scikit-learn does, except that they need not be finite.

    Parameters
    ----------
    X : array-like, sparse matrix or CPU tensor of shape (N, D)
    estimator : estimator, optional
        Whose feature names and count are set (`reset`) or compared.

    Returns
    -------
    ndarray (C-contiguous) or CSR of shape (N, D), float32 or float64
        `X` itself, or a view of its memory, if it is one of these already.

    Raises
    ------
    ValueError
        Also if the indices or pointers of sparse rows do not fit their shape.
    """
    options: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": FLOATS,
        "order": "C",
        "ensure_all_finite": False,
    }
    X = _dense_frame(to_numpy(X, "X"))
    if sp.issparse(X):
        check_sparse(X)
    try:
        if estimator is None:
            X = check_array(X, input_name="X", **options)
        else:
            X = validate_data(estimator, X, reset=reset, **options)
    except TypeError:
        _refuse_missing(X, "X")
        raise
    return _canonical(X) if sp.issparse(X) else np.require(X, requirements=["C", "A"])


def _dense_frame(X: Any) -> Any:
    """Return a pandas frame of sparse columns that scikit-learn cannot read as a dense one.

    That is one whose columns leave out another value than zero, NaN by default.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(X, pandas.DataFrame):
        return X
    kinds = [kind for kind in X.dtypes if isinstance(kind, pandas.SparseDtype)]
    if len(kinds) < X.shape[1] or all(kind.fill_value == 0 for kind in kinds):
        return X
    return X.sparse.to_dense()


def _refuse_missing(value: Any, name: str) -> None:
    """Raise ValueError if an array of objects holds pandas' NA, which NumPy cannot convert."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return
    missing = pandas.isna(np.asarray(value, dtype=object))
    if np.any(missing):
        indices = np.unravel_index(int(np.argmax(missing)), missing.shape)
        where = ", ".join(f"{axis} {i}" for axis, i in zip(AXES, indices, strict=False))
        raise ValueError(
            f"{name} is missing in {where} (counted from 0); leave out such rows, or fill them in"
        ) from None


def weights(sample_weight: Any, n_rows: int, dtype: Any) -> Array | None:
    """Return usable weights of the type of the rows, or None for ones.

    Parameters
    ----------
    sample_weight : array-like of shape (N,), CPU tensor, number or None
    n_rows : int
    dtype : dtype
        Type of the rows, float32 or float64.

    Raises
    ------
    ValueError
        If they are not one for each row; otherwise see `blocks.check_weights`.
    """
    if sample_weight is None:
        return None
    name = "sample_weight"
    if isinstance(sample_weight, Number):
        sample_weight = np.full(n_rows, sample_weight)
    sample_weight = to_numpy(sample_weight, name)
    options: dict[str, Any] = {
        "ensure_2d": False,
        "allow_nd": True,
        "ensure_all_finite": False,
        "ensure_min_samples": 0,
    }
    try:
        checked: Array = check_array(
            sample_weight, dtype=np.float64, order="C", input_name=name, **options
        )
    except TypeError:
        _refuse_missing(sample_weight, name)
        raise
    if checked.shape != (n_rows,):
        raise ValueError(
            f"{name}.shape == {checked.shape}, expected {(n_rows,)}: pass one weight for each row"
        )
    check_weights(checked, name, dtype)
    return checked.astype(dtype, copy=False)


def check_finite(X: Any, owner: str, n_threads: int | None = None) -> Any:
    """Check that all values are finite; return the moments of a dense X, None for CSR.

    Raises
    ------
    ValueError
        See `raise_bad`.
    """
    if not sp.issparse(X):
        statistics = moments(X, n_threads=n_threads)
        if statistics.first_nonfinite is not None:
            row, column = statistics.first_nonfinite
            raise_bad(X[row, column], row, column, owner)
        return statistics
    finite = np.isfinite(X.data)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        row = int(np.searchsorted(X.indptr, first, side="right")) - 1
        raise_bad(X.data[first], row, int(X.indices[first]), owner)
    return None


def raise_bad(value: Any, row: int, column: int, owner: str) -> NoReturn:
    """Raise ValueError for a value that is not finite: its kind, its position, and what to do."""
    dtype = np.asarray(value).dtype
    what, remedy = f"infinity or a value too large for {dtype!r}", "replace them"
    if np.isnan(value):
        what, remedy = "NaN", "fill them in (for example with sklearn.impute.SimpleImputer)"
    raise ValueError(
        f"Input X contains {what}. The first is in row {row}, column {column} (counted from 0). "
        f"{owner} needs finite values; leave out such rows, or {remedy}."
    )

"""Arrays that come in and go out: NumPy, CSR, and torch tensors."""

import sys
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import config_context
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import validate_data

from unsup_fast.kernels.moments import moments

FLOATS = (np.float64, np.float32)


def is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any, name: str) -> Any:
    """Return a torch tensor as an array that shares its memory, and the rest as it is.

    Raises
    ------
    ValueError
        If the tensor is not in CPU memory, or not dense.
    """
    if not is_tensor(value):
        return value
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


def compiling() -> bool:
    """Whether torch.compile traces this, so that tensors have no values to be looked at."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def on_host(value: Any) -> Any:
    """Return a tensor, wherever it is, as an array, and the rest as it is."""
    if not is_tensor(value):
        return value
    if value.dtype == sys.modules["torch"].bfloat16:  # NumPy has no such type
        value = value.float()
    return value.detach().cpu().numpy()


def like(value: Any, tensor: bool) -> Any:
    """Return an array as a tensor that shares its memory if `tensor`, else as it is."""
    if tensor and isinstance(value, np.ndarray):
        return sys.modules["torch"].from_numpy(value)
    return value


def on(value: Any, place: Any) -> Any:
    """Return an array as a tensor on a torch device, and the rest, or if that is None, as it is."""
    if place is None or not isinstance(value, np.ndarray):
        return value
    return like(value, True).to(place)


def place_of(X: Any) -> Any:
    """Return the device of a tensor, and None of what is none."""
    return X.device if is_tensor(X) else None


def _canonical(X: Any) -> Any:
    """Return a CSR matrix without duplicates whose two index arrays have one type."""
    if not X.has_canonical_format:  # a duplicate entry would be squared apart from its twin
        X = X.copy()
        X.sum_duplicates()
    if X.indices.dtype != X.indptr.dtype:
        wide = np.promote_types(X.indices.dtype, X.indptr.dtype)
        parts = (X.data, X.indices.astype(wide), X.indptr.astype(wide))
        X = X.__class__(parts, shape=X.shape, copy=False)
    return X


def rows(X: Any, *, estimator: Any = None, reset: bool = False) -> Any:
    """Validate rows as scikit-learn does, all but whether they are finite.

    Parameters
    ----------
    X : array-like, sparse matrix or CPU tensor of shape (N, D)
    estimator : estimator, optional
        Whose feature names and count are set (`reset`) or compared.

    Returns
    -------
    ndarray (C-contiguous) or CSR of shape (N, D), float32 or float64
        `X` itself, or a view of its memory, if it is one of these already.
    """
    options: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": FLOATS,
        "order": "C",
        "ensure_all_finite": False,
    }
    X = to_numpy(X, "X")
    if estimator is None:
        X = check_array(X, input_name="X", **options)
    else:
        X = validate_data(estimator, X, reset=reset, **options)
    return _canonical(X) if sp.issparse(X) else np.require(X, requirements=["C", "A"])


def check_finite(X: Any, owner: str, n_threads: int | None = None) -> Any:
    """Check that all values are finite; return the moments of a dense X, None for CSR.

    Raises
    ------
    ValueError
        With scikit-learn's words, and the row and column of the first bad value.
    """
    if not sp.issparse(X):
        statistics = moments(X, n_threads=n_threads)
        if statistics.bad is not None:
            row, column = statistics.bad
            raise_bad(X[row, column], row, column, owner)
        return statistics
    finite = np.isfinite(X.data)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        row = int(np.searchsorted(X.indptr, first, side="right")) - 1
        raise_bad(X.data[first], row, int(X.indices[first]), owner)
    return None


def raise_bad(value: Any, row: int, column: int, owner: str) -> None:
    """Raise scikit-learn's ValueError for a value that is not finite, and say where it is."""
    # The user may have told scikit-learn to assume finite values; here one is known not to be.
    with config_context(assume_finite=False):
        try:
            assert_all_finite(np.asarray([value]), input_name="X", estimator_name=owner)
        except ValueError as error:
            first, *rest = str(error).split("\n")
            where = f"{first} The first is in row {row}, column {column} (counted from 0)."
            raise ValueError("\n".join([where, *rest])) from None

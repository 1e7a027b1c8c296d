"""Whether a SciPy matrix is what it says it is."""

import operator
from typing import TYPE_CHECKING

import numpy as np

from unsup_fast._types import Array

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix


def check_sparse(X: "spmatrix | sparray") -> None:
    """Raise ValueError unless the indices and pointers of a SciPy matrix fit its shape.

    SciPy checks them when a matrix is built from arrays, not if these are changed or replaced, and
    its own code as well as ours reads and writes where they point.
    """
    if X.ndim != 2:
        raise ValueError(f"sparse X has shape {X.shape}; pass rows x columns")
    if X.format == "lil" and any(map(operator.ne, map(len, X.rows), map(len, X.data))):
        raise ValueError("rows and data of sparse X differ in length; pass a value for each index")
    if X.format in ("dia", "dok", "lil"):
        try:
            X = X.tocoo()
        except ValueError as error:
            raise ValueError(f"sparse X: {error}") from None
    if X.format == "coo":
        for indices, size, what in zip(X.coords, X.shape, ("row", "column"), strict=True):
            if len(indices) != len(X.data):
                raise ValueError(
                    f"sparse X has {len(X.data)} values but {len(indices)} {what} indices; pass "
                    "arrays of one length"
                )
            _check_indices(indices, size, what)
    if X.format not in ("csr", "csc", "bsr"):
        return
    major, minor = X.shape if X.format != "csc" else X.shape[::-1]
    if X.format == "bsr":
        height, width = X.blocksize
        major, minor = major // height, minor // width
    pointers, indices, n_values = X.indptr, X.indices, len(X.data)
    if pointers.ndim != 1 or indices.ndim != 1 or X.data.ndim != (3 if X.format == "bsr" else 1):
        raise ValueError(
            f"arrays of sparse X must have one dimension; got {X.data.ndim} of data, "
            f"{indices.ndim} of indices, {pointers.ndim} of indptr"
        )
    if pointers.shape != (major + 1,) or pointers[0] != 0 or (np.diff(pointers) < 0).any():
        raise ValueError(
            f"indptr of sparse X must hold {major + 1} numbers that rise from 0, as its shape is "
            f"{X.shape}; got {len(pointers)} from {pointers[:1]} to {pointers[-1:]}"
        )
    if not pointers[-1] <= min(len(indices), n_values):
        raise ValueError(
            f"indptr of sparse X ends at {pointers[-1]}, but there are {len(indices)} indices and "
            f"{n_values} values; pass as many of both"
        )
    _check_indices(indices[: pointers[-1]], minor, "row" if X.format == "csc" else "column")


def _check_indices(indices: Array, size: int, what: str) -> None:
    if indices.dtype.kind not in "iu":
        raise ValueError(f"indices of sparse X must be integers, got {indices.dtype}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < size):
        raise ValueError(
            f"sparse X has {what} indices from {indices.min()} to {indices.max()}; they must lie "
            f"from 0 to {size - 1}"
        )

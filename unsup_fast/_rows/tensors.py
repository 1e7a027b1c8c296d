"""Rows as tensors on a device: their checks, moments, and unit length."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import _check_feature_names, _check_n_features
from torch import Tensor

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.errors import ZeroRowError
from unsup_fast._rows.sources import source_of
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.moments import Moments
from unsup_fast.kernels.origin import origin

BLOCK = 1 << 24  # elements of a block: 128 MiB in float64


def dtype_of(X: Tensor) -> np.dtype[Any]:
    """Return the NumPy type of float32 or float64 rows."""
    return np.dtype(np.float32 if X.dtype == torch.float32 else np.float64)


def rows(X: Any, device: torch.device, estimator: Any, *, reset: bool) -> Tensor:
    """Return X as a finite tensor [N, D] on the device, float32 or float64, or raise.

    Parameters
    ----------
    X : array-like or tensor of shape (N, D)
    device : torch.device
    estimator : estimator
        Whose feature names and count are set (`reset`) or compared.
    reset : bool
    """
    if not isinstance(X, np.ndarray) and source_of(X) is not None:
        raise ValueError(
            f"rows that come in blocks ({type(X).__name__}) are for the CPU; pass device='cpu', or "
            "rows that fit into the GPU's memory as an array: "
            "unsup_fast.blocks.source(X).to_array()"
        )
    if not arrays.is_tensor(X):
        X = arrays.rows(X, estimator=estimator, reset=reset)
        if sp.issparse(X):
            raise ValueError("sparse rows are for the CPU; pass device='cpu' or X.toarray()")
        X = torch.from_numpy(X if X.flags.writeable else X.copy())
    else:
        _check(X)
        _check_feature_names(estimator, X, reset=reset)
        _check_n_features(estimator, X, reset=reset)
    rows = as_float(X).detach().to(device)
    low, high = torch.aminmax(rows)
    if not torch.isfinite(high - low):
        _check_finite(rows, type(estimator).__name__)
    return rows


def as_float(X: Tensor) -> Tensor:
    """Return a tensor in the type that the CPU computes with: float32 or float64."""
    if X.dtype in (torch.float32, torch.float64):
        return X
    return X.to(torch.float32 if X.dtype == torch.bfloat16 else torch.float64)


def to_host_at_once(values: list[Tensor]) -> list[Array]:
    """Return tensors of one type as arrays, copied to the host in one transfer."""
    together = torch.cat([value.reshape(-1) for value in values]).cpu().numpy()
    ends = np.cumsum([value.numel() for value in values])
    parts = np.split(together, ends[:-1])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]


def _check(X: Tensor) -> None:
    if X.layout != torch.strided:
        raise ValueError(f"X is a tensor of layout {X.layout}; pass a dense one, X.to_dense()")
    if X.ndim != 2 or X.is_complex():
        raise ValueError(f"Expected a 2D tensor of real numbers, got {X.dtype}{list(X.shape)}.")
    for size, what in zip(X.shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum of 1 is "
                "required."
            )


def _check_finite(X: Tensor, owner: str) -> None:
    for first, block in blocks(X, X.shape[1]):
        bad = ~torch.isfinite(block)
        if bad.any():
            row, column = divmod(int(bad.flatten().byte().argmax()), X.shape[1])
            arrays.raise_bad(block[row, column].item(), first + row, column, owner)


def blocks(X: Tensor, elements: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the first index and the rows of each block, which holds up to BLOCK elements.

    A row counts as `elements` elements, for arrays that are computed from it may be wider.
    """
    size = max(1, BLOCK // elements)
    for first in range(0, len(X), size):
        yield first, X[first : first + size]


def to_user(value: Tensor, X: Any) -> "Array | Tensor":
    """Return a tensor on the device of X if X is a tensor, else as an array."""
    return value.to(X.device) if arrays.is_tensor(X) else value.cpu().numpy()


def variance(X: Tensor, shift: Tensor, weight: Tensor | None = None) -> tuple[Array, float]:
    """Return the variance of each column as an array [D], and the largest deviation from the shift.

    Parameters
    ----------
    X : tensor of shape (N, D)
    shift : tensor of shape (D,)
        A point among the rows.
    weight : tensor of shape (N,), optional
        A row of weight 2 counts twice.
    """
    sums = torch.zeros((2, X.shape[1]), dtype=torch.float64, device=X.device)
    farthest = torch.zeros((), dtype=torch.float64, device=X.device)
    for first, block in blocks(X, X.shape[1]):
        moved = block.double() - shift.double()
        farthest = torch.maximum(farthest, moved.abs().max())
        share = moved
        if weight is not None:
            share = weight[first : first + len(block), None].double() * moved
        sums += torch.stack([share.sum(dim=0), (share * moved).sum(dim=0)])
    total = len(X) if weight is None else weight.double().sum()
    mean, square = (sums / total).cpu().numpy()
    return np.maximum(square - mean**2, 0), float(farthest)


def deviations(X: Tensor, weight: Tensor | None = None) -> Array:
    """Return the deviations [D] that `standardize` divides the columns by; see `scaling`."""
    shift = origin(X)
    variances, _ = variance(X, shift, weight)
    return scaling.of_variance(shift.cpu().numpy(), variances, dtype_of(X))


def moments(X: Tensor) -> Moments:
    """Return the float64 moments of each column, in two passes over the rows."""
    first = X[0].double()  # [D]
    sums, minimum, maximum = torch.zeros_like(first), first, first
    for _, block in blocks(X, X.shape[1]):
        sums += (block - first).sum(dim=0)
        minimum = torch.minimum(minimum, block.amin(dim=0))
        maximum = torch.maximum(maximum, block.amax(dim=0))
    mean = first + sums / len(X)
    squares = torch.zeros_like(first)
    for _, block in blocks(X, X.shape[1]):
        gaps = block - mean  # [B, D]
        squares += (gaps * gaps).sum(dim=0)
    host = torch.stack([mean, squares / len(X), minimum, maximum]).cpu().numpy()
    return Moments(
        mean=host[0],
        variance=host[1],
        first_nonfinite=None,
        minimum=host[2],
        maximum=host[3],
    )


def unit_rows(X: Tensor, width: float, name: str = "X") -> Tensor:
    """Return rows at unit length; rows that have it, up to rounding, are not changed.

    Parameters
    ----------
    X : tensor of shape (N, D), float32 or float64, finite
    width : float
        `directions.rounding` of such rows.
    name : str
        Name of the rows in the error message.

    Returns
    -------
    tensor of shape (N, D), type of X

    Raises
    ------
    ZeroRowError
        If a row is zero.
    """
    unit = torch.empty_like(X)
    for first, rows in blocks(X, X.shape[1]):
        largest = rows.abs().amax(dim=1, keepdim=True).double()  # [B, 1]
        zero = largest == 0
        if zero.any():
            raise ZeroRowError(first + int(zero.byte().argmax()), name)
        scaled = rows.double() / largest  # [B, D]: no square overflows, and not all vanish
        length = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)  # [B, 1]
        is_unit = (largest * length - 1).abs() <= width
        unit[first : first + len(rows)] = torch.where(is_unit, rows, (scaled / length).to(X.dtype))
    return unit


def directions(means: Tensor, before: Tensor) -> Tensor:
    """Return the directions of mean rows; where rows cancel out, the direction before.

    Parameters
    ----------
    means : tensor of shape (K, D), float64
    before : tensor of shape (K, D)
        Centroids that the rows were assigned to.

    Returns
    -------
    tensor of shape (K, D), float64
    """
    length = torch.linalg.vector_norm(means, dim=1, keepdim=True)  # [K, 1]
    cancelled = length <= torch.finfo(before.dtype).eps
    return torch.where(cancelled, before.double(), means / torch.where(cancelled, 1.0, length))

"""Rows as tensors on a device, and results as the kind of array that the user passed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import _check_feature_names, _check_n_features

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.sources import source_of

BLOCK = 1 << 24  # elements of a block: 128 MiB in float64
SAMPLE = 100  # rows whose median is the middle of the data


class HostRows:
    """Shape and NumPy type of rows on the device, for code that runs on the CPU."""

    def __init__(self, X: Any) -> None:
        self.shape = tuple(X.shape)
        self.dtype = np.dtype(np.float32 if X.dtype == torch.float32 else np.float64)


def rows(X: Any, gpu: Any, estimator: Any, *, reset: bool) -> Any:
    """Return X as a finite tensor [N, D] on the device, float32 or float64, or raise.

    Parameters
    ----------
    X : array-like or tensor of shape (N, D)
    gpu : torch.device
    estimator : estimator
        Whose feature names and count are set (`reset`) or compared.
    reset : bool
    """
    if not isinstance(X, np.ndarray) and source_of(X) is not None:
        raise ValueError(
            f"rows that come in blocks ({type(X).__name__}) are for the CPU; pass device='cpu', or "
            "rows that fit into the GPU's memory as an array: unsup_fast.blocks.source(X).whole()"
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
    if X.dtype not in (torch.float32, torch.float64):  # as on the CPU
        X = X.to(torch.float32 if X.dtype == torch.bfloat16 else torch.float64)
    X = X.detach().to(gpu)
    low, high = torch.aminmax(X)
    if not torch.isfinite(high - low):
        _check_finite(X, type(estimator).__name__)
    return X


def _check(X: Any) -> None:
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


def _check_finite(X: Any, owner: str) -> None:
    for first, block in blocks(X, X.shape[1]):
        bad = ~torch.isfinite(block)
        if bad.any():
            row, column = divmod(int(bad.flatten().byte().argmax()), X.shape[1])
            arrays.raise_bad(block[row, column].item(), first + row, column, owner)


def blocks(X: Any, elements: int) -> Iterator[tuple[int, Any]]:
    """Yield the first index and the rows of each block, which holds up to BLOCK elements.

    A row counts as `elements` elements, for arrays that are computed from it may be wider.
    """
    size = max(1, BLOCK // elements)
    for first in range(0, len(X), size):
        yield first, X[first : first + size]


def give(value: Any, X: Any) -> Any:
    """Return a tensor on the device of X if X is a tensor, else as an array."""
    return value.to(X.device) if arrays.is_tensor(X) else value.cpu().numpy()


def middle(X: Any) -> Any:
    """Return the median [D] of rows at even distances, a point among the rows."""
    sample = X[:: max(1, len(X) // SAMPLE)]
    return sample.sort(dim=0).values[len(sample) // 2].clone()


def variance(X: Any, shift: Any, weight: Any = None) -> tuple[Any, float]:
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


def deviations(X: Any, weight: Any = None) -> Any:
    """Return the deviations [D] that `standardize` divides the columns by; see `_scaling`."""
    shift = middle(X)
    variances, _ = variance(X, shift, weight)
    return scaling.of_variance(shift.cpu().numpy(), variances, HostRows(X).dtype)

"""Directions on a GPU, by the rules of `_sphere`."""

from typing import Any

import torch

from unsup_fast._rows.tensors import blocks
from unsup_fast.cluster._sphere import ZeroRowError


def unit_rows(X: Any, width: float, name: str = "X") -> Any:
    """Return rows at unit length; rows that have it, up to rounding, are not changed.

    Parameters
    ----------
    X : tensor of shape (N, D), float32 or float64, finite
    width : float
        `_sphere.rounding` of such rows.
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


def directions(means: Any, before: Any) -> Any:
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

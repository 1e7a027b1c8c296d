"""Compute large pictures tile by tile: overlapping tiles that are blended, to save memory."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unsup_fast.solvers.schedules import Array


class Window(NamedTuple):
    """A tile along one side.

    Attributes
    ----------
    start : int
    weights : float64 ndarray of shape (length of a tile,)
        Shares of the tile in the result; at each position those of all tiles add up to 1.
    """

    start: int
    weights: Array


def windows(length: int, tile: int, overlap: int) -> list[Window]:
    """Return tiles that cover a side, evenly spaced.

    Where a tile ends inside the picture, a quarter of the overlap has no weight, and the weight
    then rises linearly over the next half of it.

    Parameters
    ----------
    length : int
        Length of the side; a shorter tile is as long as `tile`, a longer one as the side.
    tile : int
    overlap : int
        What two tiles share at least.

    Raises
    ------
    ValueError
        If the overlap is not below `tile`.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap={overlap} must be at least 0 and below tile={tile}")
    if length <= tile:
        return [Window(start=0, weights=np.ones(length))]
    n = math.ceil((length - overlap) / (tile - overlap))
    starts = [round(i * (length - tile) / (n - 1)) for i in range(n)]
    margin = overlap // 4
    rise = np.clip((np.arange(tile) + 0.5 - margin) / max(overlap - 2 * margin, 1), 0, 1)
    total, parts = np.zeros(length), []
    for start in starts:
        weights = np.ones(tile)
        if start > 0:
            weights *= rise
        if start + tile < length:
            weights *= rise[::-1]
        total[start : start + tile] += weights
        parts.append(weights)
    return [
        Window(start=start, weights=weights / total[start : start + tile])
        for start, weights in zip(starts, parts, strict=True)
    ]


def tiled(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    tile: int,
    overlap: int,
    inputs: int = 1,
    outputs: int = 1,
) -> Tensor:
    """Return a function of pictures, computed tile by tile.

    The result is exact, up to rounding, if a value of the result depends on no more than
    overlap / 4 units of the input on each side of it, as that of a few convolutions does. It is not
    exact if values depend on the whole picture, as those of a group norm and of attention do: each
    tile then has its own statistics, and blending hides its edges.

    Parameters
    ----------
    function : callable (tensor [B, C, h inputs, w inputs]) -> tensor [B, D, h outputs, w outputs]
    x : tensor of shape (B, C, H inputs, W inputs)
    tile, overlap : int
        Side of a tile, and what two tiles share at least, in units.
    inputs, outputs : int
        Pixels of a unit along a side, of `x` and of the result.

    Returns
    -------
    tensor of shape (B, D, H outputs, W outputs)
    """
    height, width = x.shape[2] // inputs, x.shape[3] // inputs
    result: Tensor | None = None
    for row in windows(height, tile, overlap):
        rows = slice(row.start * inputs, (row.start + len(row.weights)) * inputs)
        for column in windows(width, tile, overlap):
            columns = slice(column.start * inputs, (column.start + len(column.weights)) * inputs)
            part = function(x[:, :, rows, columns])  # [B, D, h outputs, w outputs]
            weights = np.repeat(row.weights, outputs)[:, None] * np.repeat(column.weights, outputs)
            if result is None:
                shape = (*part.shape[:2], height * outputs, width * outputs)
                result = part.new_zeros(shape)
            top, left = row.start * outputs, column.start * outputs
            area = result[:, :, top : top + part.shape[2], left : left + part.shape[3]]
            area.addcmul_(part, torch.from_numpy(weights).to(part))
    assert result is not None  # a side has a tile
    return result

"""Settings of `upfirdn`, the sides of its pictures, and the settings of its adjoint."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


class Settings(NamedTuple):
    """What `upfirdn` does, for both axes: the vertical one first, but as torch has it in padding.

    Attributes
    ----------
    up, down : (int, int)
    padding : (int, int, int, int)
        On the left, right, top and bottom; negative numbers crop.
    flipped : bool
        Whether the pictures are convolved with the flipped taps, that is, correlated with taps.
    """

    up: Pair
    down: Pair
    padding: Padding
    flipped: bool


def output_sides(
    sides: Sequence[int],
    taps: Sequence[int],
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
) -> Pair:
    """Return the height and width of the result for pictures of these sides."""
    before, after = padding[2::-2], padding[3::-2]  # of the vertical and the horizontal axis
    height, width = (
        (sides[i] * up[i] + before[i] + after[i] - taps[i]) // down[i] + 1 for i in range(2)
    )
    return height, width


def adjoint(settings: Settings, sides: Sequence[int], taps: Sequence[int]) -> Settings:
    """Return the settings of the adjoint of `upfirdn` of pictures of these sides."""
    up, down, padding, flipped = settings
    ends = output_sides(sides, taps, up, down, padding)
    before = padding[2::-2]
    top, left = (taps[i] - 1 - before[i] for i in range(2))
    bottom, right = (sides[i] * up[i] - ends[i] * down[i] + before[i] - up[i] + 1 for i in range(2))
    return Settings(down, up, (left, right, top, bottom), not flipped)


def new(x: Tensor, sides: Sequence[int]) -> Tensor:
    """Return channels-last pictures like x but of these sides, to be filled."""
    return torch.empty(
        (*x.shape[:2], *sides), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )

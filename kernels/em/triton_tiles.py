"""What the passes of `em` on a GPU share: how rows are scaled, and how much a program takes."""

from typing import NamedTuple

import triton
from torch import Tensor


class Tiles(NamedTuple):
    """Tile sizes of a program."""

    rows: int
    components: int
    columns: int
    summed: int  # columns that a product of matrices is summed over at a time
    warps: int


class Frame(NamedTuple):
    """Rows times `scale`, a power of two, less high + low: what the kernels work on."""

    scale: Tensor  # [1], type of X
    high: Tensor  # [K, D], type of X
    low: Tensor  # [K, D], type of X

    def centers(self) -> Tensor:
        """Return high + low in float64."""
        return self.high.double() + self.low.double()


def frame_about(means: Tensor, scale: Tensor) -> Frame:
    """Return the frame of means [K, D] in float64."""
    scaled = means * scale.double()  # [K, D]
    high = scaled.to(scale.dtype)
    return Frame(scale, high, (scaled - high.double()).to(scale.dtype))


def columns_at_once(d: int, most: int) -> int:
    """Return how many of D columns a program takes at a time."""
    return int(min(most, max(16, triton.next_power_of_2(d))))


def tiles(kernel: str, d: int, itemsize: int) -> Tiles:
    """Return the tiles of a kernel for D columns and products in a type of `itemsize` bytes.

    They are such that no register spills on sm_80 and sm_90.
    """
    if kernel == "densities_full":
        if itemsize == 8:
            return Tiles(32, 1, columns_at_once(d, 32), 16, 4)
        columns = columns_at_once(d, 64)
        return Tiles(128, 1, columns, 16, 8)
    if kernel == "moments_full":
        if itemsize == 8:
            return Tiles(32, 1, columns_at_once(d, 32), 0, 4)
        return Tiles(32, 1, 64, 0, 8) if d > 32 else Tiles(64, 1, columns_at_once(d, 32), 0, 4)
    if kernel == "densities_plain":
        return Tiles(128 // itemsize, 8, columns_at_once(d, 16), 0, 4)
    return Tiles(64 // itemsize, 8, columns_at_once(d, 32), 0, 4)


def in_one(columns: int, d: int) -> bool:
    """Return whether `densities_full` keeps D columns of its rows in registers."""
    return d <= columns <= 32


def precision(itemsize: int) -> str:
    """Return how tl.dot multiplies numbers of a type of `itemsize` bytes."""
    return "tf32x3" if itemsize == 4 else "ieee"

"""Shrink and enlarge pictures by whole factors: means of squares, and nearest neighbours.

Both compose exactly: shrinking by 4 is shrinking by 2 twice. They have gradients of any order.
"""

import torch.nn.functional as F
from torch import Tensor

from unsup_fast.models.networks.conv2d import channels_last


def shrink(x: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Return pictures x [B, C, H, W] with smaller sides, each pixel the mean of a square.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    sides : (int, int)
        (H / k, W / k) for a whole number k.

    Raises
    ------
    ValueError
        If the sides are not those of x divided by one whole number.
    """
    if x.shape[2:] == sides:
        return x
    factor = _factor(tuple(x.shape[2:]), sides, tuple(x.shape[2:]), sides)
    return channels_last(F.avg_pool2d(x, factor))


def enlarge(x: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Return pictures x [B, C, H, W] with larger sides, each pixel repeated in a square.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    sides : (int, int)
        (k H, k W) for a whole number k.

    Raises
    ------
    ValueError
        If the sides are not those of x times one whole number.
    """
    if x.shape[2:] == sides:
        return x
    factor = _factor(sides, tuple(x.shape[2:]), tuple(x.shape[2:]), sides)
    return channels_last(F.interpolate(x, scale_factor=factor, mode="nearest"))


def _factor(
    large: tuple[int, ...], small: tuple[int, ...], sides: tuple[int, ...], wanted: tuple[int, ...]
) -> int:
    """Return the whole number that small sides are multiplied by to give large ones."""
    factor = large[0] // small[0]
    if factor < 1 or tuple(factor * side for side in small) != tuple(large):
        raise ValueError(
            f"pictures of {sides[0]} x {sides[1]} do not become {wanted[0]} x {wanted[1]}; both "
            "sides must change by the same whole factor"
        )
    return factor

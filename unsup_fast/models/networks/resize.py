"""`resize`: bilinear resizing as a product with one matrix along each axis.

    y[b, c] = R x[b, c] C^T,    R [H', H], C [W', W]

Each row of R holds the weights of the one or two rows of pixels that a new row is between. The
gradient is the product with the transposed matrices, of any order, and the same bits in each run:
on a GPU the gradient of torch's interpolation is added up in an order that changes from run to run.
Pictures of few channels are resized faster than by it on the CPU, too.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.models.networks.conv2d import channels_last
from unsup_fast.models.networks.full_precision import full_precision


def resize(x: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Return pictures x [B, C, H, W] with other sides, in channels-last layout and x's type.

    Values are those of `torch.nn.functional.interpolate` with mode="bilinear" and
    align_corners=False.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    sides : (int, int)
    """
    (height, width), (rows, columns) = x.shape[2:], sides
    with full_precision(x):
        h = x.contiguous() @ _weights(width, columns, x.dtype, x.device).t()  # [B, C, H, W']
        h = _weights(height, rows, x.dtype, x.device) @ h  # [B, C, H', W']
    return channels_last(h)


@lru_cache(maxsize=32)
def _weights(old: int, new: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix [new, old] that resizes one axis."""
    with torch.inference_mode(False), torch.no_grad():
        columns = torch.eye(old, dtype=torch.float64)[None]  # [1, old, old]
        resized = F.interpolate(columns, new, mode="linear", align_corners=False)[0]  # [old, new]
        return resized.t().contiguous().to(device, dtype)

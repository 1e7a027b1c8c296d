"""Halve and double the sides of pictures with the filter [1, 3, 3, 1], as StyleGAN2 does.

torch's channels-last operations are at the limit of memory on the CPU, so there is no kernel:
bilinear interpolation is this filter with replicated edges, and a strided depthwise convolution the
other direction. Both have gradients of any order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.models.networks.conv2d import conv2d


def double(x: Tensor) -> Tensor:
    """Return pictures x [B, C, H, W] with doubled sides, [B, C, 2 H, 2 W]."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halve(x: Tensor) -> Tensor:
    """Return pictures x [B, C, H, W] of even sides with halved sides, [B, C, H / 2, W / 2]."""
    channels = x.shape[1]
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    weight = torch.outer(taps, taps).expand(channels, 1, 4, 4)  # [C, 1, 4, 4]
    return conv2d(x, weight, stride=2, padding=1, groups=channels)

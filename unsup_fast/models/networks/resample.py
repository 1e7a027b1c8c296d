"""Halve and double the sides of pictures with the filter [1, 3, 3, 1], as StyleGAN2 does.

torch's channels-last operations are at the limit of memory on the CPU, so there is no kernel:
bilinear interpolation is this filter with replicated edges, and a strided depthwise convolution the
other direction. On a GPU `upfirdn` does both: torch adds up the gradient of an interpolation there
in an order that changes from run to run. All have gradients of any order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.kernels.upfirdn import upfirdn
from unsup_fast.models.networks.conv2d import conv2d


def double(x: Tensor) -> Tensor:
    """Return pictures x [B, C, H, W] with doubled sides, [B, C, 2 H, 2 W]."""
    if x.device.type == "cuda":
        return filtered_double(x)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halve(x: Tensor) -> Tensor:
    """Return pictures x [B, C, H, W] of even sides with halved sides, [B, C, H / 2, W / 2]."""
    if x.device.type == "cuda":
        return filtered_halve(x)
    channels = x.shape[1]
    taps = _taps(x, x.dtype)
    weight = torch.outer(taps, taps).expand(channels, 1, 4, 4)  # [C, 1, 4, 4]
    return conv2d(x, weight, stride=2, padding=1, groups=channels)


def filtered_double(x: Tensor) -> Tensor:
    """Return what `double` does, by `upfirdn`."""
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)  # [B, C, H + 2, W]
    x = torch.cat([x[..., :1], x, x[..., -1:]], 3)  # [B, C, H + 2, W + 2]
    # Zeros of upsampling halve the mean of each axis; of padding (2, 1), two pixels are x's own.
    return upfirdn(x, 2 * _taps(x, torch.float32), up=2, padding=(0, -1, 0, -1))


def filtered_halve(x: Tensor) -> Tensor:
    """Return what `halve` does, by `upfirdn`."""
    return upfirdn(x, _taps(x, torch.float32), down=2, padding=1)


def _taps(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return [1, 3, 3, 1] / 8, created on the device: a copy from the host would wait for it."""
    taps = torch.full((4,), 0.125, dtype=dtype, device=x.device)
    taps[1:3].fill_(0.375)
    return taps

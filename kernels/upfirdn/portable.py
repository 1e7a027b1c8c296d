"""`upfirdn` by torch's depthwise convolutions: a strided one, or a transposed one."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from unsup_fast.kernels.bias_act.layout import arithmetic, last
from unsup_fast.kernels.upfirdn.ref import padded
from unsup_fast.kernels.upfirdn.sizes import new, output_sides


def upfirdn(
    x: Tensor,
    taps: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flipped: bool,
) -> Tensor:
    """Return [B, C, H', W'] of the type of x [B, C, H, W], of taps [KH, KW]."""
    height, width = output_sides(x.shape[2:], taps.shape, up, down, padding)
    if not x.numel():
        return new(x, (height, width)).zero_()
    kind, channels = arithmetic(x), x.shape[1]
    transposed = max(up) > 1
    # conv2d correlates, its transpose convolves.
    weight = taps.to(kind) if transposed == (not flipped) else taps.to(kind).flip(0, 1)
    weight = weight.expand(channels, 1, *taps.shape)  # [C, 1, KH, KW]
    wide = last(x.to(kind))
    if transposed:
        out = _transposed(wide, weight, up, padding)[:, :, :: down[0], :: down[1]]
    else:
        left, right, top, bottom = padding
        own = (top, left)  # which the convolution adds by itself
        if (right, bottom) != (left, top) or min(own) < 0:
            wide, own = last(padded(wide, padding)), (0, 0)
        out = F.conv2d(wide, weight, stride=tuple(down), padding=own, groups=channels)
    return last(out.to(x.dtype))


def _transposed(x: Tensor, weight: Tensor, up: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Return x with zeros inserted, padded and convolved, at every pixel."""
    taps = weight.shape[2:]
    left, right, top, bottom = padding
    # The transpose gives (n - 1) up + taps pixels of an axis: those of all paddings of taps - 1,
    # but for up - 1 zeros at the end.
    spare = (
        left + 1 - taps[1],
        right + up[1] - taps[1],
        top + 1 - taps[0],
        bottom + up[0] - taps[0],
    )
    own = max(0, -max(spare[2:])), max(0, -max(spare[:2]))  # what the convolution crops by itself
    out = F.conv_transpose2d(x, weight, stride=tuple(up), padding=own, groups=x.shape[1])
    return padded(out, [n + own[1] for n in spare[:2]] + [n + own[0] for n in spare[2:]])

"""Reference for `upfirdn`: the definition in float64, rounded once."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def upfirdn(
    x: Tensor,
    taps: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flipped: bool,
) -> Tensor:
    """Return [B, C, H', W'] of the type of x [B, C, H, W], of taps [KH, KW]."""
    batch, channels, height, width = x.shape
    wide = x.double()[:, :, :, None, :, None]  # [B, C, H, 1, W, 1]
    wide = F.pad(wide, (0, up[1] - 1, 0, 0, 0, up[0] - 1))  # [B, C, H, up, W, up]
    wide = wide.reshape(batch, channels, height * up[0], width * up[1])
    wide = padded(wide, padding)  # [B, C, H up + top + bottom, W up + left + right]
    weights = (taps if flipped else taps.flip(0, 1)).double()
    rows, columns = wide.shape[2] - len(weights) + 1, wide.shape[3] - weights.shape[1] + 1
    out = torch.zeros_like(wide[:, :, :rows, :columns])
    for i in range(len(weights)):
        for j in range(weights.shape[1]):
            out = out + weights[i, j] * wide[:, :, i : i + rows, j : j + columns]
    return out[:, :, :: down[0], :: down[1]].to(x.dtype)


def padded(x: Tensor, padding: Sequence[int]) -> Tensor:
    """Return x [..., H, W] with zeros on the left, right, top and bottom, or cropped there."""
    left, right, top, bottom = padding
    if max(padding) > 0:
        x = F.pad(x, [max(n, 0) for n in padding])
    height, width = x.shape[-2:]
    rows = slice(max(-top, 0), height - max(-bottom, 0))
    return x[..., rows, max(-left, 0) : width - max(-right, 0)]

"""Resizing of pictures to the network's size and range, as one of three tools does it.

FID changes more with the resizing than between many models (Parmar, Zhang & Zhu, "On Aliased
Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022): compare only what was resized
alike.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def tensorflow(x: Tensor, side: int) -> Tensor:
    """Resize as TensorFlow 1's `resize_bilinear` does, which FID and IS were defined with.

    Pixel i of the result is at i * size / side in the picture, the corner of a pixel and not its
    middle, and is interpolated between two pixels however small the result is.

    Parameters
    ----------
    x : tensor of shape (N, C, H, W), float, values of 0 to 255
    side : int

    Returns
    -------
    tensor of shape (N, C, side, side), values of -1 to 1
    """
    low, high, share = _between(x.shape[3], side, x)
    left = x.index_select(3, low)  # [N, C, H, side]
    x = x.index_select(3, high).sub_(left).mul_(share).add_(left)
    low, high, share = _between(x.shape[2], side, x)
    top = x.index_select(2, low)  # [N, C, side, side]
    x = x.index_select(2, high).sub_(top).mul_(share[:, None]).add_(top)
    return x.sub_(128).div_(128)


def _between(size: int, side: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels on both sides of each position, and its distance from the first."""
    step = torch.tensor(size, dtype=torch.float32) / side  # rounded to float32, as there
    positions = torch.arange(side, dtype=torch.float32) * step
    low = positions.floor()
    high = (low + 1).clamp(max=size - 1)
    share = (positions - low).to(like)
    return low.long().to(like.device), high.long().to(like.device), share


def clean(x: Tensor, side: int) -> Tensor:
    """Resize as clean-fid does: bicubic, smoothed where pixels become fewer, not rounded.

    That is Pillow's filter on each channel in float32. Values may go beyond those of the picture.
    Parameters and result are those of `tensorflow`.
    """
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False)
    return (x - 128) / 128


def pytorch_fid(x: Tensor, side: int) -> Tensor:
    """Resize as pytorch-fid does: bilinear between the middles of pixels, without smoothing.

    The range differs a little as well: 255 becomes 1, here and there only. Parameters and result
    are those of `tensorflow`.
    """
    x = F.interpolate(x / 255, (side, side), mode="bilinear", align_corners=False)
    return 2 * x - 1


RESIZERS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "tensorflow": tensorflow,
    "clean": clean,
    "pytorch-fid": pytorch_fid,
}

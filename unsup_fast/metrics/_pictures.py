"""Pictures of any form as batches that a network takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from unsup_fast._types import Array

Pictures: TypeAlias = Array | Tensor | Sequence[Array] | Sequence[Tensor]

BATCH = 32  # pictures that go through the network together
BEYOND = 1e-3  # how far floats may be outside [0, 1]


def batches(
    images: Pictures,
    batch_size: int,
    resize: Callable[[Tensor], Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Tensor]:
    """Yield batches [n, 3, side, side] of pictures in channels-last memory.

    Parameters
    ----------
    images : Pictures
        As the networks take them.
    batch_size : int
    resize : callable
        Receives pictures [n, C, H, W] of 0 to 255 in float32 and returns [n, C, side, side].
    device, dtype
        Of the result.
    """
    for start in range(0, len(images), batch_size):
        ready = [
            resize(values(part).to(device)).expand(-1, 3, -1, -1)
            for part in _alike(images[start : start + batch_size])
        ]
        part = torch.cat(ready).to(dtype)  # [n, 3, side, side]
        yield part.contiguous(memory_format=torch.channels_last)


def check_batch_size(batch_size: int) -> int:
    """Return a number of pictures, or raise."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} is no number of pictures; pass 1 or more")
    return batch_size


def values(images: Tensor) -> Tensor:
    """Return pictures as [N, 1, H, W] or [N, 3, H, W], float32 of 0 to 255.

    Raises
    ------
    ValueError
        If they are not of shape [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, neither
        bytes nor floats, or floats beyond [0, 1].
    """
    shape = tuple(images.shape)
    if images.ndim == 3:
        images = images[:, None]  # [N, 1, H, W]
    elif images.ndim == 4 and shape[3] in (1, 3) and not _channels_first(images):
        images = images.permute(0, 3, 1, 2)  # [N, C, H, W]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images have shape {shape}; pass [N, H, W, 3], [N, 3, H, W] or [N, H, W], without "
            "transparency"
        )
    if images.dtype == torch.uint8:
        return images.float()
    if not images.is_floating_point():
        raise ValueError(f"images are of type {images.dtype}; pass bytes or floats in [0, 1]")
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (low >= -BEYOND and high <= 1 + BEYOND):  # NaN too
        raise ValueError(
            f"images have values from {low:g} to {high:g}; pass bytes, or floats in [0, 1] as "
            "(X + 1) / 2 is for X in [-1, 1]"
        )
    return images.float() * 255


def _channels_first(images: Tensor) -> bool:
    """Return whether an ambiguous shape is [N, C, H, W]: it is for floats, not for bytes."""
    return bool(images.shape[1] in (1, 3) and images.is_floating_point())


def _alike(images: Pictures) -> list[Tensor]:
    """Return some images as tensors of images of one size each."""
    if not isinstance(images, list | tuple):
        return [_tensor(images)]
    if len({tuple(image.shape) for image in images}) > 1:
        return [_tensor(image)[None] for image in images]
    return [torch.stack([_tensor(image) for image in images])]


def _tensor(images: Pictures) -> Tensor:
    if isinstance(images, torch.Tensor):
        return images
    array = np.asarray(images)
    if array.dtype == object or array.dtype.kind not in "uif":
        raise ValueError(f"images are of type {array.dtype}; pass bytes or floats in [0, 1]")
    return torch.from_numpy(np.array(array, order="C"))  # a copy: the memory may be a map's


@contextmanager
def exact() -> Iterator[None]:
    """Compute products of float32 in float32, whatever the rest of the program has set."""
    conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # a property of the module
    products = torch.get_float32_matmul_precision()
    before = conv.fp32_precision
    torch.set_float32_matmul_precision("highest")
    conv.fp32_precision = "ieee"
    try:
        yield
    finally:
        conv.fp32_precision = before
        torch.set_float32_matmul_precision(products)

"""What models train on and are judged by: pictures as floats, and labels."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

ROUNDED = 1e-3  # beyond the range of pictures


def to_float(samples: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uint8 pictures as x / 127.5 - 1, in [-1, 1], and floats unchanged, in `dtype`.

    The inverse is `unsup_fast.pictures.to_bytes`.
    """
    floats = samples.to(dtype)
    return floats.div_(127.5).sub_(1) if samples.dtype == torch.uint8 else floats


def as_samples(data: "Tensor | npt.NDArray[Any]", shape: tuple[int, ...]) -> Tensor:
    """Return data as a tensor [N, ...] on the host, uint8 or float32.

    Raises
    ------
    TypeError, ValueError
        If samples are not of this shape, there are none, or they hold NaN or infinite numbers.
    """
    samples = data.cpu() if isinstance(data, Tensor) else torch.from_numpy(np.asarray(data))
    if samples.dtype != torch.uint8 and not samples.is_floating_point():
        raise TypeError(f"data has type {samples.dtype}; pass uint8 pictures or floats")
    if samples.shape[1:] != shape or not len(samples):
        raise ValueError(
            f"data has shape {tuple(samples.shape)}; config.shape={shape} asks for (N, "
            f"{', '.join(map(str, shape))}) with N of at least 1"
        )
    if samples.dtype == torch.uint8:
        return samples
    samples = samples.float()
    if not bool(samples.isfinite().all()):
        raise ValueError("data holds NaN or infinite numbers; remove these samples")
    return samples


def check_pictures(samples: Tensor, hint: str = "") -> None:
    """Raise a ValueError if floats are no pictures in [-1, 1], up to rounding."""
    if samples.dtype == torch.uint8 or not samples.numel():
        return
    most = float(samples.abs().max())
    if not most <= 1 + ROUNDED:
        raise ValueError(
            f"floats reach {most:g}; pass uint8 pictures, or floats in [-1, 1] as x / 127.5 - 1"
            f"{hint}"
        )


def check_labels(labels: "Tensor | npt.ArrayLike", n: int, n_classes: int) -> Tensor:
    """Return labels as int64 [n] on the host.

    Raises
    ------
    ValueError
        If they are not n whole numbers below `n_classes`.
    """
    classes = torch.as_tensor(labels).cpu()
    if classes.is_floating_point() or classes.dtype == torch.bool or classes.shape != (n,):
        raise ValueError(
            f"labels are {classes.dtype} of shape {tuple(classes.shape)}; pass {n} whole numbers, "
            f"one for each of {n} images"
        )
    classes = classes.long()
    if not n_classes:
        raise ValueError("labels are given for a model without classes; pass labels=None")
    if not 0 <= int(classes.min()) <= int(classes.max()) < n_classes:
        raise ValueError(
            f"labels lie between {int(classes.min())} and {int(classes.max())}; the model has "
            f"classes from 0 to {n_classes - 1}"
        )
    return classes

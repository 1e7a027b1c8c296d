"""Conversion of arrays and tensors of any layout to bytes, grey or in colour."""

import numpy as np
import numpy.typing as npt

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.blocks import DataError

Bytes = npt.NDArray[np.uint8]

CHUNK = 1 << 20  # values that are checked or converted at once
LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R BT.601 in 1/65536, as Pillow's


def to_bytes(x: ArrayLike) -> Bytes:
    """Return pictures with values in [-1, 1] as bytes: (x + 1) 127.5, rounded.

    Parameters
    ----------
    x : array or tensor of floats, of any shape
        Values beyond [-1, 1] become 0 or 255.

    Returns
    -------
    ndarray of the same shape, uint8

    Raises
    ------
    ValueError
        If a value is not finite.
    TypeError
        If `x` does not hold floats.

    Examples
    --------
    >>> from unsup_fast import pictures
    >>> pictures.to_bytes([-1.0, 0.25, 3.0])
    array([  0, 159, 255], dtype=uint8)
    """
    values = on_host(x)
    if values.dtype.kind != "f":
        raise TypeError(f"x holds {values.dtype}; pass floats in [-1, 1]")
    wide: Array = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    bad: Array = ~np.isfinite(wide)
    if bad.any():
        where = ", ".join(map(str, np.argwhere(bad)[0]))
        raise ValueError(
            f"x has {np.count_nonzero(bad)} values that are not finite, the first at [{where}]; "
            "they are no pixels"
        )
    pixels: Bytes = np.rint(np.clip((wide + 1) * 127.5, 0, 255)).astype(np.uint8)
    return pixels


def planes(name: str, X: Array) -> Array:
    """Return a view of pictures as [N, C, H, W] with C of 1, 3 or 4.

    Where a shape is ambiguous, floats are [N, C, H, W] and bytes are [N, H, W, C].

    Raises
    ------
    DataError
        If they are not pictures.
    """
    colours = (1, 3, 4)
    shape = X.shape
    if X.ndim == 3 and X.size:
        return X[:, None]  # [N, 1, H, W]
    if X.ndim != 4 or X.size == 0 or not {shape[1], shape[3]} & set(colours):
        raise DataError(
            f"{name}: has shape {shape}; pictures are [N, H, W, C], [N, C, H, W] or [N, H, W], "
            "with 1, 3 or 4 channels"
        )
    first = shape[1] in colours and (shape[3] not in colours or X.dtype.kind == "f")
    return X if first else np.moveaxis(X, 3, 1)  # [N, C, H, W]


def check_values(name: str, X: Array) -> None:
    """Raise unless values are those of bytes, or floats in [0, 1].

    Raises
    ------
    DataError
        If they are not.
    """
    if X.dtype.kind not in "fiub":
        raise DataError(f"{name}: holds {X.dtype}; pictures are bytes, or floats in [0, 1]")
    if X.dtype in (np.uint8, np.bool_):
        return
    most = 1 if X.dtype.kind == "f" else 255
    step = max(1, CHUNK * len(X) // X.size)
    for start in range(0, len(X), step):
        low, high = X[start : start + step].min(), X[start : start + step].max()
        if not (low >= 0 and high <= most):  # NaN too
            raise DataError(
                f"{name}: holds {X.dtype} from {low:g} to {high:g}; pictures are bytes (0 to 255), "
                "or floats in [0, 1], as (X + 1) / 2 is for X in [-1, 1]"
            )


def as_bytes(X: Array, channels: int) -> Bytes:
    """Return checked pictures [n, C, H, W] as bytes [n, channels, H, W].

    Grey is repeated, colour becomes luma, and transparent pixels are composited on white.
    """
    if X.dtype.kind == "f":
        X = np.rint(X.astype(np.float64) * 255)
    elif X.dtype == np.bool_:
        X = X.view(np.uint8) * np.uint8(255)
    X = X.astype(np.uint8, copy=False)
    if X.shape[1] == 4:
        share = X[:, 3:].astype(np.float64) / 255  # [n, 1, H, W]
        X = np.rint(255 + share * (X[:, :3] - 255.0)).astype(np.uint8)  # [n, 3, H, W]
    if X.shape[1] == channels:
        return X
    if channels == 3:
        return np.repeat(X, 3, axis=1)  # [n, 3, H, W]
    grey = np.tensordot(X.astype(np.uint32), LUMA, axes=(1, 0))  # [n, H, W]
    return ((grey + 0x8000) >> 16).astype(np.uint8)[:, None]  # [n, 1, H, W]

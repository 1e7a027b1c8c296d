"""`upfirdn`: insert zeros, filter and keep every few pixels of pictures (Karras et al. 2020).

    y = every down-th pixel of (taps * pad(x with up - 1 zeros after each pixel))

where * is a convolution without padding of its own: a correlation with the flipped taps. So of one
axis of n pixels, with t taps and the padding (a, b),

    y[j] = sum over i of x[i] taps[j down + t - 1 - a - i up],
    j < (n up + a + b - t) // down + 1.

It is linear in x, and its adjoint is the same operation with up and down exchanged, flipped taps
and the padding (t - 1 - a, n up - m down + a - up + 1), where m is the number of pixels of y. So
gradients of every order are this operation again.

On the CPU it is one strided or transposed depthwise convolution of torch, which channels-last is
near the limit of memory. On a GPU a kernel reads only those taps that meet pixels of x: about
1 / up of them along each axis.
"""

from collections.abc import Sequence

from torch import Tensor

from unsup_fast.kernels import _batch
from unsup_fast.kernels.upfirdn import torch_
from unsup_fast.kernels.upfirdn.sizes import Settings, output_sides

__all__ = ["upfirdn"]

SEPARATE = 8
"""Most taps of a filter of one axis that is applied to both axes at once."""


def upfirdn(
    x: Tensor,
    taps: Tensor,
    *,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    backend: str | None = None,
) -> Tensor:
    """Return pictures upsampled with zeros, padded, convolved with taps and downsampled.

    It has gradients of any order with respect to x, computed by the same operation. Forward-mode
    gradients and the transforms of torch.func come from the definition in float64, whatever the
    backend. It can be compiled.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W), float32, float64, bfloat16 or float16
        What is not channels-last is copied to it first.
    taps : tensor of shape (KH, KW) or (K,)
        The filter, of any of these types, which is rounded to that of the arithmetic. (K,) is a
        filter of both axes, one after the other: as the outer product of taps with itself.
    up, down : int or (int, int)
        Factors of both axes, or of the vertical and of the horizontal axis: at least 1.
    padding : int or (int, int, int, int)
        Zeros on all sides, or on the left, right, top and bottom, counted after the zeros of `up`;
        negative numbers crop.
    backend : {"portable", "triton", "ref"}, optional
        Implementation; None chooses "portable", torch's convolutions, on the CPU, and "triton"
        on a GPU.

    Returns
    -------
    tensor of shape (B, C, H', W') and of the type of x
        Channels-last, H' = (up H + top + bottom - KH) // down + 1, and W' likewise. Sums run in
        float32, or float64 for float64, and are rounded once.

    Raises
    ------
    TypeError, ValueError
        If shapes, types, devices or numbers do not fit.

    Examples
    --------
    The filter of StyleGAN2 that doubles the sides of pictures: four times the mean of its taps,
    as three of four pixels are zeros.

    >>> import torch
    >>> taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    >>> upfirdn(torch.ones(1, 1, 4, 4), taps, up=2, padding=(2, 1, 2, 1)).shape
    torch.Size([1, 1, 8, 8])
    """
    _check(x, taps)
    up, down = _factors("up", up), _factors("down", down)
    padding = _padding(padding)
    sides = output_sides(x.shape[2:], taps.shape * (3 - taps.ndim), up, down, padding)
    if min(sides) < 1:
        raise ValueError(
            f"taps of shape {tuple(taps.shape)} do not fit into pictures of {tuple(x.shape[2:])} "
            f"pixels with up={up}, down={down}, padding={padding}; pass a larger padding"
        )
    if taps.ndim == 2:
        return torch_.apply(x, taps, Settings(up, down, padding, False), backend)
    if len(taps) <= SEPARATE:
        return torch_.apply(x, taps[:, None] * taps, Settings(up, down, padding, False), backend)
    left, right, top, bottom = padding
    rows = Settings((up[0], 1), (down[0], 1), (0, 0, top, bottom), False)
    columns = Settings((1, up[1]), (1, down[1]), (left, right, 0, 0), False)
    x = torch_.apply(x, taps[:, None], rows, backend)  # [B, C, H', W]
    return torch_.apply(x, taps[None], columns, backend)


def _check(x: object, taps: object) -> None:
    for name, value in (("x", x), ("taps", taps)):
        _batch.batch(name, value)
    assert isinstance(x, Tensor)
    assert isinstance(taps, Tensor)
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; pass (B, C, H, W)")
    if taps.ndim > 2 or not taps.numel():
        raise ValueError(f"taps have shape {tuple(taps.shape)}; pass (KH, KW) or (K,), not empty")
    if taps.device != x.device:
        raise ValueError(f"taps are on {taps.device}; they must be on {x.device} like x")
    if taps.requires_grad:
        raise ValueError("taps have no gradient; pass taps.detach()")


def _factors(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return a factor of each axis."""
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise ValueError(f"{name}={value} must be a whole number of at least 1, or two of them")
    return pair[0], pair[1]


def _padding(value: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Return the padding on the left, right, top and bottom."""
    four = tuple(value) if isinstance(value, Sequence) else (value,) * 4
    if len(four) != 4 or not all(isinstance(n, int) for n in four):
        raise ValueError(
            f"padding={value} must be a whole number, or four: left, right, top and bottom"
        )
    return four[0], four[1], four[2], four[3]

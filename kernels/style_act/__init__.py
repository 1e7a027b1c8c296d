"""`style_act`: what follows a modulated convolution of StyleGAN2, in one pass.

    y = gain v where v is positive, gain slope v elsewhere,
    v[b, c] = x[b, c] scale[b, c] + noise[b] strength + bias[c]

(Karras et al. 2020, section 2: demodulation as a scale of what an unmodulated convolution returns,
equation 3, then noise, bias and leaky ReLU.) With s = gain or gain slope, by the sign of y, and
h = s g, the gradients of g are

    of x: h scale;  of scale: sum of h x over pixels;  of bias: sum of h over pixels and pictures;
    of noise: strength q, of strength: sum of noise q, where q is the sum of h over channels.

One pass over g, y and x computes all of these. Where they are to be differentiated again, as path
lengths are every few steps, they are composed of `bias_act`'s gradient, which is its own adjoint,
and torch's products and sums, which have gradients of any order.
"""

import math

from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels.style_act import ref, torch_

__all__ = ["style_act"]


def style_act(
    x: Tensor,
    scale: Tensor | None = None,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    slope: float = 0.2,
    gain: float = 2**0.5,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Return gain leaky_relu(x scale + noise strength + bias, slope).

    It has gradients of any order with respect to all tensors, in which the derivative at zero is
    that of negative numbers. Forward-mode gradients and the transforms of torch.func come from the
    formulas in float64, whatever the backend. It can be compiled.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W), float32, float64, bfloat16 or float16
        What is not channels-last is copied to it first.
    scale : tensor of shape (B, C), optional
        Demodulation. This and the other tensors are of any of these types, and are rounded to that
        of the arithmetic.
    noise : tensor of shape (B, H, W), optional
    strength : tensor of shape (), optional
        Of the noise; None for 1.
    bias : tensor of shape (C,), optional
    slope : float
        Of negative numbers, at least 0.
    gain : float
        What all is multiplied by, greater than 0.
    n_threads : int, optional
        Threads to run `bias_act` on the CPU; None for all.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses. On the CPU torch's products and sums, and `bias_act` of this
        backend.

    Returns
    -------
    tensor of the shape and type of x
        Channels-last. Computed in float32, or float64 for float64, and rounded once: the error is
        at most 5 x 2^-24 of the sum of the terms' absolute values, times gain.

    Raises
    ------
    TypeError, ValueError
        If shapes, types, devices or numbers do not fit.
    """
    _batch.batch("x", x)
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; pass (B, C, H, W)")
    batch, channels, height, width = x.shape
    for name, value, shape in (
        ("scale", scale, (batch, channels)),
        ("noise", noise, (batch, height, width)),
        ("strength", strength, ()),
        ("bias", bias, (channels,)),
    ):
        _check(name, value, shape, x)
    if strength is not None and noise is None:
        raise ValueError("strength is that of the noise; pass noise, or no strength")
    slope, gain = float(slope), float(gain)
    if not 0 <= slope < math.inf:
        raise ValueError(f"slope={slope} must be finite and not negative")
    if not 0 < gain < math.inf:
        raise ValueError(f"gain={gain} must be finite and greater than 0")
    tensors = (x, scale, noise, strength, bias)
    if _tracing.transformed(tensors):
        return ref.style_act(*tensors, slope, gain)
    out: Tensor
    if _tracing.direct(tensors):
        out = torch_.implementation(torch_.FORWARD, x, backend)(*tensors, slope, gain, n_threads)
    else:
        run = torch_.StyleAct.apply if _tracing.recorded(tensors) else torch_.style_act
        out = run(*tensors, slope, gain, n_threads, backend)
    return out


def _check(name: str, value: object, shape: tuple[int, ...], x: Tensor) -> None:
    """Raise unless `value` is None or a tensor of this shape that goes with x."""
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.dtype not in _batch.TYPES:
        raise TypeError(
            f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}; "
            f"pass {name}.float()"
        )
    if value.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; it must be {shape} for x of shape "
            f"{tuple(x.shape)}"
        )
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device}; it must be on {x.device} like x")

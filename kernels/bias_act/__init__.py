"""`bias_act`: a bias, leaky ReLU and a gain in one pass, what follows each convolution of a GAN.

y = gain v where v = x + bias is positive, gain slope v elsewhere. Gradients need the sign of y
alone, so that y is all that is stored for them, and they are closed under differentiation: the
gradient is a linear map of the same form, which is its own adjoint. So R1 and gradient penalties,
which differentiate twice, run on the kernel of the forward pass.
"""

import math

from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels.bias_act import ref, torch_

__all__ = ["bias_act"]


def bias_act(
    x: Tensor,
    bias: Tensor | None = None,
    *,
    slope: float = 0.2,
    gain: float = 2**0.5,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Return gain leaky_relu(x + bias, slope).

    It has gradients of any order, computed by the kernel, in which the derivative at zero is that
    of negative numbers. Forward-mode gradients and the transforms of torch.func come from the
    formulas in float64, whatever the backend. It can be compiled.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W) or (B, C), float32, float64, bfloat16 or float16
        What is not channels-last is copied to it first.
    bias : tensor of shape (C,), optional
        Of any of these types, rounded to that of the arithmetic.
    slope : float
        Of negative numbers, at least 0.
    gain : float
        What all is multiplied by, greater than 0.
    n_threads : int, optional
        Threads to run on the CPU; None for all. The result is bitwise the same.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor of the shape and type of x
        Channels-last. Computed in float32, or float64 for float64, with an error of at most
        3 x 2^-24 of the result, and rounded once. Sums for the gradient of the bias run over 64
        terms in float32, and in float64 beyond.

    Raises
    ------
    TypeError, ValueError
        If shapes, types, devices or numbers do not fit.
    """
    _batch.batch("x", x)
    if x.ndim not in (2, 4):
        raise ValueError(f"x has shape {tuple(x.shape)}; pass (B, C, H, W) or (B, C)")
    if bias is not None:
        _batch.batch("bias", bias)
        if bias.shape != x.shape[1:2]:
            raise ValueError(
                f"bias has shape {tuple(bias.shape)}; it must be ({x.shape[1]},): one number for "
                "each channel of x"
            )
        if bias.device != x.device:
            raise ValueError(f"bias is on {bias.device}; it must be on {x.device} like x")
    slope, gain = float(slope), float(gain)
    if not 0 <= slope < math.inf:
        raise ValueError(f"slope={slope} must be finite and not negative")
    if not 0 < gain < math.inf:
        raise ValueError(f"gain={gain} must be finite and greater than 0")
    if _tracing.transformed((x, bias)):
        return ref.bias_act(x, bias, slope, gain)
    out: Tensor
    if _tracing.direct((x, bias)):
        out = torch_.implementation(torch_.FORWARD, x, backend)(x, bias, slope, gain, n_threads)
    else:
        run = torch_.BiasAct.apply if _tracing.recorded((x, bias)) else torch_.bias_act
        out = run(x, bias, slope, gain, n_threads, backend)
    return out

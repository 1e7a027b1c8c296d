"""`group_norm`: group normalisation, modulation and SiLU in one pass over images.

u = (x - mean) / sqrt(var + eps) in each group, v = (u weight + bias) (1 + scale) + shift, and v or
silu(v): what stands before every convolution of a diffusion U-Net. Statistics are float64 sums of
short float32 ones, the variance that of deviations from the mean, and each result is rounded once.
"""

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels.group_norm import torch_

__all__ = ["group_norm"]


def group_norm(
    x: Tensor,
    groups: int,
    *,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    eps: float = 1e-5,
    silu: bool = False,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Return normalised images, modulated and activated.

    It has a gradient, computed by the kernel. What else torch derives from it comes from the
    formulas in float64, whatever the backend: further gradients, forward-mode ones, and the
    transforms of torch.func. It can be compiled.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W), float32, float64, bfloat16 or float16
        On the CPU. What is not channels-last is copied to it first.
    groups : int
        Divides C.
    weight, bias : tensors of shape (C,), optional
        Their type, and that of scale and shift, may be any of these.
    scale, shift : tensors of shape (B, C), optional
        For each image: the result is multiplied by 1 + scale, and shift added.
    eps : float
        Added to the variance.
    silu : bool
        Whether v sigmoid(v) is returned for v.
    n_threads : int, optional
        Threads to run; None for all. The result is bitwise the same.
    backend : {"native", "numba", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor of shape (B, C, H, W)
        The result in the type of x, channels-last.

    Raises
    ------
    TypeError, ValueError
        If shapes, types or devices do not fit.
    """
    _batch.batch("x", x)
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; pass images (B, C, H, W)")
    if not (x.is_cpu or x.is_meta):
        raise TypeError(
            f"x is on '{x.device}'; group_norm runs on the CPU, elsewhere use "
            "torch.nn.functional.group_norm"
        )
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"groups={groups} must divide the {x.shape[1]} channels of x")
    if not eps >= 0:
        raise ValueError(f"eps={eps} must not be negative")
    for name, value, shape in (
        ("weight", weight, x.shape[1:2]),
        ("bias", bias, x.shape[1:2]),
        ("scale", scale, x.shape[:2]),
        ("shift", shift, x.shape[:2]),
    ):
        if value is None:
            continue
        if not isinstance(value, torch.Tensor) or value.shape != shape:
            raise ValueError(f"{name} must be a tensor of shape {tuple(shape)}, got {value!r:.200}")
        if value.device != x.device:
            raise ValueError(f"{name} is on {value.device}; it must be on {x.device} like x")
    if not torch.compiler.is_compiling():
        choose("group_norm", torch_.FORWARD, backend)
    if _tracing.transformed((x, weight, bias, scale, shift)):
        return torch_.formulas(x, groups, weight, bias, scale, shift, float(eps), bool(silu))
    out: Tensor = torch_.group_norm(
        x, groups, weight, bias, scale, shift, float(eps), bool(silu), n_threads, backend
    )
    return out

"""`style_act` and its gradients by `bias_act` and torch: on the CPU, and for second derivatives."""

from torch import Tensor

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.kernels.bias_act.layout import arithmetic, last
from unsup_fast.kernels.bias_act.torch_ import derivative


def style_act(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return [B, C, H, W] of the type of x, channels-last."""
    kind = arithmetic(x)
    v = last(x).to(kind)
    if scale is not None:
        v = v * scale.to(kind)[:, :, None, None]
    if noise is not None:
        one = noise.to(kind)[:, None]  # [B, 1, H, W]
        v = v + (one if strength is None else one * strength.to(kind))
    out = bias_act(v, bias, slope=slope, gain=gain, n_threads=n_threads, backend=backend)
    return out.to(x.dtype)


def gradient(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return of_x, of_scale [B, C] if there is x, sums over channels [B, H, W], and of_bias [C].

    of_x has the type of out, the others that of the arithmetic; the last two are None unless asked
    for. All have gradients with respect to of_out, x and scale.
    """
    kind = arithmetic(out)
    h, sums = derivative(
        of_out.to(kind), None, out.to(kind), of_bias, slope, gain, n_threads, backend
    )
    of_x = h if scale is None else h * scale.to(kind)[:, :, None, None]
    return (
        of_x.to(out.dtype),
        None if x is None else (h * x.to(kind)).sum((2, 3)),
        h.sum(1) if of_noise else None,
        sums if of_bias else None,
    )

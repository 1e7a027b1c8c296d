"""`noise`: the forward process of diffusion for a batch of different times, noise drawn inside.

x_t = signal_b x0 + sigma_b eps for sample b, and the training target with it. The coefficients
are float64 until the one cast to the type of the arithmetic, float32 (float64 for float64), and
each result is rounded once, so in bfloat16 no small sigma is lost.
"""

from typing import overload

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _layout, _seeds, _tracing
from unsup_fast.kernels._seeds import Seed
from unsup_fast.kernels.noise._run import run
from unsup_fast.kernels.noise.call import TARGETS, Call

__all__ = ["noise"]


@overload
def noise(
    x0: Tensor,
    signal: float | Tensor,
    sigma: float | Tensor,
    *,
    eps: Tensor | None = None,
    seed: Seed = None,
    stream: int = 0,
    target: None = None,
    out: Tensor | None = None,
    out_target: Tensor | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor: ...
@overload
def noise(
    x0: Tensor,
    signal: float | Tensor,
    sigma: float | Tensor,
    *,
    eps: Tensor | None = None,
    seed: Seed = None,
    stream: int = 0,
    target: str,
    out: Tensor | None = None,
    out_target: Tensor | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]: ...
def noise(
    x0: Tensor,
    signal: float | Tensor,
    sigma: float | Tensor,
    *,
    eps: Tensor | None = None,
    seed: Seed = None,
    stream: int = 0,
    target: str | None = None,
    out: Tensor | None = None,
    out_target: Tensor | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return ``signal x0 + sigma eps`` and, if asked for, the target of training.

    Parameters
    ----------
    x0 : tensor of shape (B, ...), float32, float64, bfloat16 or float16
        Row-major or channels-last; other strides are copied first.
    signal, sigma : float or float64 tensor of shape (B,)
        For DDPM ``sqrt(alphas_cumprod[t])`` and ``sqrt(1 - alphas_cumprod[t])``. They take no
        gradient.
    eps : tensor like x0, optional
        The noise; without it, it is drawn from `seed`.
    seed : int, or one int a sample, optional
        As for `kernels.randn`; int64 tensors are taken as they are.
    stream : int
        As for `kernels.randn`.
    target : {None, "epsilon", "v_prediction", "flow_prediction"}
        Training target to return with x_t: eps, signal eps - sigma x0, or eps - x0.
    out, out_target : tensors like x0, optional
        Where to write x_t and the target, by a copy if they are neither row-major nor
        channels-last; `out` may be x0 or eps, `out_target` the other.
    n_threads : int, optional
        Threads to run; None for all. The result is bitwise the same.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor like x0, or a pair of them
        x_t, or x_t and the target.

    Raises
    ------
    TypeError, ValueError
        If shapes, types or devices do not fit, or not exactly one of `eps` and `seed` is passed.
    """
    _batch.batch("x0", x0)
    signal, sigma = _coefficient("signal", signal, x0), _coefficient("sigma", sigma, x0)
    if (eps is None) == (seed is None):
        which = "neither" if eps is None else "both"
        raise ValueError(f"{which} of eps and seed given; pass one of them")
    if target not in TARGETS:
        raise ValueError(f"target={target!r} is unknown; pass one of {list(TARGETS)}")
    if out_target is not None and target is None:
        raise ValueError(f"out_target is given but no target; pass one of {list(TARGETS[1:])}")
    for name, value in (("eps", eps), ("out", out), ("out_target", out_target)):
        if value is not None:
            _batch.like(name, value, x0, "x0")
    number, numbers = _seeds.seeds(seed, x0)
    stream = _seeds.stream(stream)
    call = Call(x0, signal, sigma, eps, number, numbers, stream, target, n_threads, backend)
    if _tracing.direct((x0, eps, out, out_target)):
        out = _layout.new_like(x0) if out is None else out
        if target is None:
            run(call, out, None)
            return out
        out_target = _layout.new_like(x0) if out_target is None else out_target
        run(call, out, out_target)
        return out, out_target
    from unsup_fast.kernels.noise import torch_

    return torch_.noise(call, out, out_target)


def _coefficient(name: str, value: float | Tensor, x0: Tensor) -> Tensor:
    """Return float64 [B] on the device of x0."""
    if isinstance(value, int | float):
        return torch.full(x0.shape[:1], value, dtype=torch.float64, device=x0.device)
    if not isinstance(value, torch.Tensor):
        value = torch.tensor(value)
    if value.dtype != torch.float64:
        raise TypeError(
            f"{name} must be float64, got {value.dtype}; compute it in float64: in a shorter type "
            "small noise is lost"
        )
    if value.ndim == 0:
        value = value.expand(len(x0))
    if value.shape != x0.shape[:1]:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; pass a number or one for each of "
            f"{len(x0)} samples"
        )
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} takes no gradient; pass {name}.detach()")
    return value.to(x0.device).contiguous()

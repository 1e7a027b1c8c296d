"""`bernoulli`: bits drawn by their probabilities, and the log-likelihood of bits under logits.

A pixel of intensity p becomes one with probability p / 255, drawn anew each time it is seen
(Salakhutdinov & Murray 2008). The log-likelihood of a row is
sum x l - log(1 + exp(l)), which needs no sigmoid; its gradient is x - sigmoid(l), computed by the
kernel from the logits, so that nothing of their size is stored for it.
"""

import math

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _seeds, _tracing
from unsup_fast.kernels._seeds import Seed
from unsup_fast.kernels.bernoulli import torch_

__all__ = ["bernoulli", "bernoulli_log_prob"]


def bernoulli(
    p: Tensor,
    *,
    seed: Seed,
    stream: int = 0,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Return ones with probability p, and zeros.

    Bit i of a sample is a function of the seed, the stream and i alone: a word of Philox is
    compared with p (the words that `kernels.randn` makes normals of). Zero and one are certain;
    others err by less than 2^-32 of uint8 and 2^-24 of floats.

    Parameters
    ----------
    p : tensor of shape (B, ...), uint8 or floats
        Intensities, whose probability is p / 255, or probabilities, computed in float32; NaN and
        numbers below 0 draw zeros, numbers above 1 ones.
    seed : int, or one int a sample
        One integer draws for all samples in turn, seeds draw for each from its first element on.
    stream : int
        Streams of one seed are independent, but not from the normals of that stream.
    n_threads : int, optional
        Threads to run; None for all. The result is the same.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    float32 tensor like p, row-major
        Zeros and ones.

    Raises
    ------
    TypeError, ValueError
        If p is of another type, or seeds do not fit.
    """
    if not isinstance(p, torch.Tensor) or p.dtype != torch.uint8:
        _batch.batch("p", p)
    if p.ndim == 0:
        raise ValueError("p has no dimension; it must have shape (B, ...): one row a sample")
    number, numbers = _seeds.seeds(seed, p)
    if number is None and numbers is None:
        raise ValueError("seed=None; pass an int or one int a sample")
    dtype = torch.uint8 if p.dtype == torch.uint8 else torch.float32
    rows = p.detach().to(dtype).contiguous().view(len(p), math.prod(p.shape[1:]))
    stream = _seeds.stream(stream)
    direct = _tracing.direct((rows,))
    run = torch_.implementation(torch_.DRAWS, rows, backend) if direct else torch_.bernoulli
    options = (n_threads,) if direct else (n_threads, backend)
    out: Tensor = run(rows, number, numbers, stream, *options)
    return out.view(p.shape)


def bernoulli_log_prob(
    logits: Tensor, x: Tensor, *, n_threads: int | None = None, backend: str | None = None
) -> Tensor:
    """Return the log-likelihood of each sample of x, in nats.

    It has a gradient with respect to the logits, computed by the kernel; further gradients and the
    transforms of torch.func come from the formulas in float64. It can be compiled.

    Parameters
    ----------
    logits : tensor of shape (..., B, *sample), float32, float64, bfloat16 or float16
        Of the probabilities of ones. What comes before B are samples of the latents, all of which
        are compared with the same x, which is not repeated in memory.
    x : tensor of shape (B, *sample)
        Zeros and ones, or probabilities: then this is minus the cross entropy. Computed in float32,
        or in float64 if the logits are; it takes no gradient.
    n_threads : int, optional
        Threads to run; None for all. The result is bitwise the same.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor of shape (..., B)
        float32, or float64 for float64 logits. An infinite logit that x agrees with adds zero, one
        that it contradicts makes minus infinity. Of 32-bit logits the error is at most
        24 x 2^-24 of the sum of the sizes of the terms, and 6 x 2^-24 of that of x l where x is no
        bit.

    Raises
    ------
    TypeError, ValueError
        If shapes, types or devices do not fit.
    """
    _batch.batch("logits", logits)
    _batch.batch("x", x)
    lead = logits.ndim - x.ndim
    if lead < 0 or logits.shape[lead:] != x.shape:
        raise ValueError(
            f"x has shape {tuple(x.shape)} but logits {tuple(logits.shape)}; the shape of logits "
            "must end with that of x"
        )
    if x.device != logits.device:
        raise ValueError(f"x is on {x.device}; it must be on {logits.device} like logits")
    if x.requires_grad and torch.is_grad_enabled():
        raise ValueError("x takes no gradient; pass x.detach()")
    n, size = len(x), math.prod(x.shape[1:])
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    rows = x.to(dtype).reshape(n, size).contiguous()
    shape = logits.shape[: lead + 1]
    each = logits.reshape(math.prod(logits.shape[:lead]), n, size).contiguous()
    if _tracing.transformed((logits, x)):
        return torch_.formulas(each, rows).view(shape)
    if each.numel() == 0:
        return each.sum(-1, dtype=dtype).view(shape)
    # torch.library's own way to a gradient costs four times as much as the function's
    run = (
        torch_.LogProb.apply
        if _tracing.direct((each.detach(), rows))
        else torch_.bernoulli_log_prob
    )
    out: Tensor = run(each, rows, n_threads, backend)
    return out.view(shape)

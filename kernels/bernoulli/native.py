"""The compiled `bernoulli`."""

import torch
from torch import Tensor

from unsup_fast.kernels import _batch
from unsup_fast.kernels._dispatch import compiled


def bernoulli(
    p: Tensor, seed: int | None, seeds: Tensor | None, stream: int, n_threads: int | None
) -> Tensor:
    """Return bits, float32 [B, D]."""
    out = torch.empty(p.shape)
    bytes_ = p.dtype == torch.uint8
    compiled().bernoulli(
        shape=tuple(p.shape),
        intensities=p.data_ptr() if bytes_ else 0,
        probabilities=0 if bytes_ else p.data_ptr(),
        seed=seed,
        seeds=0 if seeds is None else seeds.data_ptr(),
        stream=stream,
        out=out.data_ptr(),
        n_threads=_batch.threads_for(p, n_threads),
    )
    return out


def bernoulli_log_prob(logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return log-likelihoods [K, B] in the type of x."""
    out = x.new_empty(logits.shape[:2])
    _call(logits, x, out.data_ptr(), 0, 0, n_threads)
    return out


def gradient(of_log_prob: Tensor, logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return the gradient with respect to the logits [K, B, D], in their type."""
    of_logits = torch.empty_like(logits)
    _call(logits, x, 0, of_log_prob.data_ptr(), of_logits.data_ptr(), n_threads)
    return of_logits


def _call(
    logits: Tensor, x: Tensor, out: int, of_log_prob: int, of_logits: int, n_threads: int | None
) -> None:
    compiled().bernoulli_log_prob(
        element=_batch.TYPES.index(logits.dtype),
        shape=(logits.shape[0] * logits.shape[1], len(x), x.shape[1]),
        logits=logits.data_ptr(),
        x=x.data_ptr(),
        out=out,
        of_log_prob=of_log_prob,
        of_logits=of_logits,
        n_threads=_batch.threads_for(logits, n_threads),
    )

"""Reference for `bernoulli`: words compared as whole numbers, log-likelihoods in float64."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.randn.ref import words


def bernoulli(p: Array, seeds: Array, stream: int) -> Array:
    """Return bits, float32 [B, D], of p [B, D] and of one seed or one for each row, uint64."""
    each = p.size // len(seeds)
    drawn = [words(int(seed), stream, 0, -(-each // 4)).T.ravel()[:each] for seed in seeds]
    w = np.stack(drawn).reshape(p.shape)  # [B, D]
    if p.dtype == np.uint8:
        ones: Array = (w < p.astype(np.uint64) * 0x01010101) | (p == 255)
    else:
        ones = (w >> np.uint64(8)) < p.astype(np.float64) * 2**24
    return ones.astype(np.float32)


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Return sum x log s(l) + (1 - x) log s(-l), float64 [K, B], of [K, B, D] and x [B, D]."""
    logits, x = logits.double(), x.double()
    of_ones = torch.where(x == 0, 0.0, x * F.logsigmoid(logits))
    of_zeros = torch.where(x == 1, 0.0, (1 - x) * F.logsigmoid(-logits))
    return (of_ones + of_zeros).sum(-1)


def gradient(of_log_prob: Tensor, logits: Tensor, x: Tensor) -> Tensor:
    """Return of_log_prob (x - s(l)), float64 [K, B, D], of of_log_prob [K, B]."""
    return of_log_prob.double()[..., None] * (x.double() - torch.sigmoid(logits.double()))

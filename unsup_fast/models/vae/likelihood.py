"""Likelihoods p(x | z): what a decoder's output says of the data.

`bernoulli`: pixels are black or white. A grey value is the probability of white, and is binarised
anew each time it is drawn (Salakhutdinov & Murray 2008).

`gaussian`: one variance for all values, a weight of the network. 8-bit values are dequantised by
uniform noise of a bin's width, so that the density bounds their probability (Theis et al. 2016).

`logistic`: the probability of an 8-bit value under a logistic distribution with a mean and a scale
of its own (Salimans et al. 2017). It compares with bits per dimension of diffusion models.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.kernels import bernoulli as kernels
from unsup_fast.kernels.randn import randn
from unsup_fast.models.training.data import to_float

BIN = 2 / 255  # of 8-bit values in [-1, 1]
LOG_SCALES = (-7.0, 20.0)  # of a logistic distribution: an eighth of a bin, and far beyond all
STREAM = 1 << 32  # of the draws for data, whose seeds are those of the latents


class Likelihood(NamedTuple):
    """How a decoder's output is read.

    Attributes
    ----------
    outputs : int
        Numbers that the decoder returns for each value.
    learned_variance : bool
        Whether the network has a log standard deviation for all values together.
    targets : callable (x [B, ...], seeds [B]) -> float32 [B, ...]
        Draws from uint8 pictures, or floats in [-1, 1], the values that are encoded and judged.
    log_prob : callable (output [..., B, outputs C, ...], targets [B, C, ...], log_std) -> [..., B]
        Returns log p(x | z) in nats.
    mean : callable (output [B, outputs C, ...]) -> [B, C, ...]
        Returns the mean of p(x | z), on the data's scale.
    bin_width : float
        Width by which densities of 8-bit data are multiplied to probabilities; 1 if probabilities
        are computed.
    """

    outputs: int
    learned_variance: bool
    targets: Callable[[Tensor, Tensor], Tensor]
    log_prob: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    mean: Callable[[Tensor], Tensor]
    bin_width: float


def binarize(x: Tensor, seeds: Tensor) -> Tensor:
    """Return pixels of 0 and 1, each 1 with the probability that its grey value says.

    Parameters
    ----------
    x : tensor of shape (B, ...)
        uint8, or floats in [-1, 1].
    seeds : int64 tensor of shape (B,)

    Returns
    -------
    float32 tensor of shape (B, ...)
    """
    p = x if x.dtype == torch.uint8 else (x.float() + 1) / 2
    return kernels.bernoulli(p, seed=seeds, stream=STREAM)


def bernoulli_log_prob(output: Tensor, targets: Tensor, log_std: Tensor | None = None) -> Tensor:
    """Return sum_d x_d l_d - log(1 + exp l_d) for logits l [..., B, ...] and x in {0, 1}."""
    return kernels.bernoulli_log_prob(output, targets)


def dequantize(x: Tensor, seeds: Tensor) -> Tensor:
    """Return 8-bit pictures with uniform noise of a bin's width; floats are returned unchanged."""
    if x.dtype != torch.uint8:
        return x.float()
    draws = randn(x.shape, seed=seeds, stream=STREAM, device=x.device)
    return to_float(x).add_(torch.special.ndtr(draws).sub_(0.5), alpha=BIN)


def gaussian_log_prob(output: Tensor, targets: Tensor, log_std: Tensor | None) -> Tensor:
    """Return log N(x; output, exp(log_std)^2) summed over values, with one standard deviation."""
    assert log_std is not None  # as `learned_variance` says
    squares = (targets - output.float()).square().flatten(1 - targets.ndim)  # [..., B, D]
    constant = squares.shape[-1] * (log_std + math.log(2 * math.pi) / 2)
    return -(-2 * log_std).exp() / 2 * squares.sum(-1) - constant


def eight_bit(x: Tensor, seeds: Tensor) -> Tensor:
    """Return pictures in [-1, 1]; nothing is drawn."""
    return to_float(x)


def logistic_log_prob(output: Tensor, targets: Tensor, log_std: Tensor | None = None) -> Tensor:
    """Return the log probability of 8-bit values under logistic distributions.

    A value has the probability of the bin of width 2/255 around it; the outermost bins extend to
    infinity. With sigma the logistic function, sigma(a) - sigma(b) = sigma(a) sigma(-b)
    (1 - exp(b - a)), which cancels nowhere.
    """
    mean, log_scale = output.float().chunk(2, dim=1 - targets.ndim)  # [..., B, C, ...] each
    inverse = (-log_scale.clamp(*LOG_SCALES)).exp()
    residual = targets - mean
    high = F.logsigmoid(inverse * (residual + BIN / 2))
    low = F.logsigmoid(-inverse * (residual - BIN / 2))
    inside = high + low + torch.log(-torch.expm1(-BIN * inverse))
    edge = 1 - BIN / 2
    terms = torch.where(targets < -edge, high, torch.where(targets > edge, low, inside))
    return terms.flatten(1 - targets.ndim).sum(-1)


LIKELIHOODS = {
    "bernoulli": Likelihood(
        outputs=1,
        learned_variance=False,
        targets=binarize,
        log_prob=bernoulli_log_prob,
        mean=lambda output: 2 * output.float().sigmoid() - 1,
        bin_width=1.0,
    ),
    "gaussian": Likelihood(
        outputs=1,
        learned_variance=True,
        targets=dequantize,
        log_prob=gaussian_log_prob,
        mean=lambda output: output.float(),
        bin_width=BIN,
    ),
    "logistic": Likelihood(
        outputs=2,
        learned_variance=False,
        targets=eight_bit,
        log_prob=logistic_log_prob,
        mean=lambda output: output.float().chunk(2, dim=1)[0].clamp(-1, 1),
        bin_width=1.0,
    ),
}
"""The likelihoods of `Config.likelihood`, by name."""

"""Losses of the game, of scores of real and of generated samples.

With a = D(x) for data x and b = D(G(z)), in scores before any sigmoid:

- "minimax": the discriminator minimises -log s(a) - log(1 - s(b)), s the sigmoid, and the generator
  log(1 - s(b)) (Goodfellow et al. 2014, the notes' 4.2).
- "non-saturating": the same discriminator; the generator minimises -log s(b).
- "least-squares": ((a - 1)^2 + b^2) / 2 and (b - 1)^2 / 2 (Mao et al. 2017, the notes' 4.4.3).
- "wasserstein": b - a and -b (Arjovsky et al. 2017, the notes' 4.4.2); the discriminator has to be
  Lipschitz, by clipped weights or a penalty.
- "hinge": max(0, 1 - a) + max(0, 1 + b) and -b (Lim & Ye 2017).
- "relativistic": -log s(a - b) and -log s(b - a), in pairs (Jolicoeur-Martineau 2019; with R1 and
  R2, Huang et al. 2024).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.models.networks.hinge import hinge, minus_score


class Loss(NamedTuple):
    """The two players' losses, each the mean over a batch.

    Attributes
    ----------
    discriminator : callable (real [B], fake [B]) -> tensor of shape ()
    generator : callable (fake [B], real [B]) -> tensor of shape ()
    paired : bool
        Whether the generator's loss depends on the scores of real samples.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's cross entropy, log 4 where it only guesses."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def saturating(fake: Tensor, real: Tensor) -> Tensor:
    """Return E log(1 - s(D(G(z)))), whose gradient vanishes where the discriminator is right."""
    return -F.softplus(fake).mean()


def non_saturating(fake: Tensor, real: Tensor) -> Tensor:
    """Return -E log s(D(G(z)))."""
    return F.softplus(-fake).mean()


def least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's squared error, with labels 1 and 0."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Return the squared distance of scores to the label of real samples."""
    return (fake - 1).square().mean() / 2


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """Return minus the critic's difference."""
    return fake.mean() - real.mean()


def relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """Return E log(1 + exp(-(D(x) - D(G(z))))) over pairs, log 2 where it only guesses."""
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Return the relativistic loss with the two kinds of samples exchanged."""
    return F.softplus(real - fake).mean()


def over_heads(loss: Loss, sizes: Sequence[int]) -> Loss:
    """Return the sum over heads of a loss of scores [B, M], each the mean over a head's columns.

    It is the value V = sum_l V(G, D_l o P_l) of the notes' 4.4.7 (Sauer et al. 2021, equation 1),
    where head l scores some positions of a projection P_l.

    Parameters
    ----------
    loss : Loss
    sizes : sequence of int
        Columns of each head, M in all.
    """

    def summed(one: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def value(a: Tensor, b: Tensor) -> Tensor:
            pairs = zip(a.split(list(sizes), 1), b.split(list(sizes), 1), strict=True)
            return torch.stack([one(*pair) for pair in pairs]).sum()

        return value

    return Loss(summed(loss.discriminator), summed(loss.generator), paired=loss.paired)


def mean_scores(scores: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return one score [B] of each sample: the mean over heads of the means of their columns."""
    heads = scores.split(list(sizes), 1)
    return torch.stack([head.mean(1) for head in heads]).mean(0)


LOSSES = {
    "minimax": Loss(cross_entropy, saturating),
    "non-saturating": Loss(cross_entropy, non_saturating),
    "least-squares": Loss(least_squares, least_squares_generator),
    "wasserstein": Loss(wasserstein, minus_score),
    "hinge": Loss(hinge, minus_score),
    "relativistic": Loss(relativistic, relativistic_generator, paired=True),
}
"""By name; see the module."""

"""The patch critic of a KL autoencoder, and the balance of its gradient with the reconstruction's.

Esser, Rombach & Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis": a critic of
patches learns to tell pictures from reconstructions by the hinge loss, and the autoencoder learns
to raise its scores. The adversarial term is multiplied by

    |grad of the reconstruction's loss| / (|grad of the adversarial term| + 1e-6)

with gradients at the last layer of the decoder (eq. 7 there), so that both are of one size.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from unsup_fast.models.base import whole
from unsup_fast.models.networks.hinge import hinge, minus_score
from unsup_fast.models.networks.patch import PatchDiscriminator
from unsup_fast.models.training import StepContext
from unsup_fast.models.training import precision as precisions

BETAS = (0.5, 0.9)
DELTA = 1e-6
LARGEST = 1e4  # balance


class Settings(NamedTuple):
    """How the autoencoder sees the critic.

    Attributes
    ----------
    critic_weight : float
        Weight of the balanced adversarial term; 0 for no critic.
    critic_start : int
        Step from which the autoencoder's loss has the term. The critic learns from step 0.
    """

    critic_weight: float
    critic_start: int


def checked(critic_weight: float, critic_start: int) -> Settings:
    """Return settings; a ValueError says which one is out of range."""
    critic_start = whole("critic_start", critic_start)
    if not 0 <= critic_weight < math.inf:
        raise ValueError(f"critic_weight={critic_weight} must be at least 0 and finite")
    if critic_start < 0:
        raise ValueError(f"critic_start={critic_start} must be at least 0, the first step")
    if critic_start and not critic_weight:
        raise ValueError(
            f"critic_start={critic_start} is of a critic, and critic_weight=0 trains none; pass a "
            "critic_weight above 0, or leave out critic_start"
        )
    return Settings(critic_weight=critic_weight, critic_start=critic_start)


def balance(reconstruction: Tensor, adversarial: Tensor, weight: Tensor) -> Tensor:
    """Return the weight of an adversarial term (Esser et al. 2021, eq. 7): shape (), no graph.

    It is at most 1e4, and 0 where a gradient is not finite.

    Parameters
    ----------
    reconstruction, adversarial : tensors of shape ()
        Losses, whose graphs have the weight; they are not freed.
    weight : tensor
        That of the decoder's last layer.
    """
    norms = [
        torch.autograd.grad(loss, weight, retain_graph=True)[0].norm()
        for loss in (reconstruction, adversarial)
    ]
    ratio = norms[0] / (norms[1] + DELTA)
    return torch.where(ratio.isfinite(), ratio.clamp(max=LARGEST), 0.0)


class Critic:
    """The critic with its optimizer, and what both networks get from it.

    Parameters
    ----------
    network : PatchDiscriminator
    last : tensor
        Weight of the decoder's last layer.
    settings : Settings
    learning_rate : float
    dtype : torch.dtype
        Type that the network computes in.
    """

    def __init__(
        self,
        network: PatchDiscriminator,
        last: Tensor,
        settings: Settings,
        learning_rate: float,
        dtype: torch.dtype,
    ) -> None:
        self.network, self._last, self._settings, self._dtype = network, last, settings, dtype
        self.optimizer: Optimizer = torch.optim.Adam(
            network.parameters(), learning_rate, betas=BETAS, fused=True
        )
        self._balances: list[Tensor] = []

    def term(self, reconstruction: Tensor, y: Tensor, context: StepContext) -> Tensor:
        """Return what a part of a batch adds to the autoencoder's loss: shape ().

        Parameters
        ----------
        reconstruction : tensor of shape ()
            The loss of reconstructions, without that of the latents.
        y : tensor of shape (B, C, H, W)
            Reconstructions.
        context : StepContext
        """
        if context.index < self._settings.critic_start:
            self._balances.append(torch.zeros_like(reconstruction, requires_grad=False))
            return self._balances[-1]
        adversarial = minus_score(self._scores(y, context))
        self._balances.append(balance(reconstruction, adversarial, self._last))
        return self._settings.critic_weight * self._balances[-1] * adversarial

    def update(
        self, pairs: Sequence[tuple[Tensor, Tensor]], context: StepContext
    ) -> dict[str, Tensor]:
        """Update the critic; return its loss, the adversarial term and the mean balance.

        Parameters
        ----------
        pairs : sequence of (y, x)
            Reconstructions and pictures [B, C, H, W], without a graph, of each part of a batch.
        context : StepContext
        """
        seen: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for y, x in pairs:
                real, fake = self._scores(x, context), self._scores(y, context)
                loss = hinge(real, fake)
                seen.append((loss.detach(), minus_score(fake.detach())))
                yield loss

        context.optimizer_step(losses(), self.optimizer)
        balances, self._balances = self._balances, []
        return {
            "critic": context.mean(loss for loss, _ in seen),
            "adversarial": context.mean(adversarial for _, adversarial in seen),
            "balance": context.mean(iter(balances)),
        }

    def _scores(self, x: Tensor, context: StepContext) -> Tensor:
        """Return maps of scores, float32 [B, 1, h, w]."""
        with precisions.autocast(self._dtype, context.accelerator.device):
            scores: Tensor = self.network(x)
        return scores.float()


def critic_of(shape: tuple[int, ...], seed: int) -> PatchDiscriminator:
    """Return a new critic of pictures with weights drawn from a seed.

    Raises
    ------
    ValueError
        If pictures are too small.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PatchDiscriminator(shape)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

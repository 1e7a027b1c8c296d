"""`Ada`: adaptive discriminator augmentation (Karras et al. 2020), a probability that is steered.

Augmentations are applied to pictures with a probability p. Where the discriminator overfits, the
signs of its scores of real pictures become all positive: r_t = E[sign(D(x))] (their equation 1) is
0 where it does not and 1 where it does. Every four updates p moves towards a target of r_t.

Losses that only compare scores leave D(x) undetermined up to a constant: for "relativistic" and
"wasserstein" the sign is that of D(x) - D(G(z)) over pairs, which has the same limits. It rises
earlier: if both scores were normal, symmetric about zero and equally wide, 0.6 of single scores
would be 0.77 of pairs. The labels 1 and 0 of "least-squares" have their middle at 1/2.
"""

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.training import StepContext

EVERY = 4
"""Updates of the discriminator between movements of p."""
MIDDLES = {"minimax": 0.0, "non-saturating": 0.0, "hinge": 0.0, "least-squares": 0.5}
"""Score between those of real and of generated samples, by the loss; the others have none."""


def signs(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return the signs [B] whose mean is r_t.

    Parameters
    ----------
    loss : str
        One of `LOSSES`.
    real, fake : tensors of shape (B,)
        Scores.
    """
    middle = MIDDLES.get(loss)
    return (real - (fake if middle is None else middle)).detach().sign()


class Ada:
    """The probability p, which is stored in the discriminator with the signs since it moved.

    So both are in checkpoints. Signs are summed over all processes, in whole numbers: p does not
    depend on how many there are, but for rounding of the scores.

    Parameters
    ----------
    discriminator : torch.nn.Module
        It gets the buffers "augment_p" and "augment_signs", both 0.
    target : float
        Of r_t.
    examples : int
        Real samples over which p can move from 0 to 1.
    """

    def __init__(self, discriminator: Module, target: float, examples: int) -> None:
        self._discriminator, self._target, self._examples = discriminator, target, examples
        device = next(discriminator.parameters()).device
        for name in ("augment_p", "augment_signs"):
            discriminator.register_buffer(name, torch.zeros((), device=device))

    @property
    def p(self) -> Tensor:
        """The probability, a tensor of shape ()."""
        return self._discriminator.get_buffer("augment_p")

    @torch.no_grad()
    def observe(self, signs: Tensor, update: int, context: StepContext) -> dict[str, Tensor]:
        """Move p after every fourth update, and return r_t of an update and p.

        Parameters
        ----------
        signs : tensor of shape (B,)
            Of this process's samples.
        update : int
            Index of the update among all updates of the discriminator.
        context : StepContext
        """
        n, total = context.config.batch_size, signs.sum()
        if context.accelerator.num_processes > 1:
            total = context.accelerator.reduce(total, "sum")
        since = self._discriminator.get_buffer("augment_signs").add_(total)
        if update % EVERY == EVERY - 1:
            direction = (since / (EVERY * n) - self._target).sign()
            self.p.add_(direction, alpha=EVERY * n / self._examples).clamp_(0, 1)
            since.zero_()
        return {"r_t": total / n, "augment_p": self.p.clone()}

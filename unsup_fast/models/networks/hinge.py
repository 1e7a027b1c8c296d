"""The hinge loss of a discriminator and its adversary (Lim & Ye 2017), for scores of any shape."""

import torch.nn.functional as F
from torch import Tensor


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's hinge loss, 2 where it only guesses."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def minus_score(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Return -E D(G(z)), which does not depend on the scores of real samples."""
    return -fake.mean()

"""`frozen`: a network that is applied to what others learn, and does not learn itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(network: nn.Module | None) -> Iterator[None]:
    """Compute no gradients of a network's weights, only those of what it is applied to.

    Those of the weights would be computed, and thrown away. None: there is no network.
    """
    weights = [] if network is None else list(network.parameters())
    learning = [weight for weight in weights if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)

"""Standing statistics: the means and variances of batch norms, measured on many samples."""

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm

from unsup_fast.kernels.randn import randn
from unsup_fast.models.training.draws import spread_seed

BATCHES, SIZE = 16, 64


def has_batch_norms(network: Module) -> bool:
    """Return whether a network has batch norms."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


@torch.no_grad()
def measure_batch_norms(generator: Module, latent: int, n_classes: int) -> None:
    """Set the statistics of batch norms to those of 1,024 samples (Brock et al. 2019).

    Averaged weights have none of their own: running means are those of the last weights.

    Parameters
    ----------
    generator : torch.nn.Module
        Changed in place.
    latent : int
        Number of latents.
    n_classes : int
        0 for none; classes take turns.
    """
    norms = [module for module in generator.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    training = generator.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
    generator.eval()  # only the norms compute as in training
    for norm in norms:
        norm.train()
    device = next(generator.parameters()).device
    z = randn((BATCHES * SIZE, latent), seed=spread_seed(0, BATCHES * SIZE), device=device)
    for i, part in enumerate(z.split(SIZE)):
        label: Tensor | None = None
        if n_classes:
            label = (torch.arange(SIZE, device=device) + i * SIZE) % n_classes
        generator(part, label)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.train(training)

"""Path lengths: how far a picture moves with its styles.

Karras et al. 2020, eq. 4: of the Jacobian J of a picture by its styles and a direction y of white
noise, |J^T y| should be one number a for all styles, their running mean, which makes the map from
styles to pictures close to an isometry.

Here y is drawn from N(0, I) / (H W)^(1/2), and |J^T y|^2 is the mean over the L layers of the
squared lengths of the W components. With the weight 2 the penalty is that of the paper's appendix
B, gamma = ln 2 / (r^2 (ln r - ln 2)) for r x r pixels, where L = 2 (log2 r - 1).
"""

import math

import torch
from torch import Tensor

from unsup_fast.kernels.randn import randn
from unsup_fast.models.gan.styled import DIRECTION
from unsup_fast.models.networks.conv2d import gradients_of_inputs_only
from unsup_fast.models.networks.stylegan import StyleGenerator

FORGETTING = 0.01  # of the running mean


def path_lengths(body: StyleGenerator, ws: Tensor, seeds: Tensor) -> Tensor:
    """Return |J^T y| for each sample, [B], with a graph.

    Parameters
    ----------
    body : StyleGenerator
    ws : tensor of shape (B, L, W)
        Styles, which require a gradient.
    seeds : int64 tensor of shape (B,)
        Of the samples' noise and directions y.
    """
    pictures = body.synthesize(ws, seeds)  # [B, C, H, W]
    y = randn(tuple(pictures.shape), seed=seeds, stream=DIRECTION, device=ws.device)
    y = y.to(pictures.dtype) / math.sqrt(pictures.shape[2] * pictures.shape[3])
    with gradients_of_inputs_only():
        (gradient,) = torch.autograd.grad((pictures * y).sum(), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """Return the mean of (length - a)^2, a the running mean, at first that of lengths [B]."""
    target = torch.where(mean > 0, mean, lengths.detach().mean())
    return (lengths - target).square().mean()


@torch.no_grad()
def update_path_mean(body: StyleGenerator, length: Tensor) -> None:
    """Move the running mean of path lengths towards a mean length; the first one is taken whole."""
    moved = torch.lerp(body.path_mean, length.to(body.path_mean), FORGETTING)
    body.path_mean.copy_(torch.where(body.path_mean > 0, moved, length))

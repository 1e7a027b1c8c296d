"""Layers of BigGAN: batch norm that is conditional on classes and latents, and self-attention."""

import torch
from torch import Tensor, nn

from unsup_fast.models.networks.conv2d import Conv2d

REDUCTION = 8  # channels of x for each channel of attention, k of Zhang et al. 2019


class ConditionalBatchNorm(nn.Module):
    """norm(x) (1 + A c) + B c for each channel, with a condition c of each sample.

    Brock et al. 2019, section 3.1 and appendix B: c is the shared embedding of the class and a
    chunk of the latents.

    Parameters
    ----------
    channels : int
    n_inputs : int
        Numbers of a condition.
    """

    def __init__(self, channels: int, n_inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(n_inputs, channels, bias=False)
        self.shift = nn.Linear(n_inputs, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return [B, C, H, W] for x [B, C, H, W] and conditions [B, n_inputs]."""
        gain = 1 + self.gain(condition)[:, :, None, None]  # [B, C, 1, 1]
        return torch.addcmul(self.shift(condition)[:, :, None, None], self.norm(x), gain)


class SelfAttention(nn.Module):
    """x + gamma o, where o are averages over all pixels (Zhang et al. 2019, section 3).

    The scalar gamma is learned from 0 on, where the layer is the identity. Scores are not divided
    by the root of the number of channels, as in the paper.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // REDUCTION)
        self.key = Conv2d(channels, inner, 1, 1.0)  # f of the paper
        self.query = Conv2d(channels, inner, 1, 1.0)  # g
        self.value = Conv2d(channels, inner, 1, 1.0)  # h
        self.out = Conv2d(inner, channels, 1, 1.0)  # v
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, H, W] for x [B, C, H, W]."""
        key, query = self.key(x).flatten(2), self.query(x).flatten(2)  # [B, K, N]
        value = self.value(x).flatten(2)
        weights = (query.transpose(1, 2) @ key).softmax(2).to(value.dtype)  # [B, N, N], eq. 1
        mean = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])  # [B, K, H, W]
        out: Tensor = self.out(mean.contiguous(memory_format=torch.channels_last))  # eq. 2
        return x + self.gamma * out  # eq. 3

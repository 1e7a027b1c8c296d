"""`DiT`: the transformer of Peebles & Xie 2023, with their adaLN-Zero blocks.

Parameters for three channels, no classes and patch 2: "tiny" 1.3 M, "small" 32 M, "base" 130 M,
"large" 457 M; the last three are the paper's S, B and L. Variances are not learned.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.models.networks.embeddings import (
    ConditionEmbedding,
    check_build,
    check_images,
    timestep_embedding,
)
from unsup_fast.models.networks.layers import attention, zero_init

__all__ = ["SIZES", "DiT"]


class Size(NamedTuple):
    """Dimensions of a transformer."""

    width: int
    depth: int
    heads: int


SIZES = {
    "tiny": Size(128, 4, 4),
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
}
EMBEDDING_DIM = 256  # of a time step


def sincos_pos_embed(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Return the sinusoidal embedding of each patch's position, [height width, channels]."""
    row, column = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    both = [timestep_embedding(index.flatten(), channels // 2) for index in (row, column)]
    return torch.cat(both, dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return x [B, T, width] scaled and shifted by [B, width]."""
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


class Block(nn.Module):
    """Attention and an MLP, each with shift, scale and gate from the condition (adaLN-Zero)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.condition = nn.Linear(width, 6 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [B, T, width] -> same
        shift1, scale1, gate1, shift2, scale2, gate2 = self.condition(condition).chunk(6, dim=1)
        x = x + gate1[:, None] * self.self_attention(modulate(self.norm1(x), shift1, scale1))
        return x + gate2[:, None] * self.layers(modulate(self.norm2(x), shift2, scale2))

    def self_attention(self, x: Tensor) -> Tensor:
        """Return self-attention between all patches, [B, T, width]."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = attention(q, k, v)  # [B, heads, T, width / heads]
        return self.out(h.transpose(1, 2).flatten(2))


class DiT(nn.Module):
    """Transformer on patches of an image.

    Parameters
    ----------
    channels : int
        Channels C of an image.
    size : str
        One of `SIZES`: "tiny", "small", "base", "large".
    patch : int
        Side of a patch, in pixels.
    n_classes : int
        Classes to condition on; 0 for none. Label `n_classes` means "any class", which
        classifier-free guidance needs (Ho & Salimans 2022).
    dropout : float
        Dropout rate between the two layers of a block's MLP.
    guided : bool
        Whether a guidance weight is an input too (Meng et al. 2023).

    Raises
    ------
    ValueError
        If `size` is not one of `SIZES`, or another argument is out of range.
    """

    def __init__(
        self,
        channels: int,
        size: str = "small",
        patch: int = 2,
        n_classes: int = 0,
        dropout: float = 0.0,
        guided: bool = False,
    ) -> None:
        super().__init__()
        check_build(SIZES, size, channels, patch, n_classes, dropout)
        cfg = SIZES[size]
        self.channels, self.patch, self.multiple = channels, patch, patch
        self.conv_in = nn.Conv2d(channels, cfg.width, patch, stride=patch)
        self.condition = ConditionEmbedding(EMBEDDING_DIM, cfg.width, n_classes, guided)
        self.blocks = nn.ModuleList(Block(cfg.width, cfg.heads, dropout) for _ in range(cfg.depth))
        self.norm = nn.LayerNorm(cfg.width, eps=1e-6, elementwise_affine=False)
        self.last = nn.Linear(cfg.width, 2 * cfg.width)
        self.proj_out = nn.Linear(cfg.width, channels * patch * patch)
        self._initialise()

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        label: Tensor | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """Return what the network predicts for noisy images.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
        time : tensor of shape (B,) or ()
            Time steps, whole or not.
        label : int64 tensor of shape (B,) or (), or None
            Classes; None means "any class".
        guidance : tensor of shape (B,) or (), or None
            Guidance weights, for a network that was built with `guided`, and only then.

        Returns
        -------
        tensor of shape (B, C, H, W)

        Raises
        ------
        ValueError
            If C differs from `channels`, or H or W is not a multiple of `patch`; if times or labels
            are neither a single one nor one for each image; if a label on the host is out of range,
            or there are labels and the network has no classes.
        """
        check_images(x, self.channels, self.multiple)
        condition = self.condition(time, label, len(x), guidance)  # [B, width]
        grid = self.conv_in(x)  # [B, width, h, w]
        h, w = grid.shape[2:]
        tokens = grid.flatten(2).transpose(1, 2)  # [B, h w, width]
        tokens = tokens + sincos_pos_embed(h, w, tokens.shape[2], x.device).to(tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens, condition)
        shift, scale = self.last(condition).chunk(2, dim=1)
        pixels = self.proj_out(modulate(self.norm(tokens), shift, scale))  # [B, h w, C patch^2]
        return F.pixel_shuffle(pixels.transpose(1, 2).unflatten(2, (h, w)), self.patch)

    def _initialise(self) -> None:
        """Initialise as in the paper: each block as the identity, the output as zero."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.conv_in.weight.view(self.conv_in.weight.shape[0], -1))
        assert self.conv_in.bias is not None
        nn.init.zeros_(self.conv_in.bias)
        for layer in self.condition.time:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
        for block in self.blocks:
            zero_init(cast(nn.Linear, block.condition))
        if self.condition.guidance is not None:
            zero_init(self.condition.guidance)
        zero_init(self.last)
        zero_init(self.proj_out)

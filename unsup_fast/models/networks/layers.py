"""Layers that networks share."""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.kernels.group_norm import group_norm

Layer = TypeVar("Layer", bound=nn.Module)

MAX_TOKENS = 512  # up to which the whole matrix of scores is stored


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v for q, k, v [B, heads, T, D] (Vaswani et al. 2017)."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[2] <= MAX_TOKENS:
        # torch's backward pass is slow here: 14 ms against 2 for 64 images of 49 tokens.
        scores = q @ (k / math.sqrt(q.shape[3])).transpose(2, 3)  # [B, heads, T, T]
        return scores.softmax(3) @ v
    return F.scaled_dot_product_attention(q, k, v)


def norm_scale_shift_silu(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Return silu((1 + scale) norm(x) + shift) for x [B, C, H, W], scale and shift [B, C]."""
    if x.is_cpu:
        return group_norm(
            x,
            norm.num_groups,
            weight=norm.weight,
            bias=norm.bias,
            scale=scale,
            shift=shift,
            eps=norm.eps,
            silu=True,
        )
    h = norm(x)
    if scale is not None and shift is not None:
        h = torch.addcmul(shift[:, :, None, None], h, 1 + scale[:, :, None, None])
    return F.silu(h)


def zero_init(layer: Layer) -> Layer:
    """Set a layer's parameters to zero, and return it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def add_label(h: Tensor, embedding: nn.Embedding | None, label: Tensor | None) -> Tensor:
    """Return h [B, C, ...] plus the embedding [B, C] of labels [B], if there are classes."""
    if embedding is None:
        return h
    assert label is not None  # as a model with classes checks
    shift: Tensor = embedding(label)  # [B, C]
    return h + shift.view(*shift.shape, *[1] * (h.ndim - 2))

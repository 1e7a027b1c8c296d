"""Mirrored pictures, which follow from a run's seed and step."""

import torch
from torch import Tensor

from unsup_fast.models.training.draws import fold_in
from unsup_fast.models.training.step import StepContext


def mirrored(x: Tensor, context: StepContext, batches: int = 1) -> Tensor:
    """Return pictures x [B, C, H, W], half of them mirrored left to right.

    They are this process's examples of some batches of a step.
    """
    seed = fold_in("flip", context.config.seed, context.index)
    random = torch.Generator().manual_seed(seed)
    draws = torch.rand(batches, context.config.batch_size, generator=random)
    chosen = torch.cat([context.shard(each < 0.5) for each in draws]).to(x.device)  # [B]
    return torch.where(chosen[:, None, None, None], x.flip(-1), x)

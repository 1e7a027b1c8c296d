"""What a step draws: its examples and its seeds follow from the seed and the step alone."""

import hashlib
from functools import lru_cache

import torch
from torch import Tensor

from unsup_fast.models.training.state import TrainConfig


def batch_indices(n: int, config: TrainConfig, step: int, batches: int = 1) -> Tensor:
    """Return the indices of the examples of a step's batches, [batches batch_size].

    Epochs are permutations that follow from the seed; a batch may hold the end of one and the
    start of the next.
    """
    size = batches * config.batch_size
    first = step * size
    parts: list[Tensor] = []
    left = size
    while left:
        epoch, offset = divmod(first + size - left, n)
        parts.append(_epoch(n, config.seed, epoch)[offset : offset + left])
        left -= len(parts[-1])
    return torch.cat(parts)


def fold_in(purpose: str, seed: int, index: int) -> int:
    """Return a separate seed for the `index`-th use of a purpose, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{purpose} {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@lru_cache(maxsize=2)
def _epoch(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(fold_in("epoch", seed, epoch)))

"""What a step draws: its examples and its seeds follow from the seed and the step alone."""

import hashlib
from functools import lru_cache
from typing import Any

import torch

from unsup_fast.models.training.state import Options


def order(n: int, options: Options, step: int) -> Any:
    """Return the indices of the examples of a step, [batch_size].

    Epochs are permutations that follow from the seed; a batch may hold the end of one and the
    start of the next.
    """
    first = step * options.batch_size
    parts: list[Any] = []
    left = options.batch_size
    while left:
        epoch, offset = divmod(first + options.batch_size - left, n)
        parts.append(_epoch(n, options.seed, epoch)[offset : offset + left])
        left -= len(parts[-1])
    return torch.cat(parts)


def number(purpose: str, seed: int, index: int) -> int:
    """Return a separate seed for the `index`-th use of a purpose, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{purpose} {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@lru_cache(maxsize=2)
def _epoch(n: int, seed: int, epoch: int) -> Any:
    return torch.randperm(n, generator=torch.Generator().manual_seed(number("epoch", seed, epoch)))

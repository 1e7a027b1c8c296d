"""What is drawn follows from a seed and an index alone: examples of a step, seeds of a sample."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from operator import index
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.models.training.state import TrainConfig

Seed: TypeAlias = int | Sequence[int] | npt.NDArray[Any] | Tensor
"""A seed, or one for each sample."""


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


def spread_seed(seed: Seed, n_samples: int) -> Tensor:
    """Return one seed for each sample, int64 of shape (n_samples,) on the host.

    An int gives the outputs of splitmix64 from it, so that a sample does not depend on the number
    of samples; a sequence or tensor is used unchanged.
    """
    if isinstance(seed, torch.Tensor):
        return seed
    one = isinstance(seed, int | np.integer)
    if not one and not isinstance(seed, Sequence | np.ndarray):
        raise TypeError(f"seed must be an int or one int a sample, got {type(seed).__name__}")
    each: Any = [seed] if one else seed
    values = [index(value) for value in each]
    for value in values:
        if not 0 <= value < 1 << 64:
            raise ValueError(f"seed={value} must be between 0 and 2**64 - 1")
    if not one:
        return torch.from_numpy(np.array(values, dtype=np.uint64).view(np.int64))
    step = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(values[0]) + step * np.arange(1, n_samples + 1, dtype=np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy((state ^ (state >> np.uint64(31))).view(np.int64))

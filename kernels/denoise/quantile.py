"""Quantiles of magnitudes, for what is not compiled."""

import torch
from torch import Tensor


def quantile_ranks(n: int, quantile: float) -> tuple[int, int, float]:
    """Return the ranks of the order statistics around a quantile, and the upper one's weight."""
    rank = quantile * (n - 1)
    low = int(rank)
    return low, min(low + 1, n - 1), rank - low


def between(below: Tensor, above: Tensor, share: float) -> Tensor:
    """Return below + share (above - below), where either may be infinite."""
    if share == 0:
        return below
    return torch.where(below == above, below, below + share * (above - below))

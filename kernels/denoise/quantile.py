"""Quantiles of magnitudes, for what is not compiled."""

from typing import Any

import torch


def places(n: int, quantile: float) -> tuple[int, int, float]:
    """Return the order statistics of n that a quantile lies between, and its share of the way."""
    rank = quantile * (n - 1)
    low = int(rank)
    return low, min(low + 1, n - 1), rank - low


def between(below: Any, above: Any, share: float) -> Any:
    """Return below + share (above - below), where either may be infinite."""
    if share == 0:
        return below
    return torch.where(below == above, below, below + share * (above - below))

"""Rates of the machine that benchmarks compare with."""

import functools
import time

import torch


def finish(device):
    """Wait until a GPU has done what it was asked to."""
    if device == "cuda":
        torch.cuda.synchronize()


@functools.lru_cache
def copy_rate(shape, dtype, device="cpu"):
    """Return the bytes per second that a copy of a tensor reads and writes, the median of nine."""
    one, two = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
    times = 1 if one.numel() > 1_000_000 else 200
    seconds = []
    for _ in range(9):
        finish(device)
        begin = time.perf_counter()
        for _ in range(times):
            one.copy_(two)
        finish(device)
        seconds.append((time.perf_counter() - begin) / times)
    return 2 * one.nbytes / sorted(seconds)[4]

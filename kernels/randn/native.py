"""The compiled `randn`."""

import numpy as np

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def fill(out: Array, dtype: str, seeds: Array, stream: int, first: int, n_threads: int) -> None:
    """Fill an array of numbers, or of their bits, from one seed or one for each sample."""
    if out.size == 0:
        return
    memory, samples, channels = out, len(seeds), 1
    if not out.flags.c_contiguous:
        channels_last = np.moveaxis(out, 1, -1) if out.ndim > 2 else out
        if channels_last.flags.c_contiguous:
            memory, samples, channels = channels_last, out.shape[0], out.shape[1]
        else:
            memory = np.empty(out.shape, out.dtype)
    positions = out.size // (samples * channels)
    compiled().randn(
        seeds=seeds,
        stream=stream,
        first=first,
        dtype=dtype,
        samples=samples,
        channels=channels,
        positions=positions,
        out=memory,
        n_threads=n_threads,
    )
    if not np.may_share_memory(memory, out):
        out[...] = memory

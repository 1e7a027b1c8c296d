"""Random words by the counter-based generator Philox4x32-10 (Salmon et al. 2011), in NumPy."""

import numpy as np

from unsup_fast._types import Array

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def words(seed: int, samples: Array, n_words: int) -> Array:
    """Return random words [N, n_words], uint64 below 2^32, that depend on seed and sample alone.

    The key is the seed, and the counter is (block, 0, low and high half of the sample's index).

    Parameters
    ----------
    seed : int
        From 0 to 2^64 - 1.
    samples : ndarray of shape (N,), uint64
    n_words : int
        A multiple of 4.
    """
    blocks = np.arange(n_words // 4, dtype=np.uint64)
    shape = (len(samples), len(blocks))
    a = np.broadcast_to(blocks, shape)  # [N, blocks]
    b = np.zeros(shape, np.uint64)
    c = np.broadcast_to((samples & LOW)[:, None], shape)
    d = np.broadcast_to((samples >> HALF)[:, None], shape)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        left, right = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (
            (right >> HALF) ^ b ^ np.uint64(key[0]),
            right & LOW,
            (left >> HALF) ^ d ^ np.uint64(key[1]),
            left & LOW,
        )
        key = [(k + w) & 0xFFFFFFFF for k, w in zip(key, WEYL, strict=True)]
    return np.stack([a, b, c, d], axis=2).reshape(len(samples), n_words)


def below(limit: Array | int, words: Array) -> Array:
    """Return whole numbers from 0 to limit - 1, int64, from words of 32 bits."""
    return np.asarray((words * np.asarray(limit, np.uint64)) >> HALF).astype(np.int64)

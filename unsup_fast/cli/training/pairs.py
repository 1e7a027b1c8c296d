"""Pictures and their reconstructions: a grid of pairs, and how far they are from each other."""

import math

import numpy as np

from unsup_fast._types import Array

EMPTY = 128  # of cells without a picture, as between pictures


def psnr(originals: Array, reconstructions: Array) -> float:
    """Return the peak signal-to-noise ratio of bytes, in dB, by their mean squared error."""
    error = np.mean((originals.astype(np.float64) - reconstructions) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def in_pairs(originals: Array, reconstructions: Array, columns: int) -> Array:
    """Return rows of pictures [n, C, H, W], each before the row of their reconstructions."""
    n_rows = -(-len(originals) // columns)
    cells = np.full((n_rows, 2, columns, *originals.shape[1:]), EMPTY, np.uint8)
    for k, images in enumerate((originals, reconstructions)):
        for row in range(n_rows):
            some = images[row * columns : (row + 1) * columns]
            cells[row, k, : len(some)] = some
    return cells.reshape(-1, *originals.shape[1:])

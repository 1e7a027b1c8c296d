"""Features of pictures that a model is compared with, and of those that it makes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from unsup_fast._types import Array
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.samples import FeatureFunction, Features

SAMPLES = 2000  # that are compared by default
BATCH = 64


class Accumulator(Protocol):
    """A score of two sides that takes their features a batch at a time."""

    def update(self, X: Features, *, real: bool) -> object:
        """Take features of the data, or of generated samples."""


def add(
    accumulators: Sequence[Accumulator],
    function: FeatureFunction,
    pixels: Array,
    *,
    real: bool,
    progress: Silent,
) -> None:
    """Hand the features of pictures, bytes [N, C, H, W], to scores, and show how many are done."""
    progress.begin(f"Features of the {'data' if real else 'samples'}")
    for start in range(0, len(pixels), BATCH):
        some = pixels[start : start + BATCH]  # [b, C, H, W]
        some = some[:, 0] if some.shape[1] == 1 else np.moveaxis(some, 1, -1)
        features = function(some)
        for accumulator in accumulators:
            accumulator.update(features, real=real)
        progress.part(start + len(some), len(pixels), "seen")


def frequent(known: Array | None, n: int, seed: int) -> list[int] | None:
    """Return n classes, as frequent as among the data; None without classes."""
    if known is None:
        return None
    drawn: list[int] = np.random.default_rng(seed).choice(known, n).tolist()
    return drawn

"""The judge of a training: the Frechet distance of samples to the data."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast import metrics, pictures
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.samples import FeatureFunction
from unsup_fast.cli.training import comparison
from unsup_fast.cli.training.data import Data, some

if TYPE_CHECKING:
    from unsup_fast.models.gan import GAN

SCORE = "frechet_distance"
SEED = 1


def distance_judge(
    function: FeatureFunction, dataset: Data, n: int
) -> Callable[["GAN"], dict[str, float]]:
    """Return a judge of models by their distance to n pictures of the data.

    Parameters
    ----------
    function : callable (pictures) -> features
    dataset : Data
    n : int
        Number of samples, of the same seed each time, and of pictures, drawn at random.
    """
    rows = some(len(dataset.pixels), n, SEED)
    labels = comparison.frequent(dataset.labels, n, SEED)
    data: list[metrics.FrechetDistance] = []

    def judge(model: "GAN") -> dict[str, float]:
        if not data:
            data.append(metrics.FrechetDistance())
            _add(data[0], dataset.pixels[rows], real=True)
        distance = metrics.FrechetDistance()
        distance.merge(data[0])
        generated = np.asarray(pictures.to_bytes(model.sample(n, label=labels, seed=SEED)))
        _add(distance, generated, real=False)
        with warnings.catch_warnings():  # all scores are of as few samples, and are compared
            warnings.simplefilter("ignore", metrics.FewSamplesWarning)
            return {SCORE: float(distance.compute())}

    def _add(distance: metrics.FrechetDistance, pixels: Any, *, real: bool) -> None:
        comparison.add([distance], function, pixels, real=real, progress=Silent())

    return judge

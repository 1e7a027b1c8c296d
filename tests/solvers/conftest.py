"""A target whose score is known: independent normal numbers with mean 0.7 and deviation 0.5."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    KEEP_X,
    KEEP_X0,
    N_HISTORY,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)
from unsup_fast.solvers import ve_path, vp_path_from_sigmas
from unsup_fast.solvers.prediction import output_weights


class Gaussian(NamedTuple):
    """The target, for models whose timesteps are sigma / signal.

    A consistent model predicts where the probability-flow equation ends, others the best x_0.
    """

    mean: float = 0.7
    std: float = 0.5
    consistent: bool = False

    def path(self, kind: str, n_steps: int, *, low=0.02, high=80.0, rho=7.0) -> Any:
        if rho:
            sigmas = np.linspace(high ** (1 / rho), low ** (1 / rho), n_steps + 1) ** rho
        else:
            sigmas = np.exp(np.linspace(np.log(high), np.log(low), n_steps + 1))
        return {"vp": vp_path_from_sigmas, "ve": ve_path}[kind](sigmas, sigmas[:-1])

    def level(self, kind: str, t: Any) -> tuple[Any, Any]:
        signal = 1 / (1 + t**2) ** 0.5 if kind == "vp" else 0 * t + 1
        return signal, t * signal

    def affine(self, kind: str, prediction: str, t: Any) -> tuple[Any, Any]:
        """Return slope and intercept, in x, of the prediction."""
        a, s = self.level(kind, t)
        spread = a**2 * self.std**2 + s**2
        gain = self.std / spread**0.5 if self.consistent else a * self.std**2 / spread
        of_image, of_noise = output_weights(prediction, a, s)
        offset = self.mean * (1 - a * gain)  # x_0 = gain x + offset
        return of_image * gain + of_noise * (1 - a * gain) / s, (
            of_image - of_noise * a / s
        ) * offset

    def model(self, kind: str, prediction: str) -> Any:
        """Return the model of tensors; where x is scaled, it undoes that."""

        def called(x: Any, t: Any) -> Any:
            t = t.reshape(-1, *[1] * (x.ndim - 1))
            slope, offset = self.affine(kind, prediction, t)
            scale = (1 + t**2) ** 0.5 if kind == "ve" else 1
            return slope * (x * scale) + offset

        return called

    def end(self, path: Any, x: Any) -> Any:
        """Return where the probability-flow equation takes x."""
        a, b = path.signal[0], path.next_signal[-1]
        spread = (a * self.std) ** 2 + path.sigma[0] ** 2
        wanted = (b * self.std) ** 2 + path.next_sigma[-1] ** 2
        return b * self.mean + np.sqrt(wanted / spread) * (x - a * self.mean)

    def moments(self, table: Any, path: Any, kind: str, prediction: str) -> tuple[float, float]:
        """Return the mean and variance of what a table makes, without drawing anything.

        With this model every row is affine in (x, anchor, earlier outputs), whose mean and
        covariance are carried along.
        """
        size = 2 + N_HISTORY  # x, anchor, history
        mean, cov = np.zeros(size), np.zeros((size, size))
        a, s = path.signal[0], path.sigma[0]
        mean[0], cov[0, 0] = a * self.mean, (a * self.std) ** 2 + s**2
        for row, t in zip(table.rows, table.timesteps, strict=True):
            slope, offset = self.affine(kind, prediction, t)
            image = row[X0_X] + row[X0_OUTPUT] * slope, row[X0_OUTPUT] * offset
            keep = row[KEEP_X] + row[KEEP_X0] * image[0], row[KEEP_X0] * image[1]
            step, shift = np.zeros((size, size)), np.zeros(size)
            step[0, 0] = row[NEXT_X] + row[NEXT_KEEP] * keep[0]
            step[1, 0] = row[ANCHOR_X] + row[ANCHOR_KEEP] * keep[0]
            step[2, 0] = keep[0]
            step[0, 1], step[1, 1] = row[NEXT_ANCHOR], row[ANCHOR_ANCHOR]
            step[0, 2:] = row[NEXT_HISTORY : NEXT_HISTORY + N_HISTORY]
            step[1, 2:] = row[ANCHOR_HISTORY : ANCHOR_HISTORY + N_HISTORY]
            step[3:, 2:-1] = np.eye(N_HISTORY - 1)
            shift[:3] = row[NEXT_KEEP] * keep[1], row[ANCHOR_KEEP] * keep[1], keep[1]
            mean, cov = step @ mean + shift, step @ cov @ step.T
            cov[0, 0] += row[NEXT_NOISE] ** 2
        return mean[0], cov[0, 0]


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian()

"""A sampler is a table: one row of coefficients for each call of the model."""

from typing import NamedTuple

import numpy as np

from unsup_fast.kernels.sampler_terms import GUIDANCE, NEXT_HISTORY
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.schedules import Array


class Table(NamedTuple):
    """The rows of a sampler that calls the model R times; all numbers are float64.

    Attributes
    ----------
    timesteps : ndarray of shape (R,)
        Timestep passed to the model.
    scales : ndarray of shape (R,)
        The model sees scales[i] * x.
    rows : ndarray of shape (R, N_TERMS)
        The coefficients, in the columns of `unsup_fast.kernels.sampler_terms`.
    levels : ndarray of shape (R,)
        sigma / signal where the model is called; infinite where nothing is left of the image.
    history : int
        Number of earlier outputs that the rows use.
    anchor : bool
        Whether the rows also carry a second sample.
    direct : bool
        Whether `history` holds not earlier outputs but those of the same row: the model's output,
        then the unconditional one. So a row can use an output that was not clipped.
    init_noise_sigma : float
        Standard deviation of the sample to start from.
    signal, sigma : float
        The first row starts from signal * x_0 + sigma * eps.
    """

    timesteps: Array
    scales: Array
    rows: Array
    levels: Array
    history: int
    anchor: bool
    direct: bool
    init_noise_sigma: float
    signal: float
    sigma: float

    def guided(self, guidance: float, interval: tuple[float, float] | None = None) -> "Table":
        """Return the table with classifier-free guidance, m = uncond + g (output - uncond).

        Parameters
        ----------
        guidance : float
            g; 1 is no guidance.
        interval : (low, high), optional
            The rows where low < sigma / signal <= high are guided, the others not (Kynkaanniemi et
            al. 2024). By default all are.

        Returns
        -------
        Table

        Raises
        ------
        ValueError
            If not 0 <= low < high.
        """
        weights = np.full(len(self.rows), float(guidance))
        if interval is not None:
            low, high = interval
            if not 0 <= low < high:
                raise ValueError(
                    f"guidance_interval={interval} must be noise levels sigma / signal, "
                    "0 <= low < high"
                )
            weights[(self.levels <= low) | (self.levels > high)] = 1.0
        rows = self.rows.copy()
        rows[:, GUIDANCE] = weights
        if self.direct:
            weight = rows[:, NEXT_HISTORY] + rows[:, NEXT_HISTORY + 1]
            rows[:, NEXT_HISTORY] = weights * weight
            rows[:, NEXT_HISTORY + 1] = (1 - weights) * weight
        return self._replace(rows=rows)


def make(path: Path, rows: Array, *, history: int = 0, direct: bool = False) -> Table:
    """Return the table of a sampler with one row for each step of a path."""
    return Table(
        path.timesteps,
        path.scales,
        rows,
        levels_of(path),
        history,
        anchor=False,
        direct=direct,
        init_noise_sigma=path.init_noise_sigma,
        signal=float(path.signal[0]),
        sigma=float(path.sigma[0]),
    )


def levels_of(path: Path) -> Array:
    """Return sigma / signal where the steps of a path start: [S]."""
    with np.errstate(divide="ignore"):
        return np.asarray(path.sigma / path.signal)

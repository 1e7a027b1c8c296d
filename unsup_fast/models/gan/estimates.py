"""Divergences of P and Q estimated from what a discriminator outputs for samples of each.

In expectation each is a lower bound of the divergence, provided that the samples are not those that
the discriminator was trained on. It is the divergence itself for the best discriminator, such as
`unsup_fast.models.gan.game.optimal_output` of two known densities.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unsup_fast._types import ArrayLike, on_host

Float64 = npt.NDArray[np.float64]


class Measurement(NamedTuple):
    """An estimate from samples."""

    value: float
    standard_error: float
    """Standard deviation of `value` over draws of the samples, estimated from these."""


def js_from_logits(real: ArrayLike, fake: ArrayLike) -> Measurement:
    """Return an estimate of JS(P, Q), in nats, from logits of samples.

    It is log 2 less half the `minimax` loss: a lower bound in expectation whatever the logits are,
    and JS itself for log P/Q.

    Parameters
    ----------
    real, fake : array-like or tensor of N and M numbers
        What a discriminator returns for samples of P and of Q.

    Raises
    ------
    ValueError
        If one has fewer than two numbers, or NaN.
    """
    right = [np.logaddexp(0, -x) for x in (_flat("real", real), -_flat("fake", fake))]
    value, error = _means(right)
    return Measurement(value=math.log(2) - value / 2, standard_error=error / 2)


def tv_from_logits(real: ArrayLike, fake: ArrayLike, threshold: float = 0.0) -> Measurement:
    """Return an estimate of TV(P, Q): by how much one event is more probable under P than under Q.

    The event is an output of at least `threshold`; the estimate is 1 less twice the error of
    guessing P there. It is a lower bound in expectation, and the distance for log P/Q.

    Parameters
    ----------
    real, fake
        As in `js_from_logits`.
    threshold : float, default=0
        0 for logits and for `hinge`, 1/2 for the outputs of `least-squares`.

    Raises
    ------
    ValueError
        If one has fewer than two numbers, or NaN.
    """
    pair = _flat("real", real), _flat("fake", fake)
    events = [(x >= threshold).astype(np.float64) for x in pair]
    value, error = _means([events[0], -events[1]])
    return Measurement(value=value, standard_error=error)


def wasserstein_from_critic(real: ArrayLike, fake: ArrayLike, slope: float = 1.0) -> Measurement:
    """Return an estimate of W1(P, Q) from a critic's outputs for samples of each.

    Parameters
    ----------
    real, fake : array-like or tensor of N and M numbers
        What a critic returns for samples of P and of Q.
    slope : float, default=1
        The difference of means is divided by it. With the largest norm of the critic's gradient
        anywhere the expectation is a lower bound of W1; with the mean norm it is what
        `gradient_penalty_slope` corrects.

    Raises
    ------
    ValueError
        If one has fewer than two numbers, or NaN, or `slope` is not positive.
    """
    if not slope > 0:
        raise ValueError(f"slope={slope} is not positive; pass a norm of the critic's gradient")
    value, error = _means([_flat("real", real), -_flat("fake", fake)])
    return Measurement(value=value / slope, standard_error=error / slope)


def _flat(name: str, values: ArrayLike) -> Float64:
    """Return outputs of a discriminator as a vector."""
    flat: Float64 = on_host(values).astype(np.float64).ravel()
    if len(flat) < 2:
        raise ValueError(f"{name} has {len(flat)} numbers; an estimate needs at least 2")
    if np.isnan(flat).any():
        raise ValueError(f"{name} has NaN at {int(np.isnan(flat).argmax())}; pass finite outputs")
    return flat


def _means(parts: list[Float64]) -> tuple[float, float]:
    """Return the sum of the means of independent samples, and its standard error."""
    value = sum(float(part.mean()) for part in parts)
    variance = sum(float(part.var(ddof=1)) / len(part) for part in parts)
    return value, math.sqrt(variance)

"""`Alarm`: says that a training of a GAN has failed, from numbers that each step reports.

The same checks run during training, on means of a few steps, and in the report, on the rows of
`metrics.csv`.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

BEGIN, PATIENCE = 300, 200
"""Step before which a number is not alarming, and steps over which it is watched from there on."""
WON_BEGIN, WON_PATIENCE = 2000, 1000
"""The same for a discriminator that wins, as it does in the first 700 steps of DCGAN on MNIST."""
SHARE = 0.6
"""Share of its readings there that have to be alarming: a collapse often comes and goes."""
LEAST_SPREAD, MOST_SPREAD, MOST_SIGN, LEAST_GRADIENT = 0.25, 4.0, 0.98, 1e-6


class Check(NamedTuple):
    """What is alarming, why, and what to do.

    Attributes
    ----------
    name : str
    metric : str
        Column of `metrics.csv`.
    alarming : callable (value) -> bool
    message : str
        With {value} for the latest one.
    begin, patience : int
        Steps before which it is not alarming, and over which it is watched.
    """

    name: str
    metric: str
    alarming: Callable[[float], bool]
    message: str
    begin: int = BEGIN
    patience: int = PATIENCE


CHECKS = (
    Check(
        "collapse",
        "spread",
        lambda value: value < LEAST_SPREAD,
        "the generator has collapsed: its samples vary {value:.2f} times as much as the data. "
        "Train again with a lower learning_rate, a larger r1 (without batch norms) or a larger "
        "batch_size",
    ),
    Check(
        "divergence",
        "spread",
        lambda value: value > MOST_SPREAD,
        "the generator diverges: its samples vary {value:.1f} times as much as the data. Train "
        "again with a lower learning_rate or a larger r1 (without batch norms)",
    ),
    Check(
        "discriminator won",
        "sign",
        lambda value: value > MOST_SIGN,
        "the discriminator has won or memorised the data: it ranks nearly all real samples above "
        "generated ones (mean sign {value:.3f}). Train again with augmentation, a larger r1 "
        "(without batch norms), more data, or a smaller discriminator",
        begin=WON_BEGIN,
        patience=WON_PATIENCE,
    ),
    Check(
        "discriminator lost",
        "sign",
        lambda value: value < -MOST_SIGN,
        "the discriminator ranks nearly all generated samples above real ones (mean sign "
        "{value:.3f}): it does not learn. Train again with more updates of it (n_critic), a higher "
        "learning_rate, or a smaller r1",
    ),
    Check(
        "dead gradient",
        "generator_norm",
        lambda value: value < LEAST_GRADIENT,
        "the generator's gradient is dead (norm {value:.1e}), so it no longer learns. Train again "
        "with another loss, or a larger r1 (without batch norms)",
    ),
)


class Signal(NamedTuple):
    """An alarm.

    Attributes
    ----------
    name : str
    step : int
        At which it was raised.
    message : str
        What is wrong and what to do.
    """

    name: str
    step: int
    message: str


class Alarm:
    """Raises each alarm at most once, when a number was alarming for most of some steps."""

    def __init__(self) -> None:
        self._readings: dict[str, deque[tuple[int, bool]]] = {}
        self._raised: set[str] = set()

    def add(self, step: int, values: Mapping[str, float]) -> list[Signal]:
        """Return the alarms that the means of the steps before `step` raise.

        Parameters
        ----------
        step : int
        values : mapping of str to float
            By metric; those that are missing or NaN are skipped.
        """
        signals: list[Signal] = []
        for check in CHECKS:
            value = values.get(check.metric, math.nan)
            if math.isnan(value) or step < check.begin or check.name in self._raised:
                continue
            readings = self._readings.setdefault(check.name, deque())
            readings.append((step, check.alarming(value)))
            if step - readings[0][0] < check.patience:
                continue
            alarming = [each for _, each in readings]
            if alarming[-1] and sum(alarming) >= SHARE * len(alarming):
                self._raised.add(check.name)
                message = f"step {step}: {check.message.format(value=value)}"
                signals.append(Signal(check.name, step, message))
            while step - readings[0][0] >= check.patience:
                readings.popleft()
        return signals

"""Fits of mixtures of several sizes, which can be stopped at any time."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.blocks import Source
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Outlook, Silent
from unsup_fast.mixture import GaussianMixture
from unsup_fast.report.numbers import real, seconds

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Record:
    """What one fit came to; `log_likelihood` is the mean of a row."""

    components: int
    bic: float
    aic: float
    log_likelihood: float
    iterations: int
    converged: bool
    seconds: float


@dataclass(frozen=True)
class Found:
    """What all fits came to.

    Attributes
    ----------
    model : GaussianMixture
        The best.
    records : list of Record
        Of all fits, in order.
    best : int
        Place of the best among them.
    interrupted : bool
    """

    model: GaussianMixture
    records: list[Record]
    best: int
    interrupted: bool

    @property
    def record(self) -> Record:
        """That of the best fit."""
        return self.records[self.best]

    def listed(self) -> list[dict[str, Any]]:
        """Return the records as `summary.json` holds them."""
        return [asdict(record) for record in self.records]


def fit_all(
    X: Source,
    sample_weight: Array | None,
    numbers: Sequence[int],
    parameters: dict[str, Any],
    criterion: str,
    progress: Silent,
    interrupts: Interrupts,
) -> Found | None:
    """Fit a mixture of each size and keep the best.

    After an interrupt the fits that were finished count; the one that was not counts only if it is
    the first.

    Parameters
    ----------
    X : Source of shape (N, D)
    sample_weight : ndarray of shape (N,) or None
    numbers : sequence of int
        Components of each fit, ascending.
    parameters : dict
        Other parameters of the estimator.
    criterion : {"bic", "aic"}
    progress : Silent
    interrupts : Interrupts

    Returns
    -------
    Found or None
        None if it was interrupted before any iteration was finished.
    """
    found: Found | None = None
    start, interrupted = perf_counter(), False
    for place, k in enumerate(numbers):
        name = f"k = {k}, fit {place + 1} of {len(numbers)}: " if len(numbers) > 1 else ""
        left = _left(perf_counter() - start, numbers, place)
        progress.begin(f"{name}Choosing the first components{left}")
        model, began = GaussianMixture(k, **parameters), perf_counter()
        try:
            _fit(model, X, sample_weight, _shown(name, progress), progress)
        except KeyboardInterrupt:
            interrupted = True
            if found is not None or not hasattr(model, "weights_"):
                break
        with interrupts.shield():
            record = _record(model, X, sample_weight, perf_counter() - began)
        found = _better(found, model, record, criterion)
        try:
            interrupts.check()
        except KeyboardInterrupt:
            interrupted = place + 1 < len(numbers)
        if interrupted:
            break
    if found is None:
        return None
    return Found(found.model, found.records, found.best, interrupted)


def _fit(
    model: GaussianMixture,
    X: Source,
    sample_weight: Array | None,
    callback: Callable[[Any], None],
    progress: Silent,
) -> None:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, None, sample_weight, callback=callback, seeding_callback=progress.seeding)
    finally:
        for warning in caught:
            text = " ".join(str(warning.message).split())
            if "did not converge" not in text:  # told with the result, in the command's words
                print(f"warning: k = {model.n_components}: {text}", file=sys.stderr)


def _shown(name: str, progress: Silent) -> Callable[[Any], None]:
    """Return the callback that shows each iteration."""
    outlook = Outlook(0)

    def show(state: Any) -> None:
        nonlocal outlook
        if state.iteration == 1:
            outlook = Outlook(state.max_iter)
        outlook.add(state.iteration, 0, abs(state.change), state.tol)
        run = f"start {state.run}, " if state.run > 1 else ""
        change = f", up by {real(state.change)}" if np.isfinite(state.change) else ""
        progress.step(f"{name}{run}log-likelihood {real(state.lower_bound)} a row{change}", outlook)

    return show


def _record(model: Any, X: Source, sample_weight: Array | None, took: float) -> Record:
    """Return the likelihood and the criteria, found in one pass."""
    mean = model.score(X, sample_weight=sample_weight)
    count = X.n_rows if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
    likelihood, free = mean * count, model._n_parameters()
    return Record(
        components=model.n_components,
        bic=float(-2 * likelihood + free * np.log(count)),
        aic=float(-2 * likelihood + 2 * free),
        log_likelihood=float(mean),
        iterations=int(model.n_iter_),
        converged=bool(model.converged_),
        seconds=round(took, 4),
    )


def _better(found: Found | None, model: Any, record: Record, criterion: str) -> Found:
    """Return the fits so far and one more; of equal ones the smaller is the best."""
    if found is None:
        return Found(model, [record], 0, False)
    records = [*found.records, record]
    if getattr(record, criterion) < getattr(found.record, criterion):
        return Found(model, records, len(records) - 1, False)
    return Found(found.model, records, found.best, False)


def _left(elapsed: float, numbers: Sequence[int], place: int) -> str:
    """Return how long this fit and the next ones may take: as long a component as those before."""
    if place == 0:
        return ""
    pace = elapsed / sum(numbers[:place])
    return f", about {seconds(pace * sum(numbers[place:]))} left in all"

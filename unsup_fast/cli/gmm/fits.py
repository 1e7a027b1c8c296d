"""Resumable fits of mixtures over a range of component counts."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.cli import engines, terminal
from unsup_fast.cli.checkpoint import Saver
from unsup_fast.cli.gmm.snapshot import FitRecord, GmmSnapshot
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Outlook, Silent
from unsup_fast.distributed import Engine, EngineError
from unsup_fast.mixture import GaussianMixture, Iteration, Mixture, MixtureRun
from unsup_fast.report.numbers import real, seconds
from unsup_fast.storage import estimators


@dataclass(frozen=True)
class GmmResult:
    """The results of all fits.

    Attributes
    ----------
    model : GaussianMixture
        The best.
    records : list of FitRecord
        Records of all fits, in order.
    best : int
        Index of the best among them.
    interrupted : bool
    """

    model: GaussianMixture
    records: list[FitRecord]
    best: int
    interrupted: bool

    @property
    def record(self) -> FitRecord:
        """The record of the best fit."""
        return self.records[self.best]

    def listed(self) -> list[dict[str, Any]]:
        """Return the records as `summary.json` holds them."""
        return [asdict(record) for record in self.records]


class Fits:
    """Fits mixtures one after the other, and keeps what is done of them.

    Parameters
    ----------
    X : Source of shape (N, D)
    sample_weight : ndarray of shape (N,) or None
    numbers : sequence of int
        Components of each fit, ascending.
    parameters : dict
        Other parameters of the estimator.
    criterion : {"bic", "aic"}
    engine : Engine or None
        Processes that have the rows between them.
    snapshot : GmmSnapshot
        State of the fits so far; updated by each iteration.
    save : callable
        Writes a `GmmSnapshot` to the disk; called after each fit, and at most every second.
    progress : Silent
    interrupts : Interrupts
    """

    def __init__(
        self,
        X: Source,
        sample_weight: Array | None,
        numbers: Sequence[int],
        parameters: dict[str, Any],
        criterion: str,
        engine: Engine | None,
        snapshot: GmmSnapshot,
        save: Callable[[GmmSnapshot], None],
        progress: Silent,
        interrupts: Interrupts,
    ) -> None:
        self.snapshot = snapshot
        self._X, self._sample_weight = X, sample_weight
        self._numbers, self._parameters, self._criterion = numbers, parameters, criterion
        self._engine = engine
        self._scale: Array | None = None
        if parameters["standardize"]:
            weight = None if sample_weight is None else sample_weight.astype(X.dtype)
            self._scale = scaling.of_rows(X, X.moments, weight)
        self._save, self._saver = save, Saver(save)
        self._progress, self._interrupts = progress, interrupts

    def result(self) -> GmmResult | None:
        """Make the fits that are left and return the best of all.

        After an interrupt the fits that were finished count; the one that was not counts only if
        it is the first. None if not even that has finished an iteration.
        """
        interrupted = False
        try:
            while len(self.snapshot.records) < len(self._numbers):
                self._fit_next()
        except KeyboardInterrupt:
            interrupted = True
        except EngineError as error:
            if not (self.snapshot.records or self.snapshot.of_starts or self.snapshot.now):
                raise
            self._save(self.snapshot)
            raise engines.resumable(error) from error
        snapshot, records, run = self.snapshot, self.snapshot.records, self.snapshot.best
        with self._interrupts.shield():
            if interrupted and (records or snapshot.of_starts or snapshot.now):
                self._save(snapshot)
            if run is None:
                run = _better(snapshot.of_starts, snapshot.now)
                if run is None:
                    return None
                records = [self._record(self._numbers[0], run)]
            index = self._best(records)
            model = self._model(records[index].components, run)
        return GmmResult(model=model, records=records, best=index, interrupted=interrupted)

    def _best(self, records: Sequence[FitRecord]) -> int:
        """Return the index of the best record; among equal ones, of the smaller mixture."""
        return min(range(len(records)), key=lambda i: float(getattr(records[i], self._criterion)))

    def _fit_next(self) -> None:
        """Make the next fit: all its starts, or those that are left."""
        snapshot, index = self.snapshot, len(self.snapshot.records)
        k, began = self._numbers[index], perf_counter() - self.snapshot.seconds
        several = len(self._numbers) > 1
        name = f"k = {k}, fit {index + 1} of {len(self._numbers)}: " if several else ""
        left = _left(sum(record.seconds for record in snapshot.records), self._numbers, index)
        what = "Going on" if snapshot.now is not None else "Choosing the first components"
        self._progress.begin(f"{name}{what}{left}")
        generator = np.random.RandomState(self._parameters["random_state"])
        if snapshot.generator is not None:
            generator = estimators.generator_from("checkpoint", snapshot.generator)
        while snapshot.starts < self._parameters["n_init"]:
            self._make_start(k, generator, name, began)
            if snapshot.starts < self._parameters["n_init"]:
                self._interrupts.check()
        assert snapshot.of_starts is not None
        last = index + 1 == len(self._numbers)
        with self._interrupts.shield():
            record = self._record(k, snapshot.of_starts, perf_counter() - began)
            records = [*snapshot.records, record]
            better = self._best(records) == index
            self.snapshot = GmmSnapshot(records, snapshot.of_starts if better else snapshot.best)
            self._saver.write(self.snapshot, last=last)  # the results are not written yet
        try:
            self._interrupts.check()
        except KeyboardInterrupt:
            if not last:
                raise

    def _make_start(
        self, k: int, generator: np.random.RandomState, name: str, began: float
    ) -> None:
        """Fit from the next start, or resume an unfinished one."""
        snapshot, most = self.snapshot, self._parameters["max_iter"]
        model = GaussianMixture(k, **self._parameters)
        model.set_params(n_init=1, random_state=generator)
        bounds: list[float] = []
        if snapshot.now is None:
            snapshot.generator = estimators.generator_state(generator)
        else:
            bounds += snapshot.now.lower_bounds
            self._put(model, snapshot.now)
            model.set_params(warm_start=True, max_iter=most - len(bounds))
        show = self._shown(
            f"{name}start {snapshot.starts + 1}, " if snapshot.starts else name, most
        )
        final = False

        def step(state: Iteration) -> None:
            nonlocal final
            with self._interrupts.shield():
                bounds.append(state.lower_bound)
                converged = abs(state.change) < state.tol
                final = converged or len(bounds) == most
                show(len(bounds), state)
                mixture = Mixture(
                    weights=state.weights,
                    means=state.means,
                    covariances=state.covariances,
                    factors=state.precisions_cholesky,
                )
                snapshot.now = MixtureRun(
                    mixture=mixture,
                    lower_bound=state.lower_bound,
                    lower_bounds=list(bounds),
                    converged=converged,
                )
                snapshot.generator = estimators.generator_state(generator)
                snapshot.seconds = perf_counter() - began
                if not final and self._saver.due():
                    self._saver.write(snapshot)
            self._interrupts.check()

        try:
            _fit(model, self._X, self._sample_weight, self._engine, step, self._progress)
        except KeyboardInterrupt:
            if not final:
                raise
            self._interrupts.hold()
        snapshot.of_starts, snapshot.now = _better(snapshot.of_starts, snapshot.now), None
        snapshot.starts += 1

    def _put(self, model: GaussianMixture, run: MixtureRun) -> None:
        model._set_run(run, self._X.dtype, None)
        model.n_features_in_ = self._X.n_columns
        if self._scale is not None:
            model.scale_ = self._scale

    def _model(self, k: int, run: MixtureRun) -> GaussianMixture:
        model = GaussianMixture(k, **self._parameters)
        self._put(model, run)
        return model

    def _record(self, k: int, run: MixtureRun, took: float | None = None) -> FitRecord:
        """Return the likelihood and the criteria, computed in one pass."""
        model, weight = self._model(k, run), self._sample_weight
        mean = model.score(self._X, sample_weight=weight)
        count = self._X.n_rows if weight is None else float(weight.sum(dtype=np.float64))
        likelihood, free = mean * count, model._n_parameters()
        return FitRecord(
            components=k,
            bic=float(-2 * likelihood + free * np.log(count)),
            aic=float(-2 * likelihood + 2 * free),
            log_likelihood=float(mean),
            iterations=int(model.n_iter_),
            converged=bool(model.converged_),
            seconds=round(self.snapshot.seconds if took is None else took, 4),
        )

    def _shown(self, name: str, max_iter: int) -> Callable[[int, Iteration], None]:
        """Return what shows each iteration."""
        outlook = Outlook(max_iter)

        def show(iteration: int, state: Iteration) -> None:
            outlook.add(iteration, 0, abs(state.change), state.tol)
            change = f", up by {real(state.change)}" if np.isfinite(state.change) else ""
            self._progress.step(
                f"{name}log-likelihood {real(state.lower_bound)} a row{change}", outlook
            )

        return show


def _fit(
    model: GaussianMixture,
    X: Source,
    sample_weight: Array | None,
    engine: Engine | None,
    callback: Callable[[Iteration], None],
    progress: Silent,
) -> None:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(
                X,
                sample_weight=sample_weight,
                engine=engine,
                callback=callback,
                seeding_callback=progress.seeding,
            )
    finally:
        for warning in caught:
            text = str(warning.message)
            if "did not converge" not in text:  # said with the result, in the command's words
                terminal.warn(f"k = {model.n_components}: {text}")


def _better(one: MixtureRun | None, other: MixtureRun | None) -> MixtureRun | None:
    """Return the run of the larger likelihood, the first of equal ones."""
    if one is None or other is None:
        return one or other
    return other if other.lower_bound > one.lower_bound else one


def _left(elapsed: float, numbers: Sequence[int], index: int) -> str:
    """Return how long this fit and the next ones may take: as long a component as those before."""
    if index == 0:
        return ""
    pace = elapsed / sum(numbers[:index])
    return f", about {seconds(pace * sum(numbers[index:]))} left in all"

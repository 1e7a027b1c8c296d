"""A k-means fit that can be stopped at any time and resumed bit for bit."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from unsup_fast._types import Array, on_host
from unsup_fast.blocks import Source
from unsup_fast.cli import engines
from unsup_fast.cli.checkpoint import Saver, check_array, check_number
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Outlook, Silent
from unsup_fast.cluster import Iteration, KMeans, stagnates
from unsup_fast.distributed import Engine, EngineError
from unsup_fast.report.numbers import count, percent, real
from unsup_fast.storage.records import shown

# A run that changes inertia by less than this share in so many iterations may be stopped.
SLOW_CHANGE, SLOW_ITERATIONS = 1e-4, 10
SLOW = (
    "Inertia changed by less than 0.01 % in the last ten iterations: the run may be stopped; "
    "Ctrl-C keeps its result, and --tol-inertia stops a run by itself."
)


@dataclass(frozen=True)
class KMeansSnapshot:
    """A finished iteration, with the history of those before it.

    Attributes
    ----------
    iteration : int
        Iterations done.
    seconds : float
        Time they took, seeding included.
    centers : ndarray of shape (K, D)
        Centroids after the iteration.
    labels : ndarray of shape (N,), int32
        Labels that the iteration assigned, from the centroids before it.
    inertias, changes : tuple
        Inertia and changed labels of each iteration so far.
    """

    iteration: int
    seconds: float
    centers: Array
    labels: Array
    inertias: tuple[float, ...]
    changes: tuple[int, ...]

    kind: ClassVar[str] = "k-means checkpoint"

    @staticmethod
    def start() -> "KMeansSnapshot":
        """Return the state before the first iteration."""
        return KMeansSnapshot(0, 0.0, np.empty((0, 0)), np.empty(0, np.int32), (), ())

    def packed(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return it as arrays and what JSON can hold."""
        arrays = {
            "centers": self.centers,
            "labels": self.labels,
            "inertias": np.array(self.inertias),
            "changes": np.array(self.changes, dtype=np.int64),
        }
        return arrays, {"iteration": self.iteration, "seconds": self.seconds}

    @staticmethod
    def unpacked(
        arrays: dict[str, Array], state: dict[str, Any], n_clusters: int, X: Source
    ) -> "KMeansSnapshot | None":
        """Return what was packed by a run on these rows, or None for what `start` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If parts are missing, or do not fit each other or the rows.
        """
        iteration = check_number("iteration", state["iteration"], int)
        seconds = check_number("seconds", state["seconds"], float)
        if iteration == 0:
            return None
        if arrays.keys() != {"centers", "labels", "inertias", "changes"}:
            raise ValueError(f"it holds the arrays {shown(sorted(arrays))}")
        shape = (n_clusters, X.n_columns)
        labels = check_array("labels", arrays["labels"], (X.n_rows,), np.int32, 0)
        if (labels >= n_clusters).any():
            raise ValueError("labels holds values out of range")
        inertias = check_array("inertias", arrays["inertias"], (iteration,), np.float64, 0)
        changes = check_array("changes", arrays["changes"], (iteration,), np.int64, 0)
        return KMeansSnapshot(
            iteration=iteration,
            seconds=seconds,
            centers=check_array("centers", arrays["centers"], shape, X.dtype),
            labels=labels,
            inertias=tuple(inertias.tolist()),
            changes=tuple(changes.tolist()),
        )


class _Settled(KeyboardInterrupt):
    """Ends a resumed fit whose first iteration, with what came before, is the last one."""


@dataclass(frozen=True)
class KMeansResult:
    """The result of a fit.

    Attributes
    ----------
    model : KMeans
        Fitted, with the histories and the number of iterations of all its parts.
    snapshot : KMeansSnapshot or None
        The last finished iteration, if there is anything left to resume.
    reason : str
        Why the fit stopped, as a sentence's end.
    converged, interrupted : bool
    seconds : float
        Time of all parts, seeding included.
    """

    model: KMeans
    snapshot: KMeansSnapshot | None
    reason: str
    converged: bool
    interrupted: bool
    seconds: float


class Fitting:
    """Follows a fit iteration by iteration, and keeps the last of them.

    Parameters
    ----------
    before : KMeansSnapshot or None
        State to resume from.
    max_iter : int
        Maximum number of iterations, those of `before` included.
    tol_inertia : float or None
        As in `KMeans`.
    hierarchical : bool
        Whether the fit has levels, after which it makes a single iteration.
    save : callable
        Writes a `KMeansSnapshot` to the disk.
    progress : Silent
        What is shown.
    """

    def __init__(
        self,
        before: KMeansSnapshot | None,
        max_iter: int,
        tol_inertia: float | None,
        hierarchical: bool,
        save: Callable[[KMeansSnapshot], None],
        progress: Silent,
        interrupts: Interrupts,
    ) -> None:
        self.before = before
        self.snapshot = before
        self.final = False
        self.reason = f"reached --max-iter {max_iter}"
        self._max_iter = max_iter
        self._tol_inertia = tol_inertia
        self._hierarchical = hierarchical
        self._slow = False
        self._saver = Saver(save)
        self._on_disk = before
        self._progress = progress
        self._interrupts = interrupts
        self._outlook = Outlook(1 if hierarchical else max_iter)
        self._start = perf_counter()

    def seconds(self) -> float:
        """Return the time of all parts of the fit."""
        return perf_counter() - self._start + (self.before.seconds if self.before else 0.0)

    def step(self, state: Iteration) -> None:
        """Take note of a finished iteration; this is the fit's callback."""
        with self._interrupts.shield():
            self._take(state)
        self._interrupts.check()
        stops = state.n_changed == 0 or state.center_shift <= state.tol
        if self.before and self.final and state.iteration == 1 and not stops:
            raise _Settled

    def _take(self, state: Iteration) -> None:
        done = self.before.iteration if self.before else 0
        n_changed = int(state.n_changed)
        if self.before and state.iteration == 1:
            # The fit cannot know the labels before its first iteration, the checkpoint does.
            labels = np.asarray(on_host(state.labels))
            n_changed = int(np.count_nonzero(labels != self.before.labels))
        iteration = done + state.iteration
        self._outlook.add(iteration, n_changed, state.center_shift, state.tol)
        share = percent(n_changed / len(state.labels))
        self._progress.step(
            f"inertia {real(state.inertia)}, {count(n_changed)} labels changed ({share})",
            self._outlook,
        )
        past = self.snapshot
        self.snapshot = KMeansSnapshot(
            iteration,
            self.seconds(),
            on_host(state.centers).copy(),
            np.array(on_host(state.labels)),
            (*(past.inertias if past else ()), float(state.inertia)),
            (*(past.changes if past else ()), n_changed),
        )
        if self._hierarchical:
            self.final, self.reason = True, "a fit with --levels ends with one iteration"
        elif n_changed == 0:
            self.final, self.reason = True, "no label changed any more"
        elif state.center_shift <= state.tol:
            self.final, self.reason = True, "the centroids moved less than --tol"
        elif stagnates(self.snapshot.inertias, self._tol_inertia):
            self.final, self.reason = True, "inertia fell by no more than --tol-inertia"
        elif not self._slow and _is_slow(self.snapshot.inertias):
            self._slow = True
            self._progress.note(SLOW)
        if self.final or iteration == self._max_iter:
            # From here a run that is killed while it writes its results redoes the last iteration.
            if past is None or past is not self._on_disk:
                self._saver.write(past or KMeansSnapshot.start(), last=True)
        elif self._saver.due():
            self._saver.write(self.snapshot)
            self._on_disk = self.snapshot


def _is_slow(inertias: tuple[float, ...]) -> bool:
    """Return whether inertia has changed very little in the last ten iterations."""
    if len(inertias) <= SLOW_ITERATIONS:
        return False
    before, now = inertias[-1 - SLOW_ITERATIONS], inertias[-1]
    return abs(before - now) < SLOW_CHANGE * before


def fit(
    X: Source,
    sample_weight: Array | None,
    parameters: dict[str, Any],
    engine: Engine | None,
    before: KMeansSnapshot | None,
    save: Callable[[KMeansSnapshot], None],
    progress: Silent,
    interrupts: Interrupts,
) -> KMeansResult | None:
    """Fit `KMeans(**parameters)`, or resume from `before` with the result of one whole fit.

    Parameters
    ----------
    X : Source of shape (N, D)
    sample_weight : ndarray of shape (N,) or None
    parameters : dict
        Parameters of the estimator.
    engine : Engine or None
        Processes that have the rows between them.
    before : KMeansSnapshot or None
        A finished iteration to resume from.
    save : callable
        Writes a `KMeansSnapshot` to the disk; called at most every second, and after an interrupt.
    progress : Silent
    interrupts : Interrupts

    Returns
    -------
    KMeansResult or None
        None if it was interrupted before any iteration was finished.
    """
    max_iter = parameters["max_iter"]
    model = KMeans(**parameters)
    if before is not None:
        model.set_params(init=before.centers, max_iter=max_iter - before.iteration)
    watch = Fitting(
        before=before,
        max_iter=max_iter,
        tol_inertia=parameters["tol_inertia"],
        hierarchical=parameters["levels"] is not None,
        save=save,
        progress=progress,
        interrupts=interrupts,
    )
    interrupted = False
    try:
        progress.begin("Going on" if before else "Choosing the first centroids")
        model.fit(
            X,
            sample_weight=sample_weight,
            engine=engine,
            callback=watch.step,
            seeding_callback=progress.seeding,
        )
    except KeyboardInterrupt as stop:
        interrupted = not isinstance(stop, _Settled) and not watch.final
    except EngineError as error:
        if watch.snapshot is None:
            raise
        if not watch.final and watch.snapshot.iteration < max_iter:
            save(watch.snapshot)
        raise engines.resumable(error) from error
    snapshot = watch.snapshot
    if snapshot is None:
        return None
    ended = watch.final or snapshot.iteration == max_iter
    interrupted = interrupted and not ended
    seconds = watch.seconds()
    with interrupts.shield():
        if not hasattr(model, "cluster_centers_"):
            return None
        if not ended:
            save(snapshot)
        elif not hasattr(model, "labels_"):  # Ctrl-C in the very last pass, that labels the rows
            model.labels_ = model.predict(X)
            model.cluster_sizes_ = np.bincount(model.labels_, minlength=model.n_clusters)
            model.inertia_ = -model.score(X, sample_weight=sample_weight)
        if engine is not None and hasattr(model, "labels_"):
            model.labels_ = model.predict(X, engine=engine)
        model.set_params(init=parameters["init"], max_iter=max_iter)
        model.n_iter_ = snapshot.iteration
        model.inertia_history_ = np.array(snapshot.inertias)
        model.n_changed_history_ = np.array(snapshot.changes, dtype=np.int64)
    return KMeansResult(
        model=model,
        snapshot=None if watch.final else snapshot,
        reason="interrupted" if interrupted else watch.reason,
        converged=watch.final and parameters["levels"] is None,
        interrupted=interrupted,
        seconds=seconds,
    )

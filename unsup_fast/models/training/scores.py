"""Scores of a training run: a judge's numbers in `scores.csv`, and the best weights so far."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.nn import Module

from unsup_fast.models.training import metrics_log
from unsup_fast.models.training.state import State
from unsup_fast.storage import tensors as files

FILE = "best.safetensors"
KIND = "best weights of a training"
GOALS = ("min", "max")

Judge = Callable[[State], Mapping[str, float]]


class Scores:
    """The open scores of a run.

    Parameters
    ----------
    folder : Path
    log : metrics_log.Log
        Open `scores.csv`.
    judge : callable (state) -> mapping of str to float
    best : (name, {"min", "max"}), optional
        The score by which weights are the best.
    resumed : bool
        Whether scores were written before: the best weights are those of this training.
    """

    def __init__(
        self,
        folder: Path,
        log: metrics_log.Log,
        judge: Judge,
        best: tuple[str, str] | None,
        *,
        resumed: bool,
    ) -> None:
        self.log, self._folder, self._judge, self._best = log, folder, judge, best
        self._record, path = math.inf, folder / FILE
        if not resumed:
            path.unlink(missing_ok=True)
        elif best is not None and path.exists():
            self._record = self._loss(files.read_note(path, kind=KIND)["scores"])

    def add(self, state: State) -> None:
        """Judge a state; write its scores, and its weights if they are the best.

        Raises
        ------
        OSError
            If a file cannot be written.
        ValueError
            If the scores have other names than those before, or lack the one to be best by.
        """
        try:
            scores = {name: float(value) for name, value in self._judge(state).items()}
        except Exception as error:  # hours of training are worth more than a score
            warnings.warn(
                f"judging step {state.step} failed, and training goes on: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        self.log.add(state.step, state.seconds, scores)
        if self._best is None:
            return
        if self._best[0] not in scores:
            if self._best[0] in self.log.names:
                return  # not measured this time
            raise ValueError(f"best={self._best!r}, and the judge gave the scores {list(scores)}")
        loss = self._loss(scores)
        if loss < self._record:
            self._record = loss
            modules = {**state.networks, **state.ema}
            weights = {
                f"{name}.{key}": value
                for name, module in modules.items()
                for key, value in module.state_dict().items()
            }
            finite = {name: value for name, value in scores.items() if math.isfinite(value)}
            note = {"step": state.step, "scores": finite}
            files.write(self._folder / FILE, weights, note, kind=KIND, what="the best weights")

    def _loss(self, scores: Mapping[str, Any]) -> float:
        """Return a number that is less for better scores, and infinite for none."""
        assert self._best is not None
        name, goal = self._best
        score = scores.get(name)
        if score is None or not math.isfinite(score):
            return math.inf
        return float(score if goal == "min" else -score)


@contextmanager
def opened(
    folder: Path,
    mark: Mapping[str, Any] | None,
    judge: Judge,
    best: tuple[str, str] | None,
) -> Iterator[Scores]:
    """Open a run's scores to append rows; `mark` and errors are those of `metrics_log.opened`."""
    path = folder / metrics_log.SCORES
    with metrics_log.opened(path, mark if path.exists() else None, "scores") as log:
        yield Scores(folder, log, judge, best, resumed=mark is not None)


def check_best(best: tuple[str, str] | None, judge: Judge | None) -> None:
    """Raise ValueError unless `best` names a score and a goal, and there is a judge."""
    if best is None:
        return
    if judge is None:
        raise ValueError(f"best={best!r} needs the scores of a judge; pass judge as well")
    if len(best) != 2 or best[1] not in GOALS:
        raise ValueError(f'best={best!r} must be the name of a score and "min" or "max"')


def load_best(folder: str | os.PathLike[str], networks: Mapping[str, Module]) -> dict[str, Any]:
    """Copy the best weights of a run into networks; return their step and scores.

    Parameters
    ----------
    folder : path
        Folder of the run.
    networks : mapping of str to torch.nn.Module
        Some or all of the run's networks, by their names. Weights are averaged ones where the run
        averages.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, or its weights are those of other networks.
    """
    path = Path(folder) / FILE
    tensors, note = files.read(path, kind=KIND, torch=True)
    for name, network in networks.items():
        own = {key: value.shape for key, value in tensors.items() if key.startswith(f"{name}.")}
        if own != {f"{name}.{key}": value.shape for key, value in network.state_dict().items()}:
            raise ValueError(f"{path} does not hold weights of network {name!r}")
    for name, network in networks.items():
        network.load_state_dict({key: tensors[f"{name}.{key}"] for key in network.state_dict()})
    return note

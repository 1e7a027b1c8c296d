"""What distillation costs in quality: student and teacher at few and at many steps."""

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from unsup_fast.metrics import Judge
from unsup_fast.models.base import CUSTOM
from unsup_fast.models.diffusion._examples import Examples
from unsup_fast.models.diffusion.model import STUDENTS, Diffusion, student_steps
from unsup_fast.models.training.data import to_float
from unsup_fast.models.training.progress import Report
from unsup_fast.storage import records

FILE = "distilled.json"
KIND = "comparison of a student with its teacher"
STEPS = (1, 2, 4, 8, 20, 50)
TEACHER_SAMPLER = "ddim"


class Quality(NamedTuple):
    """How good samples of a model are, at a number of steps.

    Attributes
    ----------
    steps : int
    distance : float
        Of `unsup_fast.metrics.Judge`, to the real data.
    accuracy : float or None
        Share that the judge reads as the requested class; None without classes.
    images_per_second : float
        Samples a second, from noise on.
    """

    steps: int
    distance: float
    accuracy: float | None
    images_per_second: float


def compare(
    teacher: Diffusion,
    folder: str | os.PathLike[str],
    data: Tensor | npt.NDArray[Any],
    *,
    labels: Tensor | npt.ArrayLike | None = None,
    guidance: float | None = None,
    n_samples: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int, float], object] | None = None,
) -> dict[str, Any]:
    """Measure a student and its teacher at 1, 2, 4, 8, 20 and 50 steps; write `distilled.json`.

    Students of "progressive" are measured at the steps that they were trained for. The teacher
    samples by DDIM; both are asked for all classes evenly often.

    Parameters
    ----------
    teacher : Diffusion
    folder : path
        Of the student, as `distill` wrote it.
    data, labels
        What both were trained on; see `distill`.
    guidance : float, optional
        Weight of the teacher's guidance, and of the student's that takes it as an input.
    n_samples : int
        Samples at each number of steps.
    seed : int
    progress : callable (calls of a network, all of them, seconds left), optional

    Returns
    -------
    dict
        What the file holds: "student" and "teacher" with a list of `Quality` as dicts each, "real"
        with the distance and accuracy of held-out data, "n_samples" and "guidance".
    """
    folder = Path(folder)
    examples = Examples(data, labels, teacher.config, label_dropout=0.0, flip=False)
    judge = Judge(to_float(examples.samples).numpy(), examples.classes, seed=seed)
    n_classes = len(teacher.config.classes)
    asked = np.arange(n_samples) % n_classes if n_classes else None
    students = list(_students(folder, teacher))
    report = _Calls(progress, sum(k for k, _ in students) + sum(_teacher_steps(teacher)))

    def measure(model: Diffusion, steps: int, sampler: str, weight: float | None) -> Quality:
        def draw(progress: bool | Report) -> Tensor:
            samples = model.sample(
                n_samples,
                sampler=sampler,
                steps=steps,
                label=None if asked is None else asked.tolist(),
                guidance=weight,
                seed=seed,
                progress=progress,
            )
            return samples.cpu()  # which waits for a GPU

        shown = report.of(steps)
        if model.device.type == "cuda":
            draw(False)  # captures the graph, which is not timed
            shown = False
        begun = perf_counter()
        samples = draw(shown)
        took = perf_counter() - begun
        accuracy = None if asked is None else judge.accuracy(samples, asked)
        return Quality(steps, judge.distance(samples), accuracy, n_samples / took)

    of_student = [
        measure(
            student,
            steps,
            student.config.sampler,
            None if student.config.guidance is None else guidance,
        )
        for steps, student in students
    ]
    of_teacher = [
        measure(teacher, steps, TEACHER_SAMPLER, guidance) for steps in _teacher_steps(teacher)
    ]
    result: dict[str, Any] = {
        "student": [quality._asdict() for quality in of_student],
        "teacher": [quality._asdict() for quality in of_teacher],
        "real": {"distance": judge.real_distance, "accuracy": judge.real_accuracy},
        "n_samples": n_samples,
        "guidance": guidance,
    }
    records.write(folder / FILE, result, kind=KIND, what="the comparison")
    return result


def _teacher_steps(teacher: Diffusion) -> list[int]:
    return [steps for steps in STEPS if steps <= teacher.config.n_timesteps]


def _students(folder: Path, teacher: Diffusion) -> Iterator[tuple[int, Diffusion]]:
    """Yield the numbers of steps, and the student that takes them.

    Raises
    ------
    OSError, ValueError
        If there is no student, or a file is damaged.
    """

    def load(path: Path) -> Diffusion:
        custom = teacher.config.network == CUSTOM
        network = deepcopy(teacher.network) if custom else None
        return Diffusion.load(path, device=teacher.device, network=network)

    own = student_steps(folder)
    if own:
        for steps in own:
            yield steps, load(folder / STUDENTS / str(steps))
        return
    student = load(folder)
    for steps in _teacher_steps(teacher):
        yield steps, student


class _Calls:
    """Progress over the calls of networks in several samplings.

    Parameters
    ----------
    progress : callable (calls, all of them, seconds left), or None
    n_calls : int
    """

    def __init__(self, progress: Callable[[int, int, float], object] | None, n_calls: int) -> None:
        self._progress, self._n_calls = progress, n_calls
        self._done, self._begun = 0, monotonic()

    def of(self, steps: int) -> bool | Report:
        """Return the `progress` argument of the next sampling, of so many steps."""
        before, self._done, progress = self._done, self._done + steps, self._progress
        if progress is None:
            return False

        def shown(done: int, rows: int, left: float) -> None:
            calls = before + steps * done / rows
            pace = (monotonic() - self._begun) / calls
            progress(int(calls), self._n_calls, pace * (self._n_calls - calls))

        return shown

"""The report of a distillation: samples are drawn for it here."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, results
from unsup_fast.cli.diffusion import latents, models
from unsup_fast.cli.training import folder
from unsup_fast.report.diffusion import network_name
from unsup_fast.report.distillation import Distillation, Strip, distillation
from unsup_fast.storage import records

SHOWN, TEACHER_STEPS = 10, 50
SEED = 1  # another one than that of the grids


def write_report(
    run: Path, model: Any, teacher: Any, summary: Mapping[str, Any], title: str | None
) -> None:
    """Write `report.html`."""
    data, parameters = summary["data"], summary["parameters"]
    name = Path(data["file"]).name
    steps = ", ".join(map(str, parameters["steps"]))
    page = distillation(
        Distillation(
            title=title or f"{name} in {steps} steps",
            data_name=name,
            folder=str(run),
            summary=summary,
            metrics=run / files.METRICS,
            grids=folder.grids(run),
            network=network_name(model.config.network, model.config.size),
            steps=model.config.steps,
            comparison=_comparison(run),
            strips=list(_strips(run, model, teacher, parameters)),
            names=model.config.classes[:SHOWN],
        )
    )
    results.write_text(run / files.REPORT, page)


def weight_of(guidance: Sequence[float] | None) -> float | None:
    """Return the weight that the teacher is compared at: the middle of a range."""
    return None if guidance is None else (guidance[0] + guidance[-1]) / 2


def _comparison(run: Path) -> Mapping[str, Any] | None:
    """Return what `distilled.json` holds, or None if there is none."""
    from unsup_fast.models.diffusion.distillation.quality import KIND

    path = run / files.COMPARISON
    return records.read(path, kind=KIND) if path.exists() else None


def _strips(run: Path, model: Any, teacher: Any, parameters: Mapping[str, Any]) -> Iterator[Strip]:
    """Yield samples of one seed by the student at its numbers of steps, and by the teacher."""
    from unsup_fast.models.diffusion.distillation.quality import TEACHER_SAMPLER
    from unsup_fast.models.diffusion.model import student_steps

    finished = student_steps(run)
    wanted = [k for k in parameters["steps"] if not finished or k in finished]
    for steps in wanted if parameters["method"] != "progressive" or finished else ():
        student = models.load(run, model.device, steps) if finished else model
        yield Strip("student", steps, _samples(student, steps=steps))
    steps = min(TEACHER_STEPS, teacher.config.n_timesteps)
    weight = weight_of(parameters["guidance"])
    yield Strip(
        "teacher",
        steps,
        _samples(teacher, steps=steps, sampler=TEACHER_SAMPLER, guidance=weight),
    )


def _samples(
    model: Any, *, steps: int, sampler: str | None = None, guidance: float | None = None
) -> Any:
    """Return samples of one seed, a class each, uint8 [n, H, W, C]."""
    n = min(SHOWN, len(model.config.classes)) or SHOWN
    samples = model.sample(
        n,
        sampler=sampler,
        steps=steps,
        label=list(range(n)) if model.config.classes else None,
        guidance=guidance,
        seed=SEED,
        progress=False,
    )
    shown = latents.shown(model.config, samples)
    return np.moveaxis(np.asarray(pictures.to_bytes(shown)), 1, -1)

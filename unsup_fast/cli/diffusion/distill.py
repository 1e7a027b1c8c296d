"""`unsup-fast diffusion distill`: a student of few steps from a trained model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast.cli import files
from unsup_fast.cli.diffusion import distill_data, distill_pages, latents, models
from unsup_fast.cli.diffusion.distill_settings import TEACHER_STEPS, DistillSettings
from unsup_fast.cli.diffusion.family import DiffusionRun
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import run as training
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.family import Job, Plan
from unsup_fast.cli.training.options import LoopSettings
from unsup_fast.cli.training.samples import grid
from unsup_fast.report.numbers import count, counted

if TYPE_CHECKING:
    from unsup_fast.models.diffusion import Config, Diffusion

LEAST_PICTURES = 10  # of which a fifth is held out from the comparison


class DistillFamily(DiffusionRun):
    """Students of a model; see `unsup_fast.cli.training.family.Family`.

    Parameters
    ----------
    settings : DistillSettings
    """

    command = "diffusion distill"
    noun = "a student"

    def __init__(self, settings: DistillSettings) -> None:
        self._settings = settings

    @cached_property
    def teacher(self) -> "Diffusion":
        """The model that is distilled; raises UserError if there is none."""
        model: Diffusion = models.load(self._settings.teacher, device_of(self._settings.device))
        return model

    def read(self, settings: DistillSettings, progress: Silent) -> Data:
        """Return the pictures, their classes numbered as the teacher's."""
        progress.begin("Loading the teacher")
        dataset = distill_data.read(settings, self.teacher.config, progress)
        if settings.samples and len(dataset.pixels) < LEAST_PICTURES:
            raise UserError(
                f"--samples {settings.samples}: comparing needs {LEAST_PICTURES} pictures, and "
                f"there are {len(dataset.pixels)}; pass --samples 0"
            )
        if settings.samples and dataset.labels is not None and np.ptp(dataset.labels) == 0:
            raise UserError(
                f"--samples {settings.samples}: comparing needs pictures of two classes, and all "
                "are of one; pass --samples 0"
            )
        return dataset

    def plan(self, settings: DistillSettings, data: Data) -> Plan:
        """Return the configuration and the network of the student, without weights."""
        import torch

        from unsup_fast.models import diffusion
        from unsup_fast.models.diffusion.distillation.run import fingerprint

        config = self.teacher.config
        _check_teacher(settings, config)
        if settings.guidance is not None and len(settings.guidance) > 1:
            low, high = settings.guidance
            config = replace(config, guidance=(low, high))
        with torch.device("meta"):
            network = diffusion.Diffusion.build(config).network
        steps = " or ".join(map(str, settings.steps))
        return Plan(
            config=config,
            network=network,
            about=f"{settings.method} to {steps} steps of {config.network} {config.size}, "
            f"{config.objective}",
            sources={"teacher": fingerprint(self.teacher)},
        )

    def train(
        self,
        job: Job,
        *,
        progress: Callable[[Any, Mapping[str, float], float], bool],
        on_sample: Callable[[Any, int], None],
    ) -> Any:
        """Distill, or resume, in the folder of the job, and return the student."""
        from unsup_fast.models import diffusion

        settings = self._settings
        guidance = settings.guidance
        return diffusion.distill(
            self.teacher,
            job.data.pixels,
            settings.out,
            method=settings.method,
            steps=settings.steps,
            options=job.config,
            labels=job.data.labels,
            guidance=guidance[0] if guidance is not None and len(guidance) == 1 else guidance,
            teacher_steps=settings.teacher_steps or TEACHER_STEPS,
            n_samples=0,  # `complete` compares
            label_dropout=settings.label_dropout,
            flip=settings.flip,
            precision=settings.precision,
            device=job.device,
            progress=progress,
            on_sample=on_sample,
        )

    def stage(self, job: Job, step: int) -> str:
        """Return the student that is trained at a step, and which stage that is."""
        from unsup_fast.models.diffusion.distillation.consistency import N_STAGES
        from unsup_fast.models.diffusion.distillation.stages import halvings, staged

        settings, steps = self._settings, job.config.steps
        if settings.method == "progressive":
            chain = halvings(settings.teacher_steps or TEACHER_STEPS, settings.steps)
            stage = staged(job.config, len(chain)).stage(min(step, steps - 1))
            return f"student of {counted(chain[stage], 'step')}, stage {stage + 1} of {len(chain)}"
        if settings.method == "tune":
            stage = min(N_STAGES * step // steps, N_STAGES - 1)
            return f"stage {stage + 1} of {N_STAGES}"
        return ""

    def lacks(self, job: Job) -> str:
        """Return "the comparison" if it is wanted and missing, and there is a student for it."""
        settings = self._settings
        done = (settings.out / files.COMPARISON).exists() or not settings.samples
        early = settings.method == "progressive" and not RunFolder(settings.out).students()
        return "" if done or early else "the comparison"

    def complete(self, job: Job, progress: Silent) -> None:
        """Compare student and teacher."""
        from unsup_fast.models import diffusion

        def show(calls: int, total: int, left: float) -> None:
            share = calls / total
            head = f"{count(calls)} of {counted(total, 'call')} of a network"
            progress.moved(head, "comparing student and teacher", share, left)

        progress.begin("Comparing student and teacher")
        diffusion.compare(
            self.teacher,
            self._settings.out,
            job.data.pixels,
            labels=job.data.labels,
            guidance=distill_pages.weight_of(self._settings.guidance),
            n_samples=self._settings.samples,
            seed=self._settings.seed,
            progress=show,
        )

    def samples(self, model: Any, seed: int) -> tuple[Any, int]:
        """Return pictures by the student's own sampler, and the columns of their grid."""
        images, columns = grid(model, seed, progress=False)
        return latents.shown(model.config, images), columns

    def sampling_command(self, settings: LoopSettings) -> tuple[str, ...]:
        """Return the command line that samples from the student."""
        command = ("unsup-fast", "diffusion", "sample", str(settings.out))
        steps = str(self._settings.steps[-1])
        out = "latents.npz" if latents.are_latents(self.teacher.config) else "grid.png"
        return (*command, "--steps", steps, "-n", "64", "-o", out)

    def write_report(self, job: Job, model: Any, summary: Mapping[str, Any]) -> None:
        """Write `report.html`."""
        settings = job.settings
        distill_pages.write_report(settings.out, model, self.teacher, summary, settings.title)


def _check_teacher(settings: DistillSettings, config: "Config") -> None:
    """Refuse a model that cannot be distilled so.

    Raises
    ------
    UserError
        With the option to change.
    """
    from unsup_fast.models.diffusion.distillation import consistency, progressive
    from unsup_fast.models.diffusion.distillation.stages import halvings

    first, most = settings.teacher_steps or TEACHER_STEPS, config.n_timesteps
    if config.guidance is not None:
        raise UserError(
            f"{settings.teacher}: is itself a student that takes the guidance weight as an input; "
            "name its teacher"
        )
    if settings.guidance is not None and not config.classes:
        raise UserError(f"--guidance: the model of {settings.teacher} has no classes; leave it out")
    if settings.method != "progressive" and config.objective == "sample":
        raise UserError(
            f"--method {settings.method}: a model that was trained with --objective sample is no "
            "consistency model; pass --method progressive"
        )
    if settings.method == "progressive" and first > most:
        raise UserError(
            f"--teacher-steps {first}: the model has {count(most)} levels; pass at most as many"
        )
    if settings.steps[-1] > most:
        raise UserError(
            f"--steps {settings.steps[-1]}: the model has {count(most)} levels; pass fewer steps"
        )
    with named(settings.teacher):  # its noise at the highest level may say nothing of the image
        if settings.method == "progressive":
            for steps in halvings(first, settings.steps):
                progressive.halving(config, steps)
        else:
            consistency.trajectory(config)


def run(settings: DistillSettings) -> int:
    """Run `unsup-fast diffusion distill` and return its exit status."""
    read = [*RunFolder(settings.teacher).inputs(), *distill_data.inputs(settings)]
    RunFolder(settings.out).check_inputs(read)
    return training.run(DistillFamily(settings), settings)

"""Diffusion models, as the shared commands of training ask for them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsup_fast.cli.diffusion import latents, models, pages
from unsup_fast.cli.diffusion.settings import TrainSettings
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.family import Family, Job, Plan
from unsup_fast.cli.training.run import run
from unsup_fast.cli.training.samples import grid

if TYPE_CHECKING:
    import torch


class DiffusionRun(Family):
    """What families of diffusion models share."""

    def step_bytes(self, plan: Plan, shape: tuple[int, int, int]) -> int:
        """Return the bytes of the activations of a picture."""
        import torch

        from unsup_fast.models.diffusion._memory import sample_bytes

        return sample_bytes(plan.network, shape, torch.device("meta"))

    def load(self, run: Path, device: "torch.device") -> Any:
        """Return the model of a run."""
        return models.load(run, device)


class DiffusionFamily(DiffusionRun):
    """See `unsup_fast.cli.training.family.Family`."""

    command = "diffusion train"
    noun = "a diffusion model"
    reads_latents = True

    def plan(self, settings: TrainSettings, data: Data) -> Plan:
        """Return the configuration and the network, without weights."""
        import torch

        from unsup_fast.models import diffusion

        config = diffusion.Config(
            data.shape,
            classes=data.classes,
            network=settings.network,
            size=settings.model_size,
            patch=settings.patch,
            dropout=settings.dropout,
            objective=settings.objective,
            schedule=settings.schedule,
            clip=None if data.are_latents else 1.0,
        )
        with torch.device("meta"):
            network = diffusion.Diffusion.build(config).network
        about = f"{settings.network} {settings.model_size}, {settings.objective}"
        return Plan(config=config, network=network, about=about)

    def train(
        self,
        job: Job,
        *,
        progress: Callable[[Any, Mapping[str, float], float], bool],
        on_sample: Callable[[Any, int], None],
    ) -> Any:
        """Train, or resume, in the folder of the job, and return the model."""
        from unsup_fast.models import diffusion

        settings = job.settings
        assert isinstance(settings, TrainSettings)
        return diffusion.train(
            job.data.pixels,
            settings.out,
            config=job.plan.config,
            options=job.config,
            labels=job.data.labels,
            label_dropout=settings.label_dropout,
            flip=settings.flip,
            precision=settings.precision,
            device=job.device,
            progress=progress,
            on_sample=on_sample,
        )

    def samples(self, model: Any, seed: int) -> tuple[Any, int]:
        """Return pictures, those of a class in a row, and the columns of their grid."""
        steps = min(pages.STEPS, model.config.n_timesteps)
        images, columns = grid(model, seed, sampler=pages.SAMPLER, steps=steps, progress=False)
        return latents.shown(model.config, images), columns

    def write_report(self, job: Job, model: Any, summary: Mapping[str, Any]) -> None:
        """Write `report.html`."""
        pages.write_report(job.settings.out, model, summary, job.settings.title)


FAMILY = DiffusionFamily()


def train(settings: TrainSettings) -> int:
    """Run `unsup-fast diffusion train` and return its exit status."""
    return run(FAMILY, settings)

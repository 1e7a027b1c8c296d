"""Variational autoencoders, as the shared commands of training ask for them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.family import Family, Job, Plan
from unsup_fast.cli.training.samples import grid
from unsup_fast.cli.vae import models, pages
from unsup_fast.cli.vae.settings import TrainSettings
from unsup_fast.report.numbers import counted

if TYPE_CHECKING:
    import torch

    from unsup_fast.models import vae


class VAEFamily(Family):
    """See `unsup_fast.cli.training.family.Family`."""

    command = "vae train"
    noun = "a variational autoencoder"

    def plan(self, settings: TrainSettings, data: Data) -> Plan:
        """Return the configuration and the network, without weights."""
        import torch

        from unsup_fast.models import vae

        config = vae.Config(
            data.shape,
            classes=data.classes,
            network=settings.network,
            size=settings.model_size,
            latent=settings.latent,
            likelihood=settings.likelihood,
        )
        with torch.device("meta"):
            network = vae.VAE.build(config).network
        sources = {}
        if settings.start is not None:
            _start(settings.start, config, torch.device("cpu"))
            sources = models.start_source(settings.start)
        about = (
            f"{settings.network} {settings.model_size}, {counted(settings.latent, 'latent')}, "
            f"{settings.likelihood}"
        )
        return Plan(config=config, network=network, about=about, sources=sources)

    def step_bytes(self, plan: Plan, shape: tuple[int, int, int]) -> int:
        """Return the bytes of the activations of a picture."""
        import torch

        from unsup_fast.models.training.memory import activation_bytes

        x = torch.zeros(1, *shape, device="meta")
        label = torch.zeros(1, dtype=torch.long, device="meta") if plan.config.classes else None
        network: Any = plan.network

        def call() -> None:
            mean, _ = network.encode(x, label).chunk(2, dim=1)  # [1, Z]
            network.decode(mean, label)

        return activation_bytes(plan.network, call)

    def train(
        self,
        job: Job,
        *,
        progress: Callable[[Any, Mapping[str, float], float], bool],
        on_sample: Callable[[Any, int], None],
    ) -> Any:
        """Train, or resume, in the folder of the job, and return the model."""
        from unsup_fast.models import vae

        settings = job.settings
        assert isinstance(settings, TrainSettings)
        start = None
        if settings.start is not None and not settings.resume:
            start = _start(settings.start, job.plan.config, job.device)
        return vae.train(
            job.data.pixels,
            settings.out,
            config=job.plan.config,
            options=job.config,
            labels=job.data.labels,
            start=start,
            beta=settings.beta,
            beta_warmup=settings.beta_warmup,
            free_bits=settings.free_bits,
            importance_samples=settings.importance_samples,
            flip=settings.flip,
            precision=settings.precision,
            device=job.device,
            progress=progress,
            on_sample=on_sample,
        )

    def load(self, run: Path, device: "torch.device") -> Any:
        """Return the model of a run."""
        return models.load(run, device)

    def samples(self, model: Any, seed: int) -> tuple[Any, int]:
        """Return pictures, those of a class in a row, and the columns of their grid."""
        return grid(model, seed)

    def write_report(self, job: Job, model: Any, summary: Mapping[str, Any]) -> None:
        """Write `report.html`."""
        pages.write_report(job, model, summary)


def _start(run: Path, config: "vae.Config", device: "torch.device") -> "vae.VAE":
    """Return the model that training begins with.

    Raises
    ------
    UserError
        If there is none, or it has another configuration.
    """
    model = models.load(run, device)
    if model.config != config:
        was = model.config
        classes = counted(len(was.classes), "class").replace("classs", "classes")
        raise UserError(
            f"--start {run}: its model is another one ({was.network} {was.size}, "
            f"{counted(was.latent, 'latent')}, {was.likelihood}, shape {was.shape}, {classes}); "
            "pass the options and pictures that it was trained with"
        )
    return model

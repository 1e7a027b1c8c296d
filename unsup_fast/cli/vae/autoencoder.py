"""KL autoencoders, as the shared commands of training ask for them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, results
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.data import Data, some
from unsup_fast.cli.training.family import Job, Plan
from unsup_fast.cli.training.options import LoopSettings
from unsup_fast.cli.training.pairs import in_pairs, psnr
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.family import VAEFamily
from unsup_fast.cli.vae.settings import TrainSettings
from unsup_fast.report.autoencoder import Run, autoencoder

if TYPE_CHECKING:
    import torch

    from unsup_fast.models.vae import AutoencoderKL, KLConfig

CHANNELS = {
    "tiny": (16, 32, 32),
    "small": (32, 64, 64),
    "base": (64, 128, 128),
    "large": (128, 256, 256),
}
"""Channels of the three levels, of each size; a latent is of 4 x 4 pixels."""
MULTIPLE = 4
COLUMNS, PAIRS = 8, 32  # of a grid
SHOWN = 12  # in the report


class AutoencoderFamily(VAEFamily):
    """See `unsup_fast.cli.training.family.Family`."""

    noun = "a KL autoencoder"

    def __init__(self) -> None:
        self._shown: Array = np.empty(0)
        self._critic: torch.nn.Module | None = None

    def read(self, settings: TrainSettings, progress: Silent) -> Data:
        """Return the pictures; some of them are for the grids."""
        dataset = super().read(settings, progress)
        rows = some(len(dataset.pixels), PAIRS, settings.seed)
        self._shown = dataset.pixels[rows]  # [P, C, H, W]
        return dataset

    def plan(self, settings: TrainSettings, data: Data) -> Plan:
        """Return the configuration and the network, without weights."""
        import torch

        from unsup_fast.models import vae
        from unsup_fast.models.networks.patch import PatchDiscriminator

        _, height, width = data.shape
        if height % MULTIPLE or width % MULTIPLE:
            raise UserError(
                f"--network kl: halves the sides twice, and pictures are {height} x {width}; pass "
                f"--size with multiples of {MULTIPLE}"
            )
        if settings.perceptual_weight:
            from unsup_fast.metrics import PerceptualDistance

            PerceptualDistance(device=torch.device("cpu"))  # raises now what training would
        config = vae.KLConfig(
            shape=data.shape,
            latent_channels=settings.latent_channels,
            block_out_channels=CHANNELS[settings.model_size],
        )
        with torch.device("meta"):
            network = vae.AutoencoderKL.build(config).network
            self._critic = PatchDiscriminator(data.shape) if settings.critic_weight else None
        sources = {}
        if settings.start is not None:
            _start(settings.start, config, torch.device("cpu"))
            sources = models.start_source(settings.start)
        latents = " x ".join(map(str, config.latent_shape))
        about = f"KL autoencoder {settings.model_size}, latents {latents}"
        return Plan(config=config, network=network, about=about, sources=sources)

    def step_bytes(self, plan: Plan, shape: tuple[int, int, int]) -> int:
        """Return the bytes of the activations of a picture."""
        import torch

        from unsup_fast.models.training.memory import activation_bytes

        network: Any = plan.network
        critic = self._critic
        x = torch.zeros(1, *shape, device="meta")
        own = activation_bytes(
            network, lambda: network.decode(network.encode(x).chunk(2, dim=1)[0])
        )
        return own if critic is None else own + activation_bytes(critic, lambda: critic(x))

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
        return vae.train_autoencoder(
            job.data.pixels,
            settings.out,
            config=job.plan.config,
            options=job.config,
            start=start,
            perceptual_weight=settings.perceptual_weight,
            kl_weight=settings.kl_weight,
            equivariance=settings.equivariance,
            critic_weight=settings.critic_weight,
            critic_start=settings.critic_start,
            flip=settings.flip,
            precision=settings.precision,
            device=job.device,
            progress=progress,
            on_sample=on_sample,
        )

    def load(self, run: Path, device: "torch.device") -> Any:
        """Return the model of a run."""
        return models.load_autoencoder(run, device)

    def samples(self, model: Any, seed: int) -> tuple[Any, int]:
        """Return rows of pictures, each above their reconstructions, and the columns."""
        rebuilt = np.asarray(pictures.to_bytes(model.reconstruct(self._shown)))
        return in_pairs(self._shown, rebuilt, COLUMNS), COLUMNS

    def write_report(self, job: Job, model: Any, summary: Mapping[str, Any]) -> None:
        """Write `report.html`."""
        run, name = job.settings.out, Path(job.data.content.name).name
        shown = self._shown[:SHOWN]
        rebuilt = np.asarray(pictures.to_bytes(model.reconstruct(shown)))
        latents = model.latents(shown).cpu().numpy()  # [n, Z, h, w]
        page = autoencoder(
            Run(
                title=job.settings.title or f"A KL autoencoder of {name}",
                data_name=name,
                folder=str(run),
                summary=summary,
                metrics=run / files.METRICS,
                grids=folder.grids(run),
                originals=np.moveaxis(shown, 1, -1),
                reconstructions=np.moveaxis(rebuilt, 1, -1),
                latents=latents,
                psnr=psnr(shown, rebuilt),
            )
        )
        results.write_text(run / files.REPORT, page)

    def sampling_command(self, settings: LoopSettings) -> tuple[str, ...]:
        """Return the command line that writes the latents of pictures."""
        data = "DATA" if settings.data is None else str(settings.data)
        return "unsup-fast", "vae", "encode", str(settings.out), data, "-o", "latents.npz"


def _start(run: Path, config: "KLConfig", device: "torch.device") -> "AutoencoderKL":
    """Return the model that training begins with.

    Raises
    ------
    UserError
        If there is none, or its layers are others.
    """
    model = models.load_autoencoder(run, device)
    was = model.config
    if (was.latent_channels, was.block_out_channels, was.shape[0]) != (
        config.latent_channels,
        config.block_out_channels,
        config.shape[0],
    ):
        raise UserError(
            f"--start {run}: its model has other layers ({was.latent_channels} latent channels, "
            f"blocks of {', '.join(map(str, was.block_out_channels))} channels, pictures of "
            f"{was.shape[0]}); pass the --latent-channels and --model-size that it was trained with"
        )
    return model

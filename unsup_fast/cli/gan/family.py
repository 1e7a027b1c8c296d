"""GANs, as the shared commands of training ask for them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.gan import models, pages
from unsup_fast.cli.gan.judge import SCORE, distance_judge
from unsup_fast.cli.gan.train_settings import TrainSettings
from unsup_fast.cli.samples import extractor
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import processes
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.family import Family, Job, Plan
from unsup_fast.cli.training.run import run
from unsup_fast.cli.training.samples import grid
from unsup_fast.report.numbers import counted

if TYPE_CHECKING:
    import torch

    from unsup_fast.models import gan, training

OF_LOOP = ("learning_rate", "decay", "ema")
"""Options of training whose default depends on the family or on the steps."""


class GANFamily(Family):
    """See `unsup_fast.cli.training.family.Family`."""

    command = "gan train"
    noun = "a GAN"
    figures = ("d_loss", "g_loss", "sign", "spread")

    def __init__(self) -> None:
        self._judge: Callable[[gan.GAN], Mapping[str, float]] | None = None

    def resolved(self, settings: TrainSettings, before: Mapping[str, Any] | None) -> TrainSettings:
        """Return the settings with the family's values for unset options.

        Of a run that is resumed they are those of the run: a default may depend on the steps.
        """
        config, recipe = self.train_config(settings), asdict(_recipe(settings))
        defaults = recipe | {name: getattr(config, name) for name in OF_LOOP}
        past = {} if before is None else before["parameters"]
        names = [field.name for field in fields(settings) if getattr(settings, field.name) is None]
        unset: dict[str, Any] = {
            name: past.get(name, defaults[name]) for name in names if name in defaults
        }
        return replace(settings, **unset)

    def train_config(self, settings: TrainSettings) -> "training.TrainConfig":
        """Return the options of the training loop."""
        from unsup_fast.models import gan

        loop = settings.loop_options() | {"judge_every": settings.judge_every}
        return gan.train_config(settings.family, steps=settings.n_steps, **loop)

    def plan(self, settings: TrainSettings, data: Data) -> Plan:
        """Return the configuration and both networks, without weights."""
        import torch

        from unsup_fast.models import gan
        from unsup_fast.models.gan.graphs import refusal
        from unsup_fast.models.gan.players import discriminator_of, generator_of
        from unsup_fast.models.networks.r3gan import LARGEST_START

        height, width = data.shape[1:]
        if height % 2 or width % 2 or max(height, width) <= LARGEST_START:
            raise UserError(
                f"{data.content.name}: its pictures are {height} x {width}, and the networks halve "
                f"the sides; pass --size with even sides above {LARGEST_START}"
            )
        config = gan.Config(
            data.shape,
            classes=data.classes,
            network=gan.NETWORKS[settings.family],
            size=settings.model_size,
            latent=settings.latent,
            conditioning=settings.conditioning,
        )
        recipe = _recipe(settings)
        if settings.graphs:
            device, shards = device_of(settings.device), settings.shards or 0
            reason = refusal(config, recipe, shards, device, processes.launched())
            if reason is not None:
                raise UserError(f"--graphs: does not go with {reason}; leave --graphs out")
        with torch.device("meta"):
            networks = {
                "generator": generator_of(config, 0),
                "discriminator": discriminator_of(config, recipe, 0),
            }
        compared = settings.on(str(device_of(settings.device)))
        if compared is not None:
            function, _ = extractor(compared, "features")
            self._judge = distance_judge(function, data, settings.judge_samples)
        return Plan(
            config=config,
            network=torch.nn.ModuleDict(networks),
            about=f"{settings.family} {settings.model_size}, {counted(settings.latent, 'latent')}, "
            f"{recipe.loss} loss",
            batches=recipe.n_critic,
        )

    def step_bytes(self, plan: Plan, shape: tuple[int, int, int]) -> int:
        """Return the bytes of the activations of a picture."""
        import torch

        from unsup_fast.models.training.memory import activation_bytes

        z = torch.zeros(1, plan.config.latent, device="meta")
        label = torch.zeros(1, dtype=torch.long, device="meta") if plan.config.classes else None
        networks: Any = plan.network

        def call() -> None:
            networks["discriminator"](networks["generator"](z, label), label)

        frozen = getattr(networks["discriminator"], "frozen", None)
        counted = [plan.network] if frozen is None else [plan.network, frozen]
        return activation_bytes(torch.nn.ModuleList(counted), call)

    def train(
        self,
        job: Job,
        *,
        progress: Callable[[Any, Mapping[str, float], float], bool],
        on_sample: Callable[[Any, int], None],
    ) -> Any:
        """Train, or resume, in the folder of the job, and return the model."""
        from unsup_fast.models import gan

        settings = job.settings
        assert isinstance(settings, TrainSettings)
        return gan.train(
            job.data.pixels,
            settings.out,
            config=job.plan.config,
            options=job.config,
            recipe=_recipe(settings),
            labels=job.data.labels,
            flip=settings.flip,
            precision=settings.precision,
            device=job.device,
            graphs=settings.graphs,
            progress=progress,
            on_sample=on_sample,
            judge=self._judge,
            best=None if self._judge is None else (SCORE, "min"),
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


def _recipe(settings: TrainSettings) -> "gan.Recipe":
    """Return the recipe of the family, with the parts that are set instead of its own."""
    from unsup_fast.models import gan

    names = [field.name for field in fields(gan.Recipe) if hasattr(settings, field.name)]
    parts = {name: getattr(settings, name) for name in names}
    recipe = replace(
        gan.FAMILIES[settings.family],
        **{name: value for name, value in parts.items() if value is not None},
    )
    if settings.blur_examples is None:  # at the end of a short training pictures are sharp, too
        examples = settings.n_steps * recipe.n_critic * settings.batch_size
        recipe = replace(recipe, blur_examples=max(1, min(recipe.blur_examples, examples // 2)))
    return recipe


def train(settings: TrainSettings) -> int:
    """Run `unsup-fast gan train` and return its exit status."""
    return run(GANFamily(), settings)

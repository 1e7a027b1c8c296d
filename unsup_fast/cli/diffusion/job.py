"""The job of a training: its options, checked, with the pictures."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from unsup_fast import _extras
from unsup_fast.cli import results
from unsup_fast.cli.diffusion import data, runs
from unsup_fast.cli.diffusion.data import Data
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.info import version
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.report.numbers import size

PACKAGES = ("torch", "accelerate")
BYTES_OF_VALUE = 4096  # of all that a small network makes of a value of a picture
SAVED = 0.25  # share of what a network makes that is there at once for certain


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of the command, as parsed."""

    data: Path | str
    out: Path
    size: tuple[int, int] | None = None
    channels: int | None = None
    key: str | None = None
    labels: str | None = None
    no_labels: bool = False
    network: str = "unet"
    model_size: str = "small"
    patch: int = 2
    objective: str = "v_prediction"
    schedule: str = "cosine"
    steps: int = 5000
    minutes: float | None = None
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup: int = 200
    decay: int = 0
    ema: float = 0.999
    dropout: float = 0.0
    flip: bool = False
    label_dropout: float = 0.1
    seed: int = 0
    device: str | None = None
    precision: str = "auto"
    threads: int | None = None
    save_every: int = 500
    show_every: int = 500
    title: str | None = None
    report: bool = True
    quiet: bool = False
    overwrite: bool = False
    resume: bool = False

    def parameters(self) -> dict[str, Any]:
        """Return what `summary.json` says of them, by the names of the options."""
        left_out = ("data", "out", "title", "report", "quiet", "overwrite", "resume")
        parameters = {name: value for name, value in asdict(self).items() if name not in left_out}
        if self.size is not None:
            parameters["size"] = "x".join(map(str, self.size))
        return parameters


@dataclass(frozen=True)
class Job:
    """All that a run needs, checked."""

    settings: Settings
    data: Data
    config: Any
    options: Any
    device: Any
    n_weights: int

    def summary(self, result: dict[str, Any] | None) -> dict[str, Any]:
        """Return what `summary.json` holds; the result is None until the run ends."""
        import torch

        machine = results.machine(None)
        machine |= {
            "threads": self.settings.threads or torch.get_num_threads(),
            "device": str(self.device),
        }
        return {
            "command": runs.COMMAND,
            "data": self.data.about(),
            "parameters": self.settings.parameters(),
            "result": result,
            "machine": machine,
            "versions": results.versions() | {name: version(name) for name in PACKAGES},
        }


def check() -> None:
    """Raise what training would raise for a missing package.

    Raises
    ------
    ImportError
        With the install command.
    """
    for package in (*PACKAGES, "PIL"):
        _extras.check(package, "train", "training a diffusion model")


def prepare(settings: Settings, console: Console) -> Job:
    """Read and check everything that the settings name."""
    device = device_of(settings.device)
    with showing(console, settings.quiet) as progress:
        dataset = data.read(
            settings.data,
            progress,
            size=settings.size,
            channels=settings.channels,
            key=settings.key,
            labels=settings.labels,
            no_labels=settings.no_labels,
        )
        progress.begin("Loading torch")
        import torch

        from unsup_fast.models import diffusion, training

    with named():
        config = diffusion.Config(
            dataset.shape,
            classes=dataset.classes,
            network=settings.network,
            size=settings.model_size,
            patch=settings.patch,
            dropout=settings.dropout,
            objective=settings.objective,
            schedule=settings.schedule,
        )
        with torch.device("meta"):  # no weights are drawn
            network = diffusion.Diffusion.build(config).network
        options = training.TrainConfig(
            steps=settings.steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup=settings.warmup,
            decay=settings.decay,
            ema=settings.ema,
            seed=settings.seed,
            save_every=settings.save_every,
            sample_every=settings.show_every,
        )
    _check_memory(network, dataset.shape, settings.batch_size, device)
    n_weights = sum(weights.numel() for weights in network.parameters())
    return Job(settings, dataset, config, options, device, n_weights)


def _check_memory(network: Any, shape: tuple[int, ...], batch_size: int, device: Any) -> None:
    """Refuse a step that memory cannot hold; one that is small enough is not counted.

    Raises
    ------
    UserError
        With what it needs.
    """
    from unsup_fast.models.diffusion._memory import free, sample_bytes

    available = free(device)
    if batch_size * math.prod(shape) * BYTES_OF_VALUE <= available:
        return
    needed = int(SAVED * batch_size * sample_bytes(network, shape, "meta"))
    if needed > available:
        pixels = "x".join(map(str, shape[1:]))
        raise UserError(
            f"--batch-size {batch_size}: a step with so many pictures of {pixels} needs "
            f"{size(needed)} of memory, {size(available)} are free; pass a smaller --batch-size "
            "or --size"
        )

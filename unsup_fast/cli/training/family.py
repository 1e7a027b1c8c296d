"""What the shared commands ask of a family of models, such as diffusion models."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from unsup_fast.cli import results
from unsup_fast.cli.info import version
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import data
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.options import LoopSettings

if TYPE_CHECKING:
    import torch

    from unsup_fast.models import training


PACKAGES = ("torch", "accelerate")


@dataclass(frozen=True)
class Plan:
    """What is trained, before there are weights."""

    config: Any
    """The configuration of the model, of the family's own type."""
    network: "torch.nn.Module"
    """Without memory for its weights, on torch's device "meta"."""
    about: str
    """A few words on network and objective."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Hashes of what a run depends on besides its pictures, by name; for `summary.json`."""
    batches: int = 1
    """Batches of a step."""


class Family(ABC):
    """How a kind of model is planned, trained, read again, sampled from and reported on."""

    command: ClassVar[str]
    """As in "diffusion train"."""
    noun: ClassVar[str]
    """As in "a diffusion model"."""
    reads_latents: ClassVar[bool] = False
    """Whether latents in an .npz are data too."""
    figures: ClassVar[tuple[str, ...]] = ()
    """Losses that are shown during training; all of them if empty."""

    def resolved(self, settings: Any, before: Mapping[str, Any] | None) -> Any:
        """Return the settings with values for options whose default depends on others.

        `before` is the summary of the run that is resumed, if one is.
        """
        return settings

    def read(self, settings: Any, progress: Silent) -> Data:
        """Return the pictures that the settings, of the family's own type, name."""
        return data.read(
            settings.source,
            progress,
            size=settings.size,
            channels=settings.channels,
            key=settings.key,
            labels=settings.labels,
            no_labels=settings.no_labels,
            latents=self.reads_latents,
        )

    def train_config(self, settings: Any) -> "training.TrainConfig":
        """Return the options of the training loop."""
        from unsup_fast.models import training

        return training.TrainConfig(steps=settings.n_steps, **settings.loop_options())

    @abstractmethod
    def plan(self, settings: Any, data: Data) -> Plan:
        """Return what the settings, of the family's own type, train on the data."""

    @abstractmethod
    def step_bytes(self, plan: Plan, shape: tuple[int, int, int]) -> int:
        """Return the bytes that a training step holds for each picture of this shape."""

    @abstractmethod
    def train(
        self,
        job: "Job",
        *,
        progress: Callable[[Any, Mapping[str, float], float], bool],
        on_sample: Callable[[Any, int], None],
    ) -> Any:
        """Train, or resume, in the folder of the job, and return the model."""

    def stage(self, job: "Job", step: int) -> str:
        """Return what is trained at a step, in words; empty if it is the same at all of them."""
        return ""

    def lacks(self, job: "Job") -> str:
        """Return the result besides the report that a finished run lacks; empty if it is whole."""
        return ""

    def complete(self, job: "Job", progress: Silent) -> None:  # noqa: B027
        """Write the result that a finished run lacks; by default a run is whole."""

    @abstractmethod
    def load(self, run: Path, device: "torch.device") -> Any:
        """Return the model of a run; raises UserError if there is none."""

    @abstractmethod
    def samples(self, model: Any, seed: int) -> tuple[Any, int]:
        """Return pictures [N, C, H, W] for a grid, and the number of its columns."""

    @abstractmethod
    def write_report(self, job: "Job", model: Any, summary: Mapping[str, Any]) -> None:
        """Write `report.html`."""

    def sampling_command(self, settings: LoopSettings) -> tuple[str, ...]:
        """Return the command line that samples from the model of the run."""
        group = self.command.split()[0]
        return "unsup-fast", group, "sample", str(settings.out), "-n", "64", "-o", "grid.png"


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a run needs, checked."""

    family: Family
    settings: LoopSettings
    data: Data
    plan: Plan
    config: "training.TrainConfig"
    device: "torch.device"

    @property
    def n_weights(self) -> int:
        """Number of weights of the network."""
        return sum(weights.numel() for weights in self.plan.network.parameters())

    def summary(self, result: dict[str, Any] | None) -> dict[str, Any]:
        """Return what `summary.json` holds; the result is None until the run ends."""
        import torch

        machine = results.machine(None)
        machine |= {
            "threads": self.settings.threads or torch.get_num_threads(),
            "device": str(self.device),
        }
        sources = {"sources": dict(self.plan.sources)} if self.plan.sources else {}
        return {
            "command": self.family.command,
            "data": self.data.about(),
            "parameters": self.settings.recorded(),
            **sources,
            "result": result,
            "machine": machine,
            "versions": results.versions() | {name: version(name) for name in PACKAGES},
        }

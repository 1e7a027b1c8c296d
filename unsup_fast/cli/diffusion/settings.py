"""The options of the commands of diffusion models."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.diffusion.distill_settings import DistillSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import ComparisonSettings
from unsup_fast.cli.options import JsonSettings, Seed
from unsup_fast.cli.settings import CommandSettings, Option, shown
from unsup_fast.cli.training.options import (
    MODEL_SIZE,
    Device,
    LabelDropout,
    PictureSettings,
    Precision,
    RunArgument,
    SamplesSettings,
    TrainingSettings,
)

SAMPLERS = (
    "ddpm",
    "ddim",
    "euler",
    "euler_a",
    "heun",
    "dpm++2m",
    "dpm++2m_sde",
    "deis",
    "unipc",
    "lms",
    "consistency",
    "lcm",
    "tcd",
)


def parse_interval(option: str, text: str) -> tuple[float, float]:
    """Return two noise levels from LOW,HIGH."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not 0 <= low < high < math.inf:
        raise UserError(
            f"{option} {shown(text)}: write LOW,HIGH, two numbers with 0 <= LOW < HIGH, as in 0.3,5"
        )
    return low, high


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainingSettings):
    """Train a diffusion model of the pictures in DATA; model, samples and a report go into RUN.

    Pictures with classes make a model that samples each class. Ctrl-C saves, and prints the
    command to resume; so does --minutes.
    """

    runner = "unsup_fast.cli.diffusion.family:train"

    network: Annotated[
        str,
        Option("--network", "Network", "U-Net or diffusion transformer.", choices=("unet", "dit")),
    ] = "unet"
    model_size: Annotated[str, MODEL_SIZE] = "small"
    patch: Annotated[
        int,
        Option("--patch N", "Network", "Side of a patch, in pixels.", least=1),
    ] = 2
    dropout: Annotated[
        float,
        Option("--dropout X", "Network", "Share of activations dropped.", least=0, below=1),
    ] = 0.0
    objective: Annotated[
        str,
        Option(
            "--objective NAME",
            "Model",
            "What the network is trained for: sample, epsilon, v_prediction, min_snr or "
            "flow_prediction.",
            choices=("sample", "epsilon", "v_prediction", "min_snr", "flow_prediction"),
        ),
    ] = "v_prediction"
    schedule: Annotated[
        str,
        Option(
            "--schedule NAME",
            "Model",
            "Noise schedule: cosine, linear, scaled_linear or sigmoid; flow_prediction has "
            "its own.",
            choices=("cosine", "linear", "scaled_linear", "sigmoid"),
        ),
    ] = "cosine"
    label_dropout: LabelDropout = 0.1

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast diffusion train --data digits -o run --model-size tiny --steps 600",
        "unsup-fast diffusion train pictures/ -o run --size 32 --minutes 60",
        "unsup-fast diffusion train pictures/ -o run --size 32 --minutes 120 --resume",
    )


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(RunArgument):
    """The options of a command that samples from a diffusion model."""

    sampler: Annotated[
        str | None,
        Option(
            "--sampler NAME",
            "Sampling",
            "ddpm, ddim, euler, euler_a, heun, dpm++2m, dpm++2m_sde, deis, unipc, lms; "
            "for consistency models: consistency, lcm or tcd.  [default: the model's own, dpm++2m "
            "unless it was distilled]",
            choices=SAMPLERS,
        ),
    ] = None
    steps: Annotated[
        int | None,
        Option(
            "--steps N",
            "Sampling",
            "Steps from noise to picture.  [default: the model's own, 20 unless it was distilled]",
            least=1,
        ),
    ] = None
    guidance: Annotated[
        float | None,
        Option(
            "--guidance X",
            "Sampling",
            "Weight of classifier-free guidance; 1 changes nothing, more is more typical.",
        ),
    ] = None
    guidance_interval: Annotated[
        tuple[float, float] | None,
        Option(
            "--guidance-interval LOW,HIGH",
            "Sampling",
            "Guide at noise levels between these alone, as ratios of noise to signal; the other "
            "steps take half the time.",
            parse=parse_interval,
        ),
    ] = None
    seed: Seed = 0
    batch_size: Annotated[
        int | None,
        Option(
            "--batch-size N",
            "Performance",
            "Pictures per batch.  [default: as memory allows]",
            least=1,
            role="course",
        ),
    ] = None
    device: Device = None
    precision: Precision = "auto"
    decoder: Annotated[
        Path | None,
        Option(
            "--decoder RUN",
            "Sampling",
            "For a model of latents: the run of the autoencoder that decodes them.",
        ),
    ] = None

    def check(self) -> None:
        """Refuse an interval of guidance without guidance, and a decoder that is none."""
        from unsup_fast.cli.kinds import check_run

        super().check()
        if self.decoder is not None:
            check_run(self.decoder, "vae --decoder")
        if self.guidance is None and self.guidance_interval is not None:
            raise UserError("--guidance-interval: limits --guidance; pass both")


@dataclass(frozen=True, kw_only=True)
class SampleSettings(SamplesSettings, SamplingSettings):
    """Make new pictures by the model of a training RUN, or by a distilled one."""

    runner = "unsup_fast.cli.diffusion.sample:run"
    command = "diffusion sample"

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast diffusion sample run -n 100 -o grid.png",
        "unsup-fast diffusion sample run -n 1000 --label 3 --guidance 2 -o threes.npz",
    )


@dataclass(frozen=True, kw_only=True)
class EvalSettings(PictureSettings, SamplingSettings, ComparisonSettings, JsonSettings):
    """Print the bits per dimension of DATA by the model of a RUN, and with --features the FID.

    A model of latents has no bits of pictures: it takes --features and --decoder, for the FID.
    """

    runner = "unsup_fast.cli.diffusion.evaluate:run"
    command = "diffusion eval"

    n: Annotated[
        int | None,
        Option(
            "-n N", "Data", "Pictures of DATA, drawn at random.  [default: up to 1,000]", least=1
        ),
    ] = None
    timesteps: Annotated[
        int,
        Option(
            "--timesteps K",
            "Scores",
            "Noise levels of each picture that the bits are estimated from; 0: all.",
            least=0,
        ),
    ] = 20
    samples: Annotated[
        int | None,
        Option(
            "--samples N",
            "Scores",
            "Pictures generated for the FID.  [default: up to 2,000]",
            least=2,
        ),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast diffusion eval run pictures/",
        "unsup-fast diffusion eval run pictures/ --features inception --samples 10000",
    )


COMMANDS: dict[str, type[CommandSettings]] = {
    "train": TrainSettings,
    "distill": DistillSettings,
    "sample": SampleSettings,
    "eval": EvalSettings,
}

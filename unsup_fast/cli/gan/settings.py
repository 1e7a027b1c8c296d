"""The options of the commands of GANs."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import ComparisonSettings
from unsup_fast.cli.options import JsonSettings, Seed
from unsup_fast.cli.settings import CommandSettings, Option, options, shown
from unsup_fast.cli.training.options import (
    MODEL_SIZE,
    Device,
    PictureSettings,
    RunArgument,
    SamplesSettings,
    TrainingSettings,
)
from unsup_fast.cli.values import INCEPTION

FAMILIES = ("r3gan", "dcgan", "lsgan", "wgan", "wgan-gp", "progressive", "biggan", "projected")
NORMED = ("dcgan", "lsgan", "wgan", "wgan-gp")
"""Families whose discriminator may have norms."""
EQUALIZED = ("progressive",)
"""Families whose layers have an equalised learning rate."""
BATCH_NORMED = ("dcgan", "lsgan", "wgan")
"""Families whose discriminator has batch norms, unless --norm says otherwise."""
LOSSES = ("minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic")
NORMS = ("batch", "layer", "none")
CONDITIONINGS = ("projection", "concat")
AUGMENTATIONS = ("none", "diffaugment", "ada")
DISCRIMINATORS = ("own", "projected")
MOST_LATENTS = 1 << 16
MOST_SEEDS = 1000
COMPARED, LOOP = options(ComparisonSettings), options(TrainingSettings)


def parse_seeds(option: str, text: str) -> tuple[int, ...]:
    """Return the seeds of a list of numbers and ranges, such as 0-7 or 3,1,4."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch("([0-9]{1,10})(-([0-9]{1,10}))?", part)
        if match is None or len(seeds) > MOST_SEEDS:
            break
        first, last = int(match[1]), int(match[3] or match[1])
        if last < first or last - first >= MOST_SEEDS or last > 2**32 - 1:
            break
        seeds += range(first, last + 1)
    else:
        if 2 <= len(seeds) <= MOST_SEEDS:
            return tuple(seeds)
    raise UserError(
        f"{option} {shown(text)}: write 2 to {MOST_SEEDS} seeds below 2^32, as in 0-7 or 3,1,4"
    )


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainingSettings, ComparisonSettings):
    """Train a GAN of the pictures in DATA; model, samples and a report go into RUN.

    A family is a preset: the options of losses, penalties and training override its parts.
    Pictures with classes make a model that is conditional on them. If training fails, a warning
    says how. Ctrl-C saves, and prints the command to resume; so does --minutes.
    """

    runner = "unsup_fast.cli.gan.family:train"

    family: Annotated[
        str,
        Option(
            "--family NAME",
            "Model",
            "r3gan (residual network, relativistic loss, R1 and R2), dcgan, lsgan, wgan (clipped "
            "weights), wgan-gp (gradient penalty), progressive (grows from small pictures), biggan "
            "(self-attention, spectral norms, norms by class) or projected (the discriminator "
            "sees features of EfficientNet-lite0).",
            choices=FAMILIES,
        ),
    ] = "r3gan"
    model_size: Annotated[str, MODEL_SIZE] = "small"
    latent: Annotated[
        int, Option("--latent N", "Model", "Number of latents.", least=1, most=MOST_LATENTS)
    ] = 64
    conditioning: Annotated[
        str,
        Option(
            "--conditioning",
            "Model",
            "How the discriminator learns of the class: an inner product with its features, or one "
            "more channel.",
            choices=CONDITIONINGS,
        ),
    ] = "projection"
    loss: Annotated[
        str | None,
        Option(
            "--loss NAME",
            "Training",
            f"{', '.join(LOSSES[:-1])} or {LOSSES[-1]}.  [default: the family's]",
            choices=LOSSES,
        ),
    ] = None
    norm: Annotated[
        str | None,
        Option(
            "--norm",
            "Network",
            "Norm in the discriminator of dcgan, lsgan, wgan and wgan-gp.  [default: the family's]",
            choices=NORMS,
        ),
    ] = None
    r1: Annotated[
        float | None,
        Option(
            "--r1 X",
            "Training",
            "Weight of the squared gradient at real pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    r2: Annotated[
        float | None,
        Option(
            "--r2 X",
            "Training",
            "Weight of the squared gradient at generated pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    r_final: Annotated[
        float | None,
        Option(
            "--r-final X",
            "Training",
            "Factor of both at the end of training.  [default: the family's]",
            above=0,
            most=1,
        ),
    ] = None
    gradient_penalty: Annotated[
        float | None,
        Option(
            "--gradient-penalty X",
            "Training",
            "Weight of (norm of the gradient - 1)^2 between real and generated pictures.  "
            "[default: the family's]",
            least=0,
        ),
    ] = None
    drift: Annotated[
        float | None,
        Option(
            "--drift X",
            "Training",
            "Weight of the squared scores of real pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    orthogonal: Annotated[
        float | None,
        Option(
            "--orthogonal X",
            "Training",
            "Weight of the inner products of different filters of the generator.  [default: the "
            "family's]",
            least=0,
        ),
    ] = None
    augment: Annotated[
        str | None,
        Option(
            "--augment",
            "Training",
            "Augment what the discriminator sees, for small data: always (diffaugment), or with a "
            "probability that its scores steer (ada).  [default: the family's]",
            choices=AUGMENTATIONS,
        ),
    ] = None
    augment_target: Annotated[
        float | None,
        Option(
            "--augment-target X",
            "Training",
            "Mean sign of the scores of real pictures that ada steers to.  [default: 0.6]",
            above=0,
            below=1,
        ),
    ] = None
    augment_examples: Annotated[
        int | None,
        Option(
            "--augment-examples N",
            "Training",
            "Pictures in which ada can go from never to always; fewer for short trainings.  "
            "[default: 500,000]",
            least=1,
        ),
    ] = None
    discriminator: Annotated[
        str | None,
        Option(
            "--discriminator",
            "Model",
            "The network's own, or heads on features of EfficientNet-lite0 (projected); then judge "
            "by other features.  [default: the family's]",
            choices=DISCRIMINATORS,
        ),
    ] = None
    blur: Annotated[
        float | None,
        Option(
            "--blur X",
            "Training",
            "Blur, in pixels, of what the discriminator sees at first.  [default: the family's]",
            least=0,
        ),
    ] = None
    growth: Annotated[
        float | None,
        Option(
            "--growth X",
            "Training",
            "Share of the steps in which progressive grows to full resolution.  [default: the "
            "family's]",
            least=0,
            most=1,
        ),
    ] = None
    penalty_every: Annotated[
        int | None,
        Option(
            "--penalty-every N",
            "Training",
            "Steps between penalties, which are then N times as large.  [default: the family's]",
            least=1,
        ),
    ] = None
    weight_clip: Annotated[
        float | None,
        Option(
            "--weight-clip X",
            "Training",
            "Cut the discriminator's weights off at X; 0: do not.  [default: the family's]",
            least=0,
        ),
    ] = None
    spectral_norm: Annotated[
        bool | None,
        Option(
            "--spectral-norm/--no-spectral-norm",
            "Training",
            "Give the discriminator's layers spectral norm 1.  [default: the family's]",
        ),
    ] = None
    n_critic: Annotated[
        int | None,
        Option(
            "--n-critic N",
            "Training",
            "Updates of the discriminator, each with a batch, for one of the generator.  "
            "[default: the family's]",
            least=1,
        ),
    ] = None
    batch_size: Annotated[
        int, replace(LOOP["batch_size"], help="Pictures per update of the discriminator.")
    ] = 64
    learning_rate: Annotated[
        float | None,
        replace(LOOP["learning_rate"], help="Peak learning rate.  [default: the family's]"),
    ] = None
    decay: Annotated[
        int | None,
        replace(
            LOOP["decay"],
            help="Linear decay at the end, in steps.  [default: half of the steps; of a run that "
            "is resumed: as before]",
        ),
    ] = None
    ema: Annotated[
        float | None,
        replace(
            LOOP["ema"],
            help="Decay of the moving average of the generator's weights, per step.  [default: "
            "half is forgotten in 100,000 pictures, or a twentieth of a short training]",
        ),
    ] = None
    features: Annotated[
        str | None,
        replace(
            COMPARED["features"],
            help="Judge samples during training by the Frechet distance of these features: scores "
            "go into scores.csv, the best weights into best.safetensors.",
            role="course",
        ),
    ] = None
    resize: Annotated[str, replace(COMPARED["resize"], role="course")] = "tensorflow"
    judge_every: Annotated[
        int,
        Option(
            "--judge-every N",
            "Output",
            "Steps between scores, for --features.",
            least=1,
            role="extent",
        ),
    ] = 2500
    judge_samples: Annotated[
        int,
        Option(
            "--judge-samples N",
            "Scores",
            "Samples of each score, and pictures of DATA, drawn at random.",
            least=2,
        ),
    ] = 2000

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan train --data digits -o run --model-size tiny --steps 2000",
        "unsup-fast gan train photos/ --size 32 -o run --minutes 60 --features lite0",
        "unsup-fast gan train photos/ --size 32 -o wgan --family wgan-gp --steps 20000",
    )

    def check(self) -> None:
        """Refuse parts that the family's network does not have, and that exclude each other."""
        super().check()
        if self.family not in NORMED and self.norm is not None:
            raise UserError(
                f"--norm {self.norm}: --family {self.family} has no norms; leave --norm out"
            )
        if self.growth is not None and self.family != "progressive":
            raise UserError(
                f"--growth {self.growth:g}: is for --family progressive; leave --growth out"
            )
        if self.spectral_norm and self.family in EQUALIZED:
            raise UserError(
                f"--spectral-norm: weights of --family {self.family} have an equalised learning "
                "rate instead; leave --spectral-norm out"
            )
        if self.shards is not None and self.family == "progressive":
            raise UserError(
                f"--shards {self.shards}: networks of --family progressive change while they grow; "
                "leave --shards out, or pass --family r3gan"
            )
        if self.augment == "ada" and self.shards is not None:
            raise UserError(
                f"--augment ada: moves a probability in steps, which --shards {self.shards} does "
                "not allow; leave --shards out, or pass --augment diffaugment"
            )
        if self.family in (*NORMED, "biggan") and self.shards is not None:
            raise UserError(
                f"--shards {self.shards}: --family {self.family} has batch norms, whose statistics "
                "depend on the shards; leave --shards out, or pass --family r3gan"
            )
        default = "batch" if self.family in BATCH_NORMED else "none"
        if self.family == "wgan-gp" and self.norm == "batch" and self.gradient_penalty is None:
            raise UserError(
                "--norm batch: --family wgan-gp penalises the gradient of each picture, and batch "
                "norms mix pictures; pass --norm layer or none, or --gradient-penalty 0"
            )
        for name in ("r1", "r2", "gradient_penalty"):
            if getattr(self, name) and (self.norm or default) == "batch":
                raise UserError(
                    f"{options(type(self))[name].name} {getattr(self, name):g}: penalises the "
                    "gradient of each picture, and batch norms mix pictures; pass --norm layer or "
                    "none too"
                )


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(RunArgument):
    """The options of a command that draws from a generator."""

    best: Annotated[
        bool,
        Option(
            "--best",
            "Sampling",
            "Use the best weights by the scores of the training, instead of the last ones.",
        ),
    ] = False
    truncation: Annotated[
        float | None,
        Option(
            "--truncation X",
            "Sampling",
            "Largest absolute value of a latent: below 1 pictures are more typical and more alike. "
            " [default: no limit]",
            above=0,
        ),
    ] = None
    device: Device = None


@dataclass(frozen=True, kw_only=True)
class SampleSettings(SamplesSettings, GeneratorSettings):
    """Make new pictures by the generator of a training RUN.

    A model without classes takes no --label.
    """

    runner = "unsup_fast.cli.gan.sample:run"
    command = "gan sample"

    seed: Seed = 0

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan sample run -n 100 -o grid.png",
        "unsup-fast gan sample run -n 1000 --label 3 --truncation 0.7 -o threes.npz",
    )


N, LABEL = (options(SamplesSettings)[name] for name in ("n", "labels"))


@dataclass(frozen=True, kw_only=True)
class InterpolateSettings(SamplesSettings, GeneratorSettings):
    """Make pictures on paths between the latents of seeds, on great circles.

    Each path, from a seed to the next one, is a row, and of one class: classes take turns.
    """

    runner = "unsup_fast.cli.gan.interpolate:run"
    command = "gan interpolate"

    n: Annotated[
        int, replace(N, help="Pictures of each path, those of both seeds among them.", least=2)
    ] = 8
    labels: Annotated[
        tuple[str, ...],
        replace(
            LABEL,
            names="--label NAME|N|all",
            help="A class, by name or number; several, each with its own --label, or all.  "
            "[default: all]",
            suggested=("all",),
        ),
    ] = ()
    seeds: Annotated[
        tuple[int, ...],
        Option(
            "--seeds A-B|A,B,C",
            "Sampling",
            "Seeds that the paths lead through, in this order.  [default: 0-7]",
            parse=parse_seeds,
        ),
    ] = tuple(range(8))

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan interpolate run --seeds 0-7 -o walk.png",
        "unsup-fast gan interpolate run --seeds 3,14,3 -n 60 --label 5 -o walk.npz",
    )


@dataclass(frozen=True, kw_only=True)
class EvalSettings(PictureSettings, GeneratorSettings, ComparisonSettings, JsonSettings):
    """Print how samples of a RUN compare with DATA: Frechet distance, precision and recall."""

    runner = "unsup_fast.cli.gan.evaluate:run"
    command = "gan eval"

    features: Annotated[
        str | None,
        replace(
            COMPARED["features"],
            help="What pictures are compared by: features of the Inception network of the "
            "published scores, of EfficientNet-lite0 (not comparable with published figures), of "
            "the Inception network with weights of your own, or their pixels.",
        ),
    ] = INCEPTION
    samples: Annotated[
        int | None,
        Option("--samples N", "Scores", "Pictures generated.  [default: up to 2,000]", least=2),
    ] = None
    seed: Seed = 0

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan eval run pictures/ --features lite0",
        "unsup-fast gan eval run test.npz --samples 10000 -o scores.json",
    )


COMMANDS: dict[str, type[CommandSettings]] = {
    "train": TrainSettings,
    "sample": SampleSettings,
    "interpolate": InterpolateSettings,
    "eval": EvalSettings,
}

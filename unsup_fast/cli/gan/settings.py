"""The options of the commands of GANs."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import ComparisonSettings
from unsup_fast.cli.gan.train_settings import TrainSettings
from unsup_fast.cli.options import JsonSettings, OverwriteFile, Quiet, Seed
from unsup_fast.cli.settings import CommandSettings, Option, options, shown
from unsup_fast.cli.training.options import Device, PictureSettings, RunArgument, SamplesSettings
from unsup_fast.cli.values import INCEPTION

MOST_SEEDS = 1000
COMPARED = options(ComparisonSettings)


def parse_seeds(option: str, text: str, least: int = 2) -> tuple[int, ...]:
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
        if least <= len(seeds) <= MOST_SEEDS:
            return tuple(seeds)
    raise UserError(
        f"{option} {shown(text)}: write {least} to {MOST_SEEDS} seeds below 2^32, as in 0-7 or "
        "3,1,4"
    )


def parse_any_seeds(option: str, text: str) -> tuple[int, ...]:
    """Return the seeds of a list as `parse_seeds` does, also of a single one."""
    return parse_seeds(option, text, least=1)


Best = Annotated[
    bool,
    Option(
        "--best",
        "Sampling",
        "Use the best weights by the scores of the training, instead of the last ones.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(RunArgument):
    """The options of a command that draws from a generator."""

    best: Best = False
    truncation: Annotated[
        float | None,
        Option(
            "--truncation X",
            "Sampling",
            "Largest absolute value of a latent: below 1 pictures are more typical and more alike. "
            "Of stylegan and stylegan2, how far styles are from their mean: 0 gives one picture, "
            "1 all.  [default: no limit]",
            least=0,
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
            "published scores, of EfficientNet-lite0 or lite1 (not comparable with published "
            "figures; lite1 judges what was trained by features of lite0), of the Inception "
            "network with weights of your own, or their pixels.",
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


@dataclass(frozen=True, kw_only=True)
class SheetSettings(RunArgument):
    """The options of a command that writes pictures of a generator with styles."""

    best: Best = False
    device: Device = None
    overwrite: OverwriteFile = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class MixSettings(SheetSettings):
    """Mix the styles of seeds, by the generator of a stylegan or stylegan2 RUN.

    A row for each coarse seed, which gives the form, and a column for each fine one, which gives
    strokes and colours. Pictures of the seeds themselves stand at the left and above.
    """

    runner = "unsup_fast.cli.gan.mix:run"
    command = "gan mix"

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "A .png of the sheet, or an .npz with mixed pictures [R, S, H, W, C], those of the "
            "seeds, and the seeds.",
            role="course",
        ),
    ]
    coarse: Annotated[
        tuple[int, ...],
        Option(
            "--coarse A-B|A,B,C",
            "Sampling",
            "Seeds of the rows.  [default: 0-4]",
            parse=parse_any_seeds,
        ),
    ] = tuple(range(5))
    fine: Annotated[
        tuple[int, ...],
        Option(
            "--fine A-B|A,B,C",
            "Sampling",
            "Seeds of the columns.  [default: 5-12]",
            parse=parse_any_seeds,
        ),
    ] = tuple(range(5, 13))
    label: Annotated[
        str | None,
        Option("--label NAME|N", "Sampling", "The class, which a model with classes needs."),
    ] = None
    layer: Annotated[
        int | None,
        Option(
            "--layer N",
            "Sampling",
            "The first layer of fine styles; two layers have one resolution, from the smallest "
            "up.  [default: half of the layers]",
            least=0,
        ),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan mix run -o sheet.png",
        "unsup-fast gan mix run --coarse 0-3 --fine 7,9 --layer 2 --label 3 -o sheet.npz",
    )


@dataclass(frozen=True, kw_only=True)
class InvertSettings(PictureSettings, SheetSettings):
    """Find styles whose pictures are near to those of DATA, by a stylegan or stylegan2 RUN.

    Ctrl-C ends the search, and writes the best styles so far.
    """

    runner = "unsup_fast.cli.gan.invert:run"
    command = "gan invert"

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "A .png, each row of pictures above that of their nearest, or an .npz with originals "
            "and reconstructions [N, H, W, C], styles w and PSNR.",
            role="course",
        ),
    ]
    n: Annotated[
        int, Option("-n N", "Data", "Pictures of DATA, drawn at random; 0: all.", least=0)
    ] = 16
    steps: Annotated[
        int, Option("--steps N", "Search", "Steps of the search.", least=1, most=10**6)
    ] = 500
    each_layer: Annotated[
        bool,
        Option(
            "--each-layer",
            "Search",
            "Search a style for each layer: nearer to the pictures, and less like samples.",
        ),
    ] = False
    perceptual: Annotated[
        float,
        Option(
            "--perceptual X",
            "Search",
            "Weight of a perceptual distance by EfficientNet-lite0, added to the squared error.",
            least=0,
        ),
    ] = 0.0
    seed: Seed = 0

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan invert run photos/ -o pairs.png",
        "unsup-fast gan invert run digits.npz -n 0 --each-layer -o styles.npz",
    )


COMMANDS: dict[str, type[CommandSettings]] = {
    "train": TrainSettings,
    "sample": SampleSettings,
    "interpolate": InterpolateSettings,
    "mix": MixSettings,
    "invert": InvertSettings,
    "eval": EvalSettings,
}

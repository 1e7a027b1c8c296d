"""The options of `unsup-fast scenes`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.options import JsonSettings, OverwriteFile, Quiet
from unsup_fast.cli.settings import CommandSettings, Option


@dataclass(frozen=True, kw_only=True)
class DrawSettings(CommandSettings):
    """Draw captioned scenes: coloured shapes, or digits, that can be checked.

    An .npz holds images [N, 3, side, side], captions, and the numbers that specify each scene.
    Scene i depends on seed and split alone, at any side.
    """

    runner = "unsup_fast.cli.scenes.draw:run"

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "An .npz of images, captions and specifications, or a .png of all pictures.",
        ),
    ]
    n: Annotated[int, Option("-n N", "Data", "How many pictures.", least=1)] = 20_000
    seed: Annotated[int, Option("--seed N", "Data", "Random seed.", least=0, most=2**32 - 1)] = 0
    split: Annotated[
        str,
        Option(
            "--split",
            "Data",
            "Without the held-out combinations of colour and shape, with at least one in each "
            "picture, or any.",
            choices=("train", "held", "any"),
        ),
    ] = "train"
    side: Annotated[
        int,
        Option("--side N", "Data", "Height and width in pixels.", least=16, most=1024),
    ] = 32
    start: Annotated[int, Option("--start N", "Data", "Index of the first scene.", least=0)] = 0
    digits: Annotated[
        Path | None,
        Option(
            "--digits DATA",
            "Data",
            "Pictures of digits to draw instead of shapes, bright on dark, with labels 0 to 9: a "
            "folder, .zip, .npz or .parquet.",
        ),
    ] = None
    overwrite: OverwriteFile = False
    quiet: Quiet = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast scenes -n 20000 -o scenes.npz",
        "unsup-fast scenes -n 1000 --split held --seed 1 --side 64 -o held.npz",
    )


@dataclass(frozen=True, kw_only=True)
class CheckSettings(JsonSettings):
    """Print which share of pictures shows what their captions say.

    The exit status is 0 if the share with everything right is at least --least, and otherwise 1.
    """

    runner = "unsup_fast.cli.scenes.check:run"

    pictures: Annotated[
        Path,
        Option("PICTURES", "Data", "An .npz of pictures, and of captions of scenes with shapes."),
    ]
    key: Annotated[
        str | None,
        Option(
            "--key NAME",
            "Data",
            "Which array holds the pictures; needed if there are several.",
            role="other",
        ),
    ] = None
    captions: Annotated[
        str, Option("--captions NAME", "Data", "Which array holds the captions.", role="other")
    ] = "captions"
    least: Annotated[
        float,
        Option(
            "--least X",
            "Scores",
            "Share of pictures with everything right that is enough.",
            least=0,
            most=1,
        ),
    ] = 0.0

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast scenes check samples.npz --least 0.7",
        "unsup-fast scenes check samples.npz --json",
    )


COMMANDS: dict[str, type[CommandSettings]] = {"draw": DrawSettings, "check": CheckSettings}

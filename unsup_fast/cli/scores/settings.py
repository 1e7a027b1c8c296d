"""The options of the commands that score generated pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from unsup_fast.cli.features import FeatureSettings
from unsup_fast.cli.options import THREADS, JsonSettings, Seed
from unsup_fast.cli.settings import Option

MOST_SUBSETS, MOST_SPLITS = 100_000, 10_000
PICTURES = "A folder or .zip of pictures, an .npz or .npy of pictures or of features [N, D]"

Real = Annotated[Path, Option("REAL", "Data", f"The data. {PICTURES}.")]
Fake = Annotated[Path, Option("FAKE", "Data", "Generated samples, likewise.")]


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(FeatureSettings, JsonSettings):
    """The options that all scores share."""

    command: ClassVar[str]
    key: Annotated[
        str | None,
        Option(
            "--key NAME",
            "Data",
            "Which array of an .npz; needed if there are several.",
            role="other",
        ),
    ] = None
    threads: Annotated[int | None, replace(THREADS, role="other")] = None


@dataclass(frozen=True, kw_only=True)
class FidSettings(ScoreSettings):
    """Print the Frechet (Inception) distance of FAKE to REAL; 0 is best.

    Statistics are the mean mu and covariance sigma of features, in the files of pytorch-fid.
    """

    runner = "unsup_fast.cli.scores.run:fid"

    command = "fid"
    real: Annotated[
        Path, Option("REAL", "Data", f"The data. {PICTURES}, or an .npz with mu and sigma.")
    ]
    fake: Fake
    save_statistics: Annotated[
        Path | None,
        Option(
            "--save-statistics FILE.npz",
            "Output",
            "Save mean and covariance of REAL, to pass instead of REAL next time.",
        ),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast fid photos/ generated.zip --save-statistics photos.npz",
        "unsup-fast fid photos.npz generated.zip --json",
    )


@dataclass(frozen=True, kw_only=True)
class InceptionScoreSettings(ScoreSettings):
    """Print the Inception Score of FAKE, mean and standard deviation over parts; 1 is worst.

    Parts are consecutive: shuffle pictures that are in the order of their classes.
    """

    runner = "unsup_fast.cli.scores.run:inception_score"

    command = "inception-score"
    fake: Annotated[
        Path,
        Option(
            "FAKE",
            "Data",
            "A folder or .zip of pictures, an .npz or .npy of pictures or of probabilities "
            "[N, classes].",
        ),
    ]
    splits: Annotated[
        int,
        Option(
            "--splits N", "Scores", "Number of parts, scored separately.", least=1, most=MOST_SPLITS
        ),
    ] = 10

    examples: ClassVar[tuple[str, ...]] = ("unsup-fast inception-score generated.zip",)


@dataclass(frozen=True, kw_only=True)
class KidSettings(ScoreSettings):
    """Print the Kernel (Inception) distance of FAKE to REAL, mean and deviation over subsets.

    It is unbiased, so it may be below zero where the samples are alike.
    """

    runner = "unsup_fast.cli.scores.run:kid"

    command = "kid"
    real: Real
    fake: Fake
    subsets: Annotated[
        int,
        Option(
            "--subsets N",
            "Scores",
            "Number of subsets; 0 scores all samples together, once.",
            least=0,
            most=MOST_SUBSETS,
        ),
    ] = 100
    subset_size: Annotated[
        int, Option("--subset-size N", "Scores", "Samples per subset.", least=2)
    ] = 1000
    seed: Seed = 0

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast kid photos/ generated.zip --subset-size 500 --json",
    )

    def recorded(self) -> dict[str, Any]:
        """Return the parameters of the distance."""
        return super().recorded() | {"subsets": self.subsets or None}


@dataclass(frozen=True, kw_only=True)
class PrdcSettings(ScoreSettings):
    """Print precision, recall, density and coverage of FAKE among REAL; 1 is best."""

    runner = "unsup_fast.cli.scores.run:prdc"

    command = "prdc"
    real: Real
    fake: Fake
    k: Annotated[
        int,
        Option(
            "-k --neighbours N",
            "Scores",
            "Rank of the nearest neighbour that sets the radius.",
            least=1,
        ),
    ] = 3

    examples: ClassVar[tuple[str, ...]] = ("unsup-fast prdc photos/ generated.zip -k 5",)


COMMANDS: tuple[type[ScoreSettings], ...] = (
    FidSettings,
    InceptionScoreSettings,
    KidSettings,
    PrdcSettings,
)

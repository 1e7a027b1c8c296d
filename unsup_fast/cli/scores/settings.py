"""The options of the commands that score generated pictures."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import THREADS, JsonSettings, Seed
from unsup_fast.cli.settings import CommandSettings, Option
from unsup_fast.cli.values import (
    INCEPTION,
    NONE,
    parse_device,
    parse_features,
    parse_sides,
    parse_weights_file,
)

MOST_SUBSETS, MOST_SPLITS = 100_000, 10_000
PICTURES = "A folder or .zip of pictures, an .npz or .npy of pictures or of features [N, D]"

Real = Annotated[Path, Option("REAL", "Data", f"The data. {PICTURES}.")]
Fake = Annotated[Path, Option("FAKE", "Data", "Generated samples, likewise.")]


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(CommandSettings):
    """The options that say what pictures are compared by."""

    features: Annotated[
        str,
        Option(
            "--features inception|FILE.pth|none",
            "Features",
            "What pictures become: features of the Inception network of the published scores, "
            "of the same network with weights of your own, or their pixels.",
            parse=parse_features,
            suggested=(INCEPTION, NONE),
        ),
    ] = INCEPTION
    weights: Annotated[
        Path | None,
        Option(
            "--weights FILE",
            "Features",
            "Where pt_inception-2015-12-05-6726825d.pth is.  [default: $UNSUP_FAST_INCEPTION, "
            "or torch's cache]",
            parse=parse_weights_file,
        ),
    ] = None
    download: Annotated[
        bool, Option("--download", "Features", "Fetch the weights into torch's cache if need be.")
    ] = False
    resize: Annotated[
        str,
        Option(
            "--resize",
            "Features",
            "How pictures come to 299 x 299: as in the original, in clean-fid, in pytorch-fid.",
            choices=("tensorflow", "clean", "pytorch-fid"),
        ),
    ] = "tensorflow"
    size: Annotated[
        tuple[int, int] | None,
        Option(
            "--size HxW",
            "Data",
            "Bring pictures of files to one size first, in bytes.",
            parse=partial(parse_sides, square=False),
            role="other",
        ),
    ] = None
    batch_size: Annotated[
        int, Option("--batch-size N", "Performance", "Pictures per batch.", least=1, role="other")
    ] = 32
    device: Annotated[
        str,
        Option(
            "--device NAME",
            "Performance",
            "Device for the network: cpu, cuda, cuda:1 ...",
            parse=parse_device,
            role="other",
        ),
    ] = "cpu"
    precision: Annotated[
        str,
        Option(
            "--precision",
            "Performance",
            "Precision of the network; bfloat16 features differ by 1 %.",
            choices=("float32", "bfloat16"),
            role="other",
        ),
    ] = "float32"

    def check(self) -> None:
        """Refuse the published weights for features that are not Inception's."""
        if self.features != INCEPTION and (self.weights or self.download):
            raise UserError(f"--weights and --download are for --features {INCEPTION}; pass one")


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

    def run(self) -> int:
        """Run the command and return its exit status."""
        from unsup_fast.cli.scores.run import fid

        return fid(self)


@dataclass(frozen=True, kw_only=True)
class InceptionScoreSettings(ScoreSettings):
    """Print the Inception Score of FAKE, mean and standard deviation over parts; 1 is worst.

    Parts are consecutive: shuffle pictures that are in the order of their classes.
    """

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

    def run(self) -> int:
        """Run the command and return its exit status."""
        from unsup_fast.cli.scores.run import inception_score

        return inception_score(self)


@dataclass(frozen=True, kw_only=True)
class KidSettings(ScoreSettings):
    """Print the Kernel (Inception) distance of FAKE to REAL, mean and deviation over subsets.

    It is unbiased, so it may be below zero where the samples are alike.
    """

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

    def run(self) -> int:
        """Run the command and return its exit status."""
        from unsup_fast.cli.scores.run import kid

        return kid(self)


@dataclass(frozen=True, kw_only=True)
class PrdcSettings(ScoreSettings):
    """Print precision, recall, density and coverage of FAKE among REAL; 1 is best."""

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

    def run(self) -> int:
        """Run the command and return its exit status."""
        from unsup_fast.cli.scores.run import prdc

        return prdc(self)


COMMANDS: tuple[type[ScoreSettings], ...] = (
    FidSettings,
    InceptionScoreSettings,
    KidSettings,
    PrdcSettings,
)

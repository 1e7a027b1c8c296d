"""The commands that score generated pictures, and their options."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unsup_fast.cli.diffusion.typer_options import OverwriteFile, Quiet, Seed, Threads, one_of
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.values import (
    INCEPTION,
    MOST,
    NONE,
    RESIZES,
    device,
    sides,
    weights_file,
)

if TYPE_CHECKING:
    from unsup_fast.cli.scores import Settings

PRECISIONS = ("float32", "bfloat16")
MOST_SUBSETS, MOST_SPLITS = 100_000, 10_000

HELD = "A folder or .zip of pictures, an .npz or .npy of pictures or of features [N, D]"

Real = Annotated[Path, typer.Argument(metavar="REAL", help=f"The data. {HELD}.")]
Fake = Annotated[Path, typer.Argument(metavar="FAKE", help="Generated samples, likewise.")]
RealOrStatistics = Annotated[
    Path,
    typer.Argument(metavar="REAL", help=f"The data. {HELD}, or an .npz with mu and sigma."),
]
Probable = Annotated[
    Path,
    typer.Argument(
        metavar="FAKE",
        help="A folder or .zip of pictures, an .npz or .npy of pictures or of probabilities "
        "[N, classes].",
    ),
]
Extractor = Annotated[
    str,
    typer.Option(
        "--features",
        metavar="inception|FILE.pth|none",
        help="What pictures become: features of the Inception network of the published scores, of "
        "the same network with weights of your own, or their pixels.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        callback=weights_file,
        help="Where pt_inception-2015-12-05-6726825d.pth is.  [default: $UNSUP_FAST_INCEPTION, or "
        "torch's cache]",
    ),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch the weights into torch's cache if need be.")
]
Resize = Annotated[
    str,
    typer.Option(
        "--resize",
        metavar="tensorflow|clean|pytorch-fid",
        help="How pictures come to 299 x 299: as in the original, in clean-fid, in pytorch-fid.",
    ),
]
BatchSize = Annotated[
    int,
    typer.Option("--batch-size", metavar="N", min=1, max=MOST, help="Pictures per batch."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=device,
        help="Device for the network: cpu, cuda, cuda:1 ...",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="float32|bfloat16",
        help="Precision of the network; bfloat16 features differ by 1 %.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="HxW", help="Bring pictures of files to one size first, in bytes."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="NAME", help="Which array of an .npz; needed if there are several."
    ),
]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE.json", help="Write the result there.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]


def fid(
    real: RealOrStatistics,
    fake: Fake,
    features: Extractor = "inception",
    weights: Weights = None,
    download: Download = False,
    resize: Resize = "tensorflow",
    save_statistics: Annotated[
        Path | None,
        typer.Option(
            "--save-statistics",
            metavar="FILE.npz",
            help="Save mean and covariance of REAL, to pass instead of REAL next time.",
        ),
    ] = None,
    batch_size: BatchSize = 32,
    device: Device = "cpu",
    precision: Precision = "float32",
    size: Size = None,
    key: Key = None,
    threads: Threads = None,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Print the Frechet (Inception) distance of FAKE to REAL; 0 is best.

    Statistics are the mean mu and covariance sigma of features, in the files of pytorch-fid.
    """
    settings = _settings("fid", locals())
    from unsup_fast.cli import scores

    return scores.fid(settings, real, fake, save=save_statistics)


def inception_score(
    fake: Probable,
    splits: Annotated[
        int,
        typer.Option(
            "--splits",
            metavar="N",
            min=1,
            max=MOST_SPLITS,
            help="Number of parts, scored separately.",
        ),
    ] = 10,
    features: Extractor = "inception",
    weights: Weights = None,
    download: Download = False,
    resize: Resize = "tensorflow",
    batch_size: BatchSize = 32,
    device: Device = "cpu",
    precision: Precision = "float32",
    size: Size = None,
    key: Key = None,
    threads: Threads = None,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Print the Inception Score of FAKE, mean and standard deviation over parts; 1 is worst.

    Parts are consecutive: shuffle pictures that are in the order of their classes.
    """
    settings = _settings("is", locals())
    from unsup_fast.cli import scores

    return scores.inception_score(settings, fake, splits=splits)


def kid(
    real: Real,
    fake: Fake,
    subsets: Annotated[
        int,
        typer.Option(
            "--subsets",
            metavar="N",
            min=0,
            max=MOST_SUBSETS,
            help="Number of subsets; 0 scores all samples together, once.",
        ),
    ] = 100,
    subset_size: Annotated[
        int, typer.Option("--subset-size", metavar="N", min=2, max=MOST, help="Samples per subset.")
    ] = 1000,
    seed: Seed = 0,
    features: Extractor = "inception",
    weights: Weights = None,
    download: Download = False,
    resize: Resize = "tensorflow",
    batch_size: BatchSize = 32,
    device: Device = "cpu",
    precision: Precision = "float32",
    size: Size = None,
    key: Key = None,
    threads: Threads = None,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Print the Kernel (Inception) distance of FAKE to REAL, mean and deviation over subsets.

    It is unbiased, so it may be below zero where the samples are alike.
    """
    settings = _settings("kid", locals())
    from unsup_fast.cli import scores

    return scores.kernel_distance(
        settings,
        real,
        fake,
        subsets=subsets,
        subset_size=subset_size,
        seed=seed,
    )


def prdc(
    real: Real,
    fake: Fake,
    k: Annotated[
        int,
        typer.Option(
            "-k",
            "--neighbours",
            metavar="N",
            min=1,
            max=MOST,
            help="Rank of the nearest neighbour that sets the radius.",
        ),
    ] = 3,
    features: Extractor = "inception",
    weights: Weights = None,
    download: Download = False,
    resize: Resize = "tensorflow",
    batch_size: BatchSize = 32,
    device: Device = "cpu",
    precision: Precision = "float32",
    size: Size = None,
    key: Key = None,
    threads: Threads = None,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Print precision, recall, density and coverage of FAKE among REAL; 1 is best."""
    settings = _settings("prdc", locals())
    from unsup_fast.cli import scores

    return scores.prdc(settings, real, fake, k=k)


COMMANDS: dict[str, Callable[..., int]] = {
    "fid": fid,
    "is": inception_score,
    "kid": kid,
    "prdc": prdc,
}


def _settings(command: str, options: dict[str, Any]) -> "Settings":
    """Return the options that the commands share, checked."""
    features, weights = options["features"], options["weights"]
    if features not in (INCEPTION, NONE) and Path(features).suffix not in (".pth", ".pt"):
        raise UserError(f"--features {features}: is not {INCEPTION}, {NONE} or a .pth file")
    if features not in (INCEPTION, NONE):
        weights_file(Path(features))
    if features != INCEPTION and (weights or options["download"]):
        raise UserError(f"--weights and --download are for --features {INCEPTION}; pass one")
    one_of("--resize", options["resize"], RESIZES)
    one_of("--precision", options["precision"], PRECISIONS)
    size = None if options["size"] is None else sides("--size", options["size"], square=False)
    from unsup_fast.cli.samples import Features
    from unsup_fast.cli.scores import Settings

    return Settings(
        command=command,
        features=Features(
            features=features,
            weights=weights,
            download=options["download"],
            resize=options["resize"],
            batch_size=options["batch_size"],
            device=options["device"],
            precision=options["precision"],
            size=size,
        ),
        **{name: options[name] for name in ("key", "threads", "out", "json", "quiet", "overwrite")},
    )

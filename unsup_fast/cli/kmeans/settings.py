"""The options of `unsup-fast kmeans`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import Engine, FitSettings, Resume, Weights
from unsup_fast.cli.settings import Option, shown
from unsup_fast.cli.values import WHOLE

STARTS = ("k-means++", "k-means||", "random")


def parse_n_clusters(option: str, text: str) -> int:
    """Return the number of clusters."""
    if re.fullmatch(f"{WHOLE}(:{WHOLE}){{1,2}}", text):
        raise UserError(
            f"{option} {text} is a range, and k-means takes one number; unsup-fast gmm -k {text} "
            "fits a mixture of each size and keeps the best"
        )
    if not re.fullmatch(f"-?0|-?{WHOLE}", text):
        raise UserError(f"{option} {shown(text)}: is not a number of clusters; write one as in 8")
    if int(text) < 1:
        raise UserError(f"{option} {text}: at least one cluster is needed")
    return int(text)


def parse_start(option: str, text: str) -> str:
    """Return the name of a start, or of a file of first centroids."""
    path = Path(text)
    if text not in STARTS and not path.suffix and not path.exists():
        raise UserError(
            f"{option} {shown(text)}: is not one of {', '.join(STARTS)}, and no such file"
        )
    return text


@dataclass(frozen=True, kw_only=True)
class KMeansSettings(FitSettings):
    """Cluster the rows of DATA: labels, a model, a summary and an HTML report go into OUT.

    Ctrl-C keeps the last finished iteration, and prints the command to resume.
    Results already in OUT are replaced only with --overwrite.
    """

    runner = "unsup_fast.cli.kmeans.run:run"

    n_clusters: Annotated[
        int, Option("-k --clusters N", "Model", "How many clusters.", parse=parse_n_clusters)
    ]
    weights: Weights = None
    init: Annotated[
        str,
        Option(
            "--init NAME|FILE.npy",
            "Model",
            "First centroids: k-means++ (not with --engine), k-means|| (for very many clusters), "
            "random rows, or those of a file.",
            parse=parse_start,
            suggested=STARTS,
        ),
    ] = "k-means++"
    levels: Annotated[
        int | None,
        Option(
            "--levels N",
            "Model",
            "Fit N clusters first and split each of them by a fit of its own, up to --clusters in "
            "all; then one iteration over all of these. Much faster for thousands of clusters.  "
            "[default: off]",
            least=1,
        ),
    ] = None
    max_iter: Annotated[
        int,
        Option("--max-iter N", "Model", "Maximum number of iterations.", least=1, role="extent"),
    ] = 300
    tol: Annotated[
        float,
        Option(
            "--tol X",
            "Model",
            "Stop when the centroids' summed squared movement is at most this times the mean "
            "variance of the columns; 0 continues until no label changes.",
            least=0,
        ),
    ] = 1e-4
    tol_inertia: Annotated[
        float | None,
        Option(
            "--tol-inertia X",
            "Model",
            "Stop also after an iteration that lowers inertia by no more than this share of "
            "it, as in 1e-5.  [default: off]",
            least=0,
            most=1,
        ),
    ] = None
    algorithm: Annotated[
        str,
        Option(
            "--algorithm",
            "Performance",
            "Lloyd variant; the result is the same.",
            choices=("auto", "lloyd", "elkan"),
            role="course",
        ),
    ] = "auto"
    engine: Engine = None
    metric: Annotated[
        str,
        Option(
            "--metric",
            "Model",
            "Distance between rows and centroids; cosine compares directions alone.",
            choices=("euclidean", "cosine"),
        ),
    ] = "euclidean"
    text: Annotated[
        Path | None,
        Option("--text FILE", "Output", "Text file for the report; line i belongs to row i."),
    ] = None
    resume: Resume = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast kmeans rows.npy -k 100 -o clusters",
        "unsup-fast kmeans embeddings.parquet -k 5000 --metric cosine --text titles.txt -o topics",
        "unsup-fast kmeans vectors.npy -k 16384 --levels 128 --init random -o cells",
    )

    def check(self) -> None:
        """Raise UserError if --levels does not fit the other options."""
        super().check()
        if self.levels is None:
            return
        if self.levels > self.n_clusters:
            raise UserError(
                f"--levels {self.levels}: exceeds the {self.n_clusters} clusters of -k; give a "
                f"number up to {self.n_clusters}"
            )
        if self.init not in STARTS:
            raise UserError(
                f"--levels and --init {self.init} exclude each other: each level chooses its own "
                f"start; give one of {', '.join(STARTS)}, or no --levels"
            )

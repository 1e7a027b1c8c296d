"""The options of `unsup-fast dedup`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.kmeans.settings import parse_n_clusters
from unsup_fast.cli.options import DataSettings, RunSettings, Seed, Threads
from unsup_fast.cli.settings import Option


@dataclass(frozen=True, kw_only=True)
class DedupSettings(DataSettings, RunSettings):
    """Find near-duplicates among the rows of DATA, and which rows to keep.

    Rows are compared with all others of their cluster: of -k clusters by k-means, of a fitted
    model, or of labels. A row is removed if a row before it, in the order of --keep, is as near as
    the threshold (SemDeDup). OUT receives keep, a bool for each row; pairs, with their similarity;
    a summary and an HTML report. Ctrl-C saves the pairs of the rows that were compared.
    """

    runner = "unsup_fast.cli.dedup.run:run"

    threshold: Annotated[
        float,
        Option(
            "--threshold X",
            "Model",
            "Least cosine similarity of near-duplicates, as in 0.95; with --metric euclidean the "
            "largest distance.",
            least=-1,
        ),
    ]
    n_clusters: Annotated[
        int | None,
        Option(
            "-k --clusters N",
            "Model",
            "Fit so many clusters first; the model and its labels go into OUT, too.",
            parse=parse_n_clusters,
        ),
    ] = None
    labels: Annotated[
        Path | None,
        Option(
            "--labels FILE",
            "Data",
            "The cluster of each row, as `kmeans` and `predict` write it: an .npy file, or a "
            "table with a column label. Rows with a negative label all stay.",
        ),
    ] = None
    model: Annotated[
        Path | None,
        Option(
            "--model MODEL",
            "Data",
            "A model.safetensors of k-means, or the directory of a run: its clusters.",
        ),
    ] = None
    metric: Annotated[
        str,
        Option(
            "--metric",
            "Model",
            "What the threshold is compared with, and for -k the metric of the clusters.",
            choices=("cosine", "euclidean"),
        ),
    ] = "cosine"
    keep: Annotated[
        str,
        Option(
            "--keep",
            "Model",
            "Which of near-duplicates to keep: the farthest from the centroid (hard), the nearest "
            "to it (easy), or a random one.",
            choices=("hard", "easy", "random"),
        ),
    ] = "hard"
    max_iter: Annotated[
        int,
        Option("--max-iter N", "Model", "Maximum number of iterations of k-means for -k.", least=1),
    ] = 100
    seed: Seed = 0
    threads: Threads = None
    working_memory: Annotated[
        int,
        Option(
            "--working-memory MIB",
            "Performance",
            "MiB that rows may take while they are compared; clusters may be larger.",
            least=1,
        ),
    ] = 1024
    text: Annotated[
        Path | None,
        Option("--text FILE", "Output", "Text file for the report; line i belongs to row i."),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast dedup embeddings.npy -k 1000 --threshold 0.95 -o dedup",
        "unsup-fast dedup embeddings.npy --model clusters --threshold 0.9 --keep easy -o dedup",
    )

    def check(self) -> None:
        """Refuse clusters of several origins, a threshold out of range, and other models."""
        origins = {"-k": self.n_clusters, "--labels": self.labels, "--model": self.model}
        passed = [name for name, value in origins.items() if value is not None]
        if len(passed) != 1:
            state = "exclude each other" if passed else "are all missing"
            raise UserError(f"{', '.join(passed or origins)}: {state}; pass one of {ALL}")
        low, high = (-1, 1) if self.metric == "cosine" else (0, float("inf"))
        if not low <= self.threshold <= high:
            allowed = "from -1 to 1" if self.metric == "cosine" else "of at least 0"
            raise UserError(
                f"--threshold {self.threshold:g}: with --metric {self.metric} pass a number "
                f"{allowed}"
            )
        if self.model is not None:
            from unsup_fast.cli.kinds import check_estimator

            check_estimator(self.model, "predict")


ALL = "-k, --labels and --model"

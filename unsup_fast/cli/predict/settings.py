"""The options of `unsup-fast predict`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import ModelSettings
from unsup_fast.cli.settings import Option


@dataclass(frozen=True, kw_only=True)
class PredictSettings(ModelSettings):
    """Write the cluster or component of each row of DATA by a fitted MODEL.

    Models are those of KMeans, MiniBatchKMeans and GaussianMixture. A model of a table with
    column names takes the columns of those names.
    """

    runner = "unsup_fast.cli.predict.run:run"

    distances: Annotated[
        bool,
        Option(
            "--distances",
            "Output",
            "k-means: write each row's distance to its centroid too, in the model's metric: a "
            "second column, or for .npy a second file, NAME.distances.npy.",
        ),
    ] = False
    proba: Annotated[
        bool,
        Option(
            "--proba",
            "Output",
            "Mixtures: write each row's probability of each component too: more columns, or "
            "for .npy a second file, NAME.probabilities.npy.",
        ),
    ] = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast predict clusters new.npy -o labels.npy --distances",
        "unsup-fast predict mixture/model.safetensors new.parquet -o labels.parquet --proba",
    )

    def check(self) -> None:
        """Refuse a model without labels, and both kinds of figures at once."""
        from unsup_fast.cli.kinds import check_estimator

        check_estimator(self.model, "predict")
        if self.distances and self.proba:
            raise UserError("--distances and --proba exclude each other; pass one of them")

"""The options of `unsup-fast transform`."""

from dataclasses import dataclass
from typing import ClassVar

from unsup_fast.cli.options import ModelSettings


@dataclass(frozen=True, kw_only=True)
class TransformSettings(ModelSettings):
    """Write the coordinates of each row of DATA by a fitted MODEL.

    Along the axes of a PCA or IncrementalPCA; for KMeans and MiniBatchKMeans the distances to all
    centroids. A model of a table with column names takes the columns of those names.
    """

    runner = "unsup_fast.cli.transform.run:run"

    examples: ClassVar[tuple[str, ...]] = ("unsup-fast transform axes new.npy -o coordinates.npy",)

    def check(self) -> None:
        """Refuse a model without coordinates."""
        from unsup_fast.cli.kinds import check_estimator

        check_estimator(self.model, "transform")

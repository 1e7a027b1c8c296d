"""What the parts of PCA and IncrementalPCA read and set of them."""

from typing import TYPE_CHECKING, Protocol

from unsup_fast._types import Array

if TYPE_CHECKING:
    import torch


class Decomposition(Protocol):
    """Parameters that both classes have, and what `standardize` sets."""

    n_threads: int | None
    device: "str | torch.device | None"
    scale_: Array
    """[D]: of the last fit, if it was standardized."""

"""What the parts of PCA and IncrementalPCA read and set of them."""

from typing import TYPE_CHECKING, Protocol

from unsup_fast._types import Array, ArrayLike

if TYPE_CHECKING:
    import torch


class Decomposition(Protocol):
    """Parameters that both classes have, and attributes that their parts read."""

    n_threads: int | None
    device: "str | torch.device | None"
    components_: ArrayLike
    scale_: Array
    """[D]: of the last fit, if it was standardized."""
    _deviations: Array
    """[K] float64, on the host: of the last fit"""

"""What the parts of `GaussianMixture` read and set of it."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unsup_fast._types import Array, ArrayLike

if TYPE_CHECKING:
    import torch


class MixtureEstimator(Protocol):
    """Parameters of `GaussianMixture`, and attributes that are not those of the mixture."""

    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    weights_init: ArrayLike | None
    means_init: ArrayLike | None
    precisions_init: ArrayLike | None
    warm_start: bool
    chunk_size: int | None
    n_threads: int | None
    device: "str | torch.device | None"
    standardize: bool
    means_: "ArrayLike"
    scale_: Array
    """[D]: of the last fit, if it was standardized."""
    _dtype: np.dtype[Any]
    """Type that the attributes were rounded to."""

"""Rows on a GPU: arrays as large as the rows stay there, and sums are copied to the host."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unsup_fast._rows import arrays
from unsup_fast._rows.tensors import to_user
from unsup_fast.kernels import assign as assigning
from unsup_fast.kernels import em as expectation
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.em import EStep
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus
from unsup_fast.mixture._passes import Place

Array = npt.NDArray[Any]


def _there(value: Any, X: Any) -> Any:
    """Return an array as a tensor on the device of X; other values stay as they are."""
    return arrays.to_device(value, X.device)


def _on_host(e_step: EStep) -> EStep:
    """Copy the sums to the host in one transfer; tensors as long as the rows stay."""
    sums: list[Any] = [value for value in e_step[:5] if value is not None]
    together = torch.cat([value.reshape(-1) for value in sums]).cpu().numpy()
    ends = np.cumsum([value.numel() for value in sums])
    parts = np.split(together, ends[:-1])
    likelihood, weight, *moments_ = (
        part.reshape(value.shape) for part, value in zip(parts, sums, strict=True)
    )
    host: list[Any] = moments_ or [None] * 3
    return EStep(float(likelihood), float(weight), host[0], host[1], host[2], *e_step[5:])


def _em(X: Any, *mixture: Any, n_threads: int, **options: Any) -> EStep:
    parameters: list[Any] = [_there(value, X) for value in mixture]
    return _on_host(expectation.em(X, *parameters, **options))


def _moments_given(
    X: Any, means: Array, covariance_type: str, *, n_threads: int, **options: Any
) -> EStep:
    tensors = {name: _there(value, X) for name, value in options.items()}
    return _on_host(expectation.gmm_moments(X, _there(means, X), covariance_type, **tensors))


def _assign(X: Any, centers: Array, *, shift: Array, n_threads: int, **options: Any) -> Assigned:
    """Return sums on the host; labels and distances stay."""
    assigned = assigning.assign(X, _there(centers, X), shift=_there(shift, X), **options)
    return assigned._replace(
        sums=arrays.on_host(assigned.sums), weights=arrays.on_host(assigned.weights)
    )


def _seed(
    X: Any,
    n_components: int,
    random_state: np.random.RandomState,
    *,
    sample_weight: Any,
    n_threads: int,
    progress: Any,
) -> Array:
    chosen = kmeans_plusplus(X, n_components, random_state, sample_weight=sample_weight)
    host: Array = chosen.cpu().numpy()
    return host


def _take(X: Any, rows: Array) -> Array:
    taken: Array = X.index_select(0, _there(rows, X)).cpu().numpy()
    return taken


def _joined(parts: list[Any], X: Any) -> Any:
    return to_user(parts[0] if len(parts) == 1 else torch.cat(parts), X)


PLACE = Place(_em, _moments_given, _assign, _seed, _take, _joined)

"""`DeviceRows`: a tensor on a GPU, where all that is as large as the rows stays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_fast._cached import cached_property
from unsup_fast._rows import arrays, scaling, tensors
from unsup_fast._rows.covariance import EMPTY, Progress
from unsup_fast._rows.directions import COST, unit_rows
from unsup_fast._rows.draws import Masses, masses_of
from unsup_fast._rows.protocol import Spread
from unsup_fast._rows.tensor_covariance import covariance
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.kernels.covariance import Covariance, merge
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus
from unsup_fast.kernels.moments import Moments
from unsup_fast.kernels.nearest import Nearest
from unsup_fast.kernels.origin import median_row, sample_slice


@dataclass(frozen=True, kw_only=True)
class DeviceRows:
    """Rows in the memory of a device. Attributes are those of the protocol `Rows`."""

    X: Tensor
    n_threads: int
    name: str = "X"
    sample_weight: Tensor | None = None
    model_origin: Array | None = None
    """[D]: the origin of a fitted model; None for that of these rows."""
    user_device: torch.device | None = None
    """The device of the tensor that the user passed; None for an array."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    @property
    def n_rows_if_known(self) -> int:
        """Number of rows."""
        return self.n_rows

    @property
    def is_in_memory(self) -> bool:
        """Whether X holds all rows at once: it does."""
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return self.n_rows, self.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return tensors.dtype_of(self.X)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.X.device

    @cached_property
    def moments(self) -> Moments:
        """Mean, variance and largest deviation of the columns."""
        return tensors.moments(self.X)

    @cached_property
    def sample(self) -> Array:
        """About a hundred evenly spaced rows, on the host."""
        sample: Array = self.X[sample_slice(self.n_rows)].cpu().numpy()
        return sample

    @cached_property
    def origin(self) -> Array:
        """[D], type of X, on the host: the median of `sample`, or that of a fitted model."""
        origin = median_row(self.sample) if self.model_origin is None else self.model_origin
        return origin.astype(self.dtype, copy=False)

    @cached_property
    def shift(self) -> Tensor:
        """The origin on the device, which kernels subtract."""
        return self.to_device(self.origin)

    @property
    def masses(self) -> Masses:
        """The weights as whole numbers, to draw rows by."""
        return masses_of(self.to_host(self.sample_weight), self.n_rows)

    @property
    def block_size(self) -> int:
        """Rows of a block: all."""
        return self.n_rows

    def about(self, origin: Array) -> "DeviceRows":
        """Return the rows as measured from the origin [D] of a fitted model."""
        return replace(self, model_origin=origin)

    def weighted(self, sample_weight: Any) -> "DeviceRows":
        """Return the rows with weights, which are validated; see `arrays.weights`."""
        weight = arrays.weights(arrays.on_host(sample_weight), self.n_rows, self.dtype)
        return replace(self, sample_weight=arrays.to_device(weight, self.device))

    def astype(self, dtype: Any) -> "DeviceRows":
        """Return the rows in float32 or float64."""
        wide = torch.float32 if np.dtype(dtype) == np.float32 else torch.float64
        return replace(self, X=self.X.to(wide))

    def divided(self, scale: Array) -> "DeviceRows":
        """Return the rows with their columns divided by `scale` [D]; see `scaling.divided`."""
        return replace(self, X=scaling.divided(self.X, scale))

    def normalized(self) -> "DeviceRows":
        """Return the rows at unit length; see `directions.unit_rows`."""
        return replace(self, X=unit_rows(self.X))

    def finite(self, owner: str) -> "DeviceRows":
        """Return the rows unchanged: they were checked when they came to the device."""
        return self

    def covariance(
        self, owner: str, before: Covariance = EMPTY, progress: Progress | None = None
    ) -> Covariance:
        """Return mean and scatter of the rows, merged with those of the rows `before`."""
        total = merge(before, covariance(self.X))
        if progress is not None:
            progress(self.n_rows, self.n_rows)
        return total

    def in_memory(self, *, copy: bool = False) -> "DeviceRows":
        """Return the rows unchanged."""
        return self

    def deviations(self) -> Array:
        """Return the standard deviations [D], type of X, that `standardize` divides by."""
        return tensors.deviations(self.X, self.sample_weight)

    def spread(self) -> Spread:
        """Return how far the rows lie from their origin."""
        variance, farthest = tensors.variance(self.X, self.shift)
        return Spread(variance=variance, farthest=farthest)

    def rescaled(self) -> "DeviceRows":
        """Return the rows unchanged: the kernels of a device scale them by themselves."""
        return self

    def take(self, indices: Array) -> Array:
        """Return some rows [M, D] on the host."""
        chosen = torch.from_numpy(indices.copy()).to(self.device)  # strides may be negative
        rows: Array = self.X.index_select(0, chosen).cpu().numpy()
        return rows

    def subset(self, indices: Array) -> "DeviceRows":
        """Return some rows with their weights, about the same origin."""
        chosen = torch.from_numpy(indices.copy()).to(self.device)
        weight = self.sample_weight
        return replace(
            self,
            X=self.X.index_select(0, chosen),
            sample_weight=None if weight is None else weight.index_select(0, chosen),
            model_origin=self.origin,
        )

    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows with their slice, or at most `most` at a time."""
        step = most or self.n_rows
        for start in range(0, self.n_rows, step):
            part = slice(start, min(start + step, self.n_rows))
            yield part, self.X[part]

    def assign(self, centers: Tensor, *, labels: Tensor | None = None, **wanted: Any) -> Assigned:
        """Make a pass of `kernels.assign` over the rows; `labels` are not changed.

        Nothing waits for the device.
        """
        return assign(
            self.X,
            centers,
            sample_weight=self.sample_weight,
            shift=self.shift,
            labels=None if labels is None else labels.clone(),
            **wanted,
        )

    def nearest(self, centers: Tensor, top: int) -> Nearest:
        """Raise ValueError: no kernel of the GPU does this."""
        raise ValueError(
            f"the nearest centroids are computed on the CPU, and {self.name} is on {self.device}; "
            f"pass {self.name} in CPU memory to a model with device='cpu'"
        )

    def distances(self, centers: Tensor, metric: str) -> Tensor:
        """Return the distance [N, K] of each row to each centroid, computed in float64."""
        shift = self.shift.double()
        moved = centers.double() - shift  # [K, D]
        out = torch.empty((self.n_rows, len(centers)), dtype=self.X.dtype, device=self.device)
        for first, block in tensors.blocks(self.X, max(len(centers), self.n_columns)):
            x = block.double() - shift  # [B, D]
            distance = torch.cdist(x, moved, compute_mode="donot_use_mm_for_euclid_dist")  # [B, K]
            if metric == "cosine":
                distance = COST["cosine"] * distance**2
            out[first : first + len(block)] = distance
        return out

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        *,
        n_local_trials: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Return the indices [K] of rows that greedy k-means++ chooses; no progress is reported."""
        chosen: Array = (
            kmeans_plusplus(
                self.X,
                n_clusters,
                random_state,
                sample_weight=self.sample_weight,
                n_local_trials=n_local_trials,
            )
            .cpu()
            .numpy()
        )
        return chosen

    def to_device(self, value: Array) -> Tensor:
        """Return an array as a tensor of its own on the device of the rows."""
        return torch.from_numpy(value).to(self.device, copy=True)

    def to_host(self, value: Any) -> Any:
        """Return a result as an array; numbers and None stay as they are."""
        return arrays.on_host(value)

    def to_user(self, value: Tensor) -> "Array | Tensor":
        """Return a result as an array, or a tensor on the device of the user's tensor."""
        return value.cpu().numpy() if self.user_device is None else value.to(self.user_device)

    def to_callback(self, value: Tensor) -> "Array | Tensor":
        """Return a result as `to_user` does."""
        return self.to_user(value)

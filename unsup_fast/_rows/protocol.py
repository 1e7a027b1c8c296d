"""`Rows`: what an estimator asks of its rows, wherever they are.

`HostRows` are an array or a CSR matrix in memory, `SourceRows` come in blocks, and `DeviceRows` are
a tensor on a GPU. `validate.rows` chooses one of them, and no estimator asks which.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from unsup_fast._rows.covariance import EMPTY, Progress
from unsup_fast._rows.draws import Masses
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.covariance import Covariance
from unsup_fast.kernels.moments import Moments
from unsup_fast.kernels.nearest import Nearest

if TYPE_CHECKING:
    import torch

    ArrayOrTensor: TypeAlias = Array | torch.Tensor


class Spread(NamedTuple):
    """How far rows lie from their origin."""

    variance: Array
    """[D] float64: variance of each column."""
    farthest: float
    """Largest difference of a value from the origin."""


class Rows(Protocol):
    """N rows of D columns, their weights, and the origin that they are measured from.

    Rows do not change: methods that change them return others. Indices, origins and scales are
    arrays on the host; centroids and results are where the rows are.
    """

    @property
    def X(self) -> Any:
        """[N, D], float32 or float64: an ndarray, a CSR matrix, a `Source` or a tensor."""

    @property
    def name(self) -> str:
        """What error messages call X."""

    @property
    def n_threads(self) -> int:
        """Threads that the CPU's kernels run."""

    @property
    def sample_weight(self) -> "ArrayOrTensor | None":
        """[N], type of X, where X is; None for ones."""

    @property
    def user_device(self) -> "torch.device | None":
        """The device of the tensor that the user passed; None for any other kind of rows."""

    @property
    def n_rows(self) -> int:
        """Number of rows; a source may be read to count them."""

    @property
    def n_columns(self) -> int:
        """Number of columns."""

    @property
    def n_rows_if_known(self) -> int | None:
        """Number of rows; None if a source would be read to count them."""

    @property
    def is_in_memory(self) -> bool:
        """Whether X holds all rows at once, on the host or a device."""

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""

    @property
    def device(self) -> "torch.device | None":
        """The GPU that computes, or None for the CPU."""

    @property
    def moments(self) -> Moments | None:
        """Mean, variance and largest deviation of the columns; None for CSR."""

    @property
    def sample(self) -> Array:
        """About a hundred evenly spaced rows, dense, on the host."""

    @property
    def origin(self) -> Array:
        """[D], type of X, on the host: the median of `sample`, or that of a fitted model."""

    @property
    def shift(self) -> "ArrayOrTensor | None":
        """The origin where the rows are, for kernels; None for CSR, which is not shifted."""

    @property
    def masses(self) -> Masses:
        """The weights as whole numbers, to draw rows by."""

    @property
    def block_size(self) -> int:
        """Rows of a block: sums of floating-point numbers are those of blocks, added in order."""

    def about(self, origin: Array) -> "Rows":
        """Return the rows as measured from the origin [D] of a fitted model."""

    def weighted(self, sample_weight: Any) -> "Rows":
        """Return the rows with weights, which are validated; see `arrays.weights`."""

    def astype(self, dtype: Any) -> "Rows":
        """Return the rows in float32 or float64."""

    def divided(self, scale: Array) -> "Rows":
        """Return the rows with their columns divided by `scale` [D]; see `scaling.divided`."""

    def normalized(self) -> "Rows":
        """Return the rows at unit length; see `directions.unit_rows`."""

    def in_memory(self, *, copy: bool = False) -> "Rows":
        """Return the rows of a source as an array if they need no copy, or with `copy`.

        Any other rows are returned unchanged.
        """

    def deviations(self) -> Array:
        """Return the standard deviations [D], type of X, that `standardize` divides by."""

    def spread(self) -> Spread:
        """Return how far the rows lie from their origin."""

    def rescaled(self) -> "Rows":
        """Return the rows times a power of two that keeps squared distances within their type."""

    def finite(self, owner: str) -> "Rows":
        """Return the rows after a check that they are finite, if that is still to be done.

        Blocks are checked when they are read, and a device's rows were when they came there.

        Parameters
        ----------
        owner : str
            Class of the estimator, for the error message.

        Raises
        ------
        ValueError
            See `arrays.raise_bad`.
        """

    def covariance(
        self, owner: str, before: Covariance = EMPTY, progress: Progress | None = None
    ) -> Covariance:
        """Return mean and scatter of the rows, merged with those of the rows `before`.

        Rows that were not checked to be finite are checked here; `progress` is called with how many
        rows are done, and how many there are or None. See `covariance.merged_covariance`.
        """

    def take(self, indices: Array) -> Any:
        """Return some rows [M, D] on the host, an ndarray or CSR matrix of their own."""

    def subset(self, indices: Array) -> "Rows":
        """Return some rows with their weights, about the same origin."""

    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield the rows part by part, each with its slice.

        Parameters
        ----------
        most : int, optional
            Most rows of a part, if they are in memory; None for all. A source has its own blocks.
        """

    def assign(
        self, centers: Any, *, labels: "ArrayOrTensor | None" = None, **wanted: Any
    ) -> Assigned:
        """Make a pass of `kernels.assign` over the rows, with their weights and shift.

        Parameters
        ----------
        centers : ndarray or tensor of shape (K, D), type of X
            Where the rows are.
        labels : int32 ndarray or tensor of shape (N,), optional
            Those of the pass before; an array is overwritten.
        **wanted
            Options of `kernels.assign.assign`.
        """

    def nearest(self, centers: Any, top: int) -> Nearest:
        """Return the `top` nearest centroids of each row, with their squared distances.

        Parameters
        ----------
        centers : ndarray of shape (K, D), type of X
        top : int
            See `kernels.nearest.nearest`.

        Raises
        ------
        ValueError
            If the rows are on a GPU.
        """

    def distances(self, centers: Any, metric: str) -> "ArrayOrTensor":
        """Return the distance [N, K] of each row to each centroid, computed in float64."""

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        *,
        n_local_trials: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Return the indices [K] of rows that greedy k-means++ chooses; see `kernels`."""

    def to_device(self, value: Array) -> Any:
        """Return an array where the rows are."""

    def to_host(self, value: Any) -> Any:
        """Return a result as an array on the host; numbers and None stay as they are."""

    def to_user(self, value: Any) -> Any:
        """Return a result as the kind of array that the user passed, on its device."""

    def to_callback(self, value: Any) -> Any:
        """Return a result that a callback may read while it is still in use."""

"""Passes over the rows: one labels them for some centroids and moves the centroids."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


class LazyLabels(Protocol):
    """Labels of rows in other processes, which ``numpy.asarray`` gathers."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all labels, [N] int32."""


class Step(NamedTuple):
    """Result of the pass of one iteration. Arrays are tensors if the rows are on a device."""

    inertia: float
    """Sum of squared distances to the centroids that it started from."""
    n_changed: int
    """Rows whose label changed."""
    labels: "ArrayOrTensor | LazyLabels"
    """[N] int32: of the centroids that it started from; the next pass may overwrite it."""
    centers: "ArrayOrTensor"
    """[K, D], type of X: the centroids after it."""
    original: "ArrayOrTensor"
    """[K, D]: the same in the units of X."""
    center_shift: float
    """Sum over the centroids of their squared movement."""


class Final(NamedTuple):
    """The rows as the last centroids label them."""

    labels: "ArrayOrTensor | LazyLabels"
    """[N] int32."""
    sizes: "ArrayOrTensor"
    """[K] int64: rows of each cluster."""
    inertia: float
    """Sum of squared distances to these centroids."""


class Passes(Protocol):
    """Labels the same rows again and again.

    An implementation may queue the pass of the next iteration before it returns a step, so that a
    device is busy while the host reads the result.
    """

    @property
    def rows(self) -> Rows:
        """The rows."""

    def begin(self, centers: Any) -> None:
        """Start a run from centroids [K, D], where the rows are; all labels are -1."""

    def resume(self, centers: Any, before: Any) -> None:
        """Start a run from centroids [K, D], with the labels of those before them."""

    def step(self, centers: Any, remaining: int) -> Step:
        """Label the rows for the centroids of the step before, and move the centroids.

        Parameters
        ----------
        centers : ndarray or tensor of shape (K, D)
            Those of `begin` or of the last step.
        remaining : int
            Largest number of steps that may follow.
        """

    def finish(self, centers: Any, *, settled: bool, interrupted: bool) -> Final:
        """Label the rows for the centroids of the last step.

        Parameters
        ----------
        centers : ndarray or tensor of shape (K, D)
        settled : bool
            Whether they did not move in that step, whose labels are then theirs.
        interrupted : bool
            Whether a KeyboardInterrupt came, so that a queued pass may be of other centroids.
        """

"""Passes on a GPU: the rows stay there, and an iteration waits only for the previous one.

While the pass over the rows of iteration i + 1 runs, the host reads the state of iteration i. If i
was the last iteration, the pass has labelled the rows for its centroids, which `fit` needs anyway.
"""

from typing import Any

import torch
from torch import Tensor

from unsup_fast._rows import scaling, tensors
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _update
from unsup_fast.cluster._far import farthest
from unsup_fast.cluster._passes import Final, Step
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.assign.triton_ import AssignCache, width


class DevicePasses:
    """Labels rows on a device again and again, one pass ahead of the host.

    Parameters
    ----------
    rows : DeviceRows
    metric : {"euclidean", "cosine"}
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    """

    def __init__(
        self, rows: Rows, *, metric: str = "euclidean", scale: Array | None = None
    ) -> None:
        self.rows, self.metric, self._host_scale = rows, metric, scale
        self._scale: Tensor | None = None if scale is None else rows.to_device(scale)
        self._cache: AssignCache | None = None
        self._queued: Assigned | None = None

    def begin(self, centers: Tensor) -> None:
        """Start a run, and queue the pass of its first iteration."""
        self._cache = self._queued = None  # those of the run before need room on the device
        X: Tensor = self.rows.X
        room = 2 * len(X) * width(X.shape[1])  # bytes of packed rows
        fits = X.device.type != "cuda" or room < torch.cuda.mem_get_info(X.device)[0] // 2
        weight: Any = self.rows.sample_weight
        shift: Any = self.rows.shift
        self._cache = AssignCache(X, centers, weight, shift, fits)
        labels = torch.full((len(X),), -1, dtype=torch.int32, device=X.device)
        self._queued = self._assign(centers, labels)

    def resume(self, centers: Tensor, before: Tensor) -> None:
        """Start a run from centroids, with the labels of those before them."""
        self.begin(before)
        assert self._queued is not None
        labels: Any = self._queued.labels
        self._queued = self._assign(centers, labels)

    def step(self, centers: Tensor, remaining: int) -> Step:
        """Move the centroids by the queued pass, and queue the next; see `Passes.step`."""
        assigned, cache = self._queued, self._cache
        assert assigned is not None
        assert cache is not None
        labels: Any = assigned.labels
        moved, original, state = self._moved(centers, assigned)
        numbers = AsyncScalars(state)
        following = self._assign(moved, labels)
        inertia, n_changed, center_shift, n_empty = numbers.values()
        if n_empty:
            moved, original, center_shift = self._relocated(centers, assigned)
            cache.totals.clear()
            following = self._assign(moved, labels)
        self._queued = following
        return Step(
            inertia=inertia,
            n_changed=int(n_changed),
            labels=labels,
            centers=moved,
            original=original,
            center_shift=center_shift,
        )

    def finish(self, centers: Tensor, *, settled: bool, interrupted: bool) -> Final:
        """Return what the queued pass labelled; see `Passes.finish`."""
        assigned = self.rows.assign(centers, update=False) if interrupted else self._queued
        assert assigned is not None
        self._cache = self._queued = None  # the next run's start needs the room
        labels: Any = assigned.labels
        return Final(
            labels=labels,
            sizes=torch.bincount(labels, minlength=len(centers)),
            inertia=float(assigned.inertia),
        )

    def _assign(self, centers: Tensor, labels: Tensor) -> Assigned:
        return self.rows.assign(centers, labels=labels, cache=self._cache)

    def _moved(self, centers: Tensor, assigned: Assigned) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weighted means [K, D], the same in the units of X, and the state [4].

        The state holds the inertia, the number of changed labels, the summed squared movement and
        the number of empty clusters.
        """
        sums: Any = assigned.sums
        weights: Any = assigned.weights
        shift: Any = self.rows.shift
        filled = (weights > 0)[:, None]
        means = shift.double() + sums / torch.where(filled, weights[:, None], 1.0)
        if self.metric == "cosine":
            means = tensors.directions(means, centers)
        moved = original = torch.where(filled, means.to(centers.dtype), centers)
        if self._scale is not None:
            original, moved = scaling.rounded(moved, self._scale)
        movement = ((moved.double() - centers.double()) ** 2).sum()
        vanished = (movement == 0) & (moved != centers).any()
        movement = torch.where(vanished, _update.VANISHED, movement)
        n_empty = (weights == 0).sum()
        state = torch.stack(
            [assigned.inertia, assigned.n_changed.double(), movement, n_empty.double()]
        )
        return moved, original, state

    def _relocated(self, centers: Tensor, assigned: Assigned) -> tuple[Tensor, Tensor, float]:
        """Return what `_moved` does, with empty clusters filled as on the CPU, and the movement."""
        before, sums, weights = (
            self.rows.to_host(value) for value in (centers, assigned.sums, assigned.weights)
        )
        after = _update.updated(
            self.rows,
            self.metric,
            before,
            sums,
            weights,
            lambda centers, count: farthest(
                self.rows, self.metric, centers, assigned.labels, count
            ),
        )
        moved, original, center_shift = _update.in_units(before, after, self._host_scale)
        return self.rows.to_device(moved), self.rows.to_device(original), center_shift


class AsyncScalars:
    """Numbers that are being copied to the host.

    Parameters
    ----------
    state : tensor of shape (M,), float64
    """

    def __init__(self, state: Tensor) -> None:
        self._state, self._event = state, None
        if state.device.type == "cuda":
            self._state = torch.empty(state.shape, dtype=state.dtype, pin_memory=True)
            self._state.copy_(state, non_blocking=True)
            self._event = torch.cuda.current_stream(state.device).record_event()

    def values(self) -> list[float]:
        """Wait for the numbers, and for nothing that was queued on the device after them."""
        if self._event is not None:
            self._event.synchronize()
        numbers: list[float] = self._state.tolist()
        return numbers

"""k-means on a GPU: the rows stay there, and an iteration waits only for the previous one.

While the pass over the rows of iteration i + 1 runs, the host reads the state of iteration i. If i
was the last iteration, the pass has labelled the rows for its centroids, which `fit` needs anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from unsup_fast._rows import arrays, scaling, tensors
from unsup_fast._rows.directions import COST, rounding
from unsup_fast._rows.tensors import blocks, dtype_of, to_user
from unsup_fast.cluster import _init, _input, _lloyd, _parallel
from unsup_fast.cluster._centers import centers_of, origin_of
from unsup_fast.cluster._lloyd import Iteration, Run
from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.kernels.assign.triton_ import AssignCache, width
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus
from unsup_fast.kernels.origin import origin


class HostRows:
    """Shape and NumPy type of rows on the device, for code that runs on the CPU."""

    def __init__(self, X: Any) -> None:
        self.shape, self.dtype = tuple(X.shape), dtype_of(X)


@dataclass(frozen=True)
class HostPasses:
    """Adapter of a problem to `_lloyd._updated` (empty clusters) and `_parallel` (k-means||)."""

    problem: "Problem"

    @property
    def X(self) -> HostRows:
        """The rows."""
        return HostRows(self.problem.X)

    @property
    def shift(self) -> Any:
        """The shift as an array [D]."""
        return self.problem.shift.cpu().numpy()

    @property
    def sample_weight(self) -> Any:
        """The weights as an array [N], or None."""
        weight = self.problem.sample_weight
        return None if weight is None else weight.cpu().numpy()

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.problem.X)

    def nearest(self, centers: Any) -> tuple[Any, Any]:
        """Return each row's nearest center, [N] int32, and its squared distance [N]."""
        on_device = torch.from_numpy(centers).to(self.problem.X.device)
        options = {"update": False, "return_distances": True}
        assigned = _on_host(_assign(self.problem, on_device, None, **options))
        return assigned.labels, assigned.distances

    def distances(self, centers: Any, labels: Any) -> Any:
        """Return the squared distance [N] of each row to the centroid of its label."""
        device = self.problem.X.device
        options = {"update": False, "labels_current": True, "return_distances": True}
        on_device = torch.from_numpy(centers).to(device), torch.from_numpy(labels).to(device)
        return arrays.on_host(
            _assign(self.problem, on_device[0], None, on_device[1], **options).distances
        )

    def take(self, rows: Any) -> Any:
        """Return the rows [M, D] of these indices."""
        chosen = torch.from_numpy(rows.copy()).to(self.problem.X.device)  # strides may be negative
        return self.problem.X.index_select(0, chosen).cpu().numpy()


@dataclass(frozen=True)
class Problem:
    """What stays the same in all runs of one fit."""

    X: Any
    """[N, D] float32 or float64, contiguous."""
    sample_weight: Any
    """[N], type of X, or None."""
    shift: Any
    """[D], type of X."""
    max_iter: int
    tol: float
    """Absolute: compared with the summed squared movement of the centroids."""
    give: Callable[[Any], Any]
    """Converts a tensor on the device to the kind of array that the user passed."""
    metric: str = "euclidean"
    """With "cosine", rows are of unit length and centroids are normalised to it."""
    scale: Any = None
    """[D], type of X: what the columns of the rows were divided by; None if they were not."""
    tol_inertia: float | None = None
    """Relative: compared with the decrease of inertia over an iteration; None for never."""

    @property
    def passes(self) -> HostPasses:
        """The adapter of the problem to code for the CPU."""
        return HostPasses(self)


def problem(estimator: Any, X: Any, sample_weight: Any, gpu: Any) -> tuple[Problem, Any]:
    """Validate the input of `fit`; return the problem and the median of the rows as an array."""
    rows = tensors.rows(X, gpu, estimator, reset=True).contiguous()
    n_rows = len(rows)
    if n_rows < estimator.n_clusters:
        raise ValueError(
            f"n_samples={n_rows} should be >= n_clusters={estimator.n_clusters}. "
            f"Pass n_clusters <= {n_rows}."
        )
    weight = _input.weights(arrays.on_host(sample_weight), HostRows(rows))
    if weight is not None:
        weight = torch.from_numpy(weight).to(gpu)
    scale = None
    if estimator.standardize:
        scale = tensors.deviations(rows, weight)
        rows = scaling.divided(rows, scale)
    if estimator.metric == "cosine":
        rows = _unit(rows, "X")
    shift = origin(rows)
    variance, farthest = tensors.variance(rows, shift)  # [D]
    _input.check_range(farthest, HostRows(rows).dtype)
    _input.check_squares(variance, HostRows(rows), arrays.on_host(weight))
    tol = float(estimator.tol * variance.mean())
    problem = Problem(
        rows,
        weight,
        shift,
        estimator.max_iter,
        tol,
        lambda value: to_user(value, X),
        estimator.metric,
        None if scale is None else torch.from_numpy(scale).to(gpu),
        estimator.tol_inertia,
    )
    return problem, shift.cpu().numpy()


def _unit(X: Any, name: str) -> Any:
    return tensors.unit_rows(X, rounding(HostRows(X)), name)


def start(
    problem: Problem,
    init: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Return the starting centroids [K, D] of one run; parameters as in `_init.start`."""
    X, weight = problem.X, problem.sample_weight
    if callable(init):
        init = _init.given(init(X, n_clusters, random_state=random_state), HostRows(X), n_clusters)
    if isinstance(init, np.ndarray):
        return torch.from_numpy(init).to(X.device, copy=True)
    if init == "random":
        share = np.ones(len(X)) if weight is None else weight.cpu().numpy()
        drawn = random_state.choice(len(X), n_clusters, replace=False, p=share / share.sum())
        chosen = torch.from_numpy(drawn).to(X.device)
    elif init == "k-means||":
        drawn = _parallel.parallel(
            problem.passes,
            n_clusters,
            random_state,
            sample_weight=problem.passes.sample_weight,
            progress=progress,
        )
        chosen = torch.from_numpy(drawn).to(X.device)
    else:
        chosen = kmeans_plusplus(X, n_clusters, random_state, sample_weight=weight)
    return X.index_select(0, chosen)


def lloyd(
    problem: Problem,
    centers: Any,
    run: int = 1,
    report: Callable[[Iteration], None] | None = None,
) -> Run:
    """Iterate as `_lloyd.lloyd` does; centroids, labels and sizes of the result are tensors."""
    inertias: list[float] = []
    changes: list[int] = []
    interrupt, ahead = None, None
    reason = f"max_iter={problem.max_iter} reached"
    began = perf_counter()
    if problem.metric == "cosine":
        centers = _unit(centers, "init")
    cost = COST[problem.metric]
    try:
        cache = _cache(problem, centers)
        labels = torch.full((len(problem.X),), -1, dtype=torch.int32, device=problem.X.device)
        assigned = _assign(problem, centers, cache, labels=labels)
        for iteration in range(1, problem.max_iter + 1):
            moved, original, state = _updated(problem, centers, assigned)
            later = _Later(state)
            ahead = _assign(problem, moved, cache, assigned.labels)
            inertia, changed, movement, empty = later.values()
            if empty:
                moved, original, movement = _relocated(problem, centers, assigned)
                cache.totals.clear()
                ahead = _assign(problem, moved, cache, assigned.labels)
            centers, shown = moved, original
            inertias.append(cost * inertia)
            changes.append(int(changed))
            if report is not None:
                report(
                    Iteration(
                        run,
                        iteration,
                        problem.max_iter,
                        inertias[-1],
                        int(changed),
                        movement,
                        problem.tol,
                        perf_counter() - began,
                        problem.give(shown),
                        problem.give(assigned.labels),
                    )
                )
            if changed == 0:
                reason = "strict convergence"
                break
            if movement <= problem.tol:
                reason = f"center shift {movement:.6g} within tolerance {problem.tol:.6g}"
                break
            if _lloyd.stagnates(inertias, problem.tol_inertia):
                reason = f"decrease of inertia within tolerance {problem.tol_inertia:.6g}"
                break
            assigned = ahead
    except KeyboardInterrupt as caught:
        if not inertias:
            raise
        interrupt, reason, ahead = caught, "interrupted", None
    inertia, labels, sizes = inertias[-1], None, torch.zeros(len(centers), dtype=torch.int64)
    try:
        if ahead is None:
            ahead = _assign(problem, centers, None, update=False)
        inertia = cost * float(ahead.inertia)
        labels = ahead.labels
        sizes = torch.bincount(labels, minlength=len(centers))
    except KeyboardInterrupt as caught:
        interrupt, reason, labels = caught, "interrupted", None
    return Run(
        problem.give(shown),
        None if labels is None else problem.give(labels),
        problem.give(sizes),
        inertia,
        np.array(inertias),
        np.array(changes, dtype=np.int64),
        reason,
        interrupt,
    )


def _cache(problem: Problem, centers: Any) -> AssignCache:
    X = problem.X
    room = 2 * len(X) * width(X.shape[1])  # bytes of packed rows
    fits = X.device.type != "cuda" or room < torch.cuda.mem_get_info(X.device)[0] // 2
    return AssignCache(X, centers, problem.sample_weight, problem.shift, fits)


def _assign(
    problem: Problem, centers: Any, cache: AssignCache | None, labels: Any = None, **options: Any
) -> Assigned:
    """Make one pass; `labels` are those of the previous pass, and are not changed."""
    return assign(
        problem.X,
        centers,
        sample_weight=problem.sample_weight,
        shift=problem.shift,
        labels=None if labels is None else labels.clone(),
        cache=cache,
        **options,
    )


def _on_host(assigned: Assigned) -> Assigned:
    return Assigned(*(arrays.on_host(value) for value in assigned))


def _updated(problem: Problem, centers: Any, assigned: Assigned) -> tuple[Any, Any, Any]:
    """Return the weighted means [K, D], the same in the units of X, and the state [4].

    The state holds the inertia, the number of changed labels, the summed squared movement and the
    number of empty clusters.
    """
    sums: Any = assigned.sums
    weights: Any = assigned.weights
    filled = (weights > 0)[:, None]
    means = problem.shift.double() + sums / torch.where(filled, weights[:, None], 1.0)
    if problem.metric == "cosine":
        means = tensors.directions(means, centers)
    moved = original = torch.where(filled, means.to(centers.dtype), centers)
    if problem.scale is not None:
        original, moved = scaling.rounded(moved, problem.scale)
    movement = ((moved.double() - centers.double()) ** 2).sum()
    vanished = (movement == 0) & (moved != centers).any()
    movement = torch.where(vanished, _lloyd.VANISHED, movement)
    empty = (weights == 0).sum()
    state = torch.stack([assigned.inertia, assigned.n_changed.double(), movement, empty.double()])
    return moved, original, state


def _relocated(problem: Problem, centers: Any, assigned: Assigned) -> tuple[Any, Any, float]:
    """Return what `_updated` does, with empty clusters filled as on the CPU, and the movement."""
    before = centers.cpu().numpy()
    host: Any = problem
    host_assigned: Any = _on_host(assigned)
    after = original = _lloyd._updated(host, before, host_assigned.labels, host_assigned)
    if problem.scale is not None:
        original, after = scaling.rounded(after, problem.scale.cpu().numpy())
    moved, shown = (torch.from_numpy(value).to(centers.device) for value in (after, original))
    return moved, shown, _lloyd.movement(before, after)


class _Later:
    """Numbers that are being copied to the host.

    Parameters
    ----------
    state : tensor of shape (M,), float64
    """

    def __init__(self, state: Any) -> None:
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


def _fitted(estimator: Any, X: Any, gpu: Any) -> tuple[Any, Any, Any]:
    """Validate rows for a fitted model; return rows, centroids and shift of the wider type."""
    rows = tensors.rows(X, gpu, estimator, reset=False).contiguous()
    centers = torch.from_numpy(centers_of(estimator, rows.shape[1])).to(gpu)
    rows = scaling.applied(estimator, rows)
    if estimator.metric == "cosine":
        rows = _unit(rows, "X")
    wide = torch.promote_types(rows.dtype, centers.dtype)
    shift = torch.from_numpy(origin_of(estimator)).to(gpu, wide)
    centers = scaling.applied(estimator, centers.to(wide).contiguous(), "cluster_centers_")
    return rows.to(wide), centers, shift


def predict(estimator: Any, X: Any, gpu: Any) -> Any:
    """Return the label [N] int32 of each row."""
    rows, centers, shift = _fitted(estimator, X, gpu)
    assigned = assign(rows, centers, shift=shift, update=False, return_inertia=False)
    return to_user(assigned.labels, X)


def score(estimator: Any, X: Any, sample_weight: Any, gpu: Any) -> float:
    """Return minus the inertia of X."""
    rows, centers, shift = _fitted(estimator, X, gpu)
    weight = _input.weights(arrays.on_host(sample_weight), HostRows(rows))
    if weight is not None:
        weight = torch.from_numpy(weight).to(gpu)
    assigned = assign(rows, centers, sample_weight=weight, shift=shift, update=False)
    return -COST[estimator.metric] * float(assigned.inertia)


def transform(estimator: Any, X: Any, gpu: Any) -> Any:
    """Return the distance [N, K] of each row to each centroid, from differences in float64.

    The cosine distance is half the square of the Euclidean one between points of unit length.
    """
    rows, centers, shift = _fitted(estimator, X, gpu)
    moved = centers.double() - shift.double()  # [K, D]
    out = torch.empty((len(rows), len(centers)), dtype=rows.dtype, device=gpu)
    for first, block in blocks(rows, max(len(centers), rows.shape[1])):
        x = block.double() - shift.double()
        distance = torch.cdist(x, moved, compute_mode="donot_use_mm_for_euclid_dist")  # [B, K]
        cosine = estimator.metric == "cosine"
        out[first : first + len(block)] = COST["cosine"] * distance**2 if cosine else distance
    return to_user(out, X)

"""The mixture that a run starts from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array

from unsup_fast._rows import arrays
from unsup_fast._rows.seeding import draw
from unsup_fast.blocks import unmasked
from unsup_fast.kernels.em import EStep
from unsup_fast.mixture._covariance import MATRICES, factored, from_precisions
from unsup_fast.mixture._em import Mixture, Problem, maximised
from unsup_fast.mixture._passes import Rows, Single

Array = npt.NDArray[Any]
Seeding = Callable[[int, int], None]

LLOYD, MOVEMENT = 300, 1e-4  # iterations of k-means, and its tolerance, as scikit-learn's


@dataclass(frozen=True)
class Given:
    """Initial parameters that the user sets, in float64; None for those to be estimated."""

    weights: Array | None
    means: Array | None
    covariances: Array | None
    factors: Array | None


def given(estimator: Any, n_columns: int) -> Given:
    """Validate weights_init, means_init and precisions_init with scikit-learn's messages."""
    k, kind = estimator.n_components, estimator.covariance_type
    weights, means, precisions = (
        None if value is None else _numbers(value, name)
        for value, name in (
            (estimator.weights_init, "weights_init"),
            (estimator.means_init, "means_init"),
            (estimator.precisions_init, "precisions_init"),
        )
    )
    if weights is not None:
        _check_shape(weights, (k,), "weights")
        _check_weights(weights, estimator.weights_init)
    if means is not None:
        _check_shape(means, (k, n_columns), "means")
    if precisions is None:
        return Given(weights, means, None, None)
    shapes = {
        "full": (k, n_columns, n_columns),
        "tied": (n_columns, n_columns),
        "diag": (k, n_columns),
        "spherical": (k,),
    }
    _check_shape(precisions, shapes[kind], f"{kind} precision")
    if kind not in MATRICES:
        if (precisions <= 0).any():
            raise ValueError(f"'{kind} precision' should be positive")
        return Given(weights, means, *from_precisions(precisions, kind))
    symmetric = np.allclose(precisions, np.swapaxes(precisions, -1, -2))
    try:
        if not symmetric:
            raise np.linalg.LinAlgError
        return Given(weights, means, *from_precisions(precisions, kind))
    except np.linalg.LinAlgError:
        raise ValueError(f"'{kind} precision' should be symmetric, positive-definite") from None


def _numbers(value: Any, name: str) -> Array:
    value = unmasked(arrays.on_host(value), name)
    array: Array = check_array(
        value, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name
    )
    return np.ascontiguousarray(array)


def _check_shape(value: Array, shape: tuple[int, ...], name: str) -> None:
    if value.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, but got {value.shape}"
        )


def _check_weights(weights: Array, weights_init: Any) -> None:
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}"
        )
    single = getattr(weights_init, "dtype", None) == np.float32
    if abs(weights.sum() - 1) > (1e-6 if single else 1e-8):
        raise ValueError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}"
        )


def start(
    problem: Problem,
    known: Given,
    n_components: int,
    init_params: str,
    random_state: np.random.RandomState,
    seeding: Seeding | None = None,
) -> tuple[Mixture, dict[int, float]]:
    """Return the mixture that a run starts from.

    Parameters
    ----------
    problem : Problem
    known : Given
    n_components : int
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}
    random_state : RandomState
        Draws are scikit-learn's, in its order.
    seeding : callable, optional
        Called with rows chosen and rows to choose while k-means++ runs.

    Returns
    -------
    Mixture
    raised : dict of int to float
        See `_covariance.factored`.
    """
    weights, means, covariances, factors = (
        known.weights,
        known.means,
        known.covariances,
        known.factors,
    )
    raised: dict[int, float] = {}
    if weights is None or means is None or factors is None:
        initial, share, raised = _found(problem, n_components, init_params, random_state, seeding)
        weights = share / problem.rows.weight if weights is None else weights
        means = initial.means if means is None else means
        if factors is None:
            return Mixture(weights, means, initial.covariances, initial.factors), raised
    assert covariances is not None
    return Mixture(weights, means, covariances, factors), {}


def _found(
    problem: Problem,
    n_components: int,
    init_params: str,
    random_state: np.random.RandomState,
    seeding: Seeding | None,
) -> tuple[Mixture, Array, dict[int, float]]:
    """Return a mixture, the rows that each component has in it, and whose covariance was raised."""
    rows = problem.rows
    if init_params in ("k-means++", "random_from_data"):
        sample_weight = rows.weights_on_host
        if init_params == "k-means++":
            chosen = _seeded(rows, n_components, random_state, seeding)
        elif sample_weight is None:
            chosen = random_state.choice(rows.n_rows, size=n_components, replace=False)
        else:
            chosen = draw(rows.X, sample_weight, n_components, random_state)
        share = np.ones(n_components)
        if sample_weight is not None:
            share = sample_weight[chosen].astype(np.float64)
        means = np.ascontiguousarray(rows.take(chosen), dtype=np.float64)
        mixture, raised = _points(problem, means)
        return mixture, share, raised
    if isinstance(rows, Single):
        result = maximised(problem, _points(problem, rows.about)[0], rows.sums)
        return result[0], np.ones(1) * rows.weight, result[1]
    if init_params == "kmeans":
        centers, shift = _kmeans(rows, n_components, random_state, seeding)
        options: dict[str, Any] = {"update": False, "return_inertia": False}
        means = centers.astype(np.float64)

        def shares(block: Any) -> dict[str, Any]:
            assigned = rows.place.assign(
                block, centers, shift=shift, n_threads=rows.n_threads, **options
            )
            return {"labels": assigned.labels}

    else:
        means = np.tile(rows.moments.mean, (n_components, 1))

        def shares(block: Any) -> dict[str, Any]:
            drawn = random_state.uniform(size=(len(block), n_components))
            drawn = drawn.astype(rows.computed_in)
            drawn /= drawn.sum(axis=1)[:, None]
            return {"resp": drawn}

    sums: EStep = rows.given(means, shares)
    assert sums.resp_sums is not None
    mixture, raised = maximised(problem, _points(problem, means)[0], sums)
    return mixture, sums.resp_sums, raised


def _points(problem: Problem, means: Array) -> tuple[Mixture, dict[int, float]]:
    """Return components of single points: their covariance is `reg_covar`."""
    kind, (k, d) = problem.rows.covariance_type, means.shape
    covariances = (
        problem.reg_covar
        * {
            "full": np.tile(np.eye(d), (k, 1, 1)),
            "tied": np.eye(d),
            "diag": np.ones((k, d)),
            "spherical": np.ones(k),
        }[kind]
    )
    covariances, factors, raised = factored(covariances, kind, problem.rows.least, problem.rows.eps)
    return Mixture(np.full(k, 1 / k), means, covariances, factors), raised


def _seeded(
    rows: Rows, n_components: int, random_state: np.random.RandomState, seeding: Seeding | None
) -> Array:
    return rows.place.seed(
        rows.X,
        n_components,
        random_state,
        sample_weight=rows.sample_weight,
        n_threads=rows.n_threads,
        progress=seeding,
    )


def _kmeans(
    rows: Rows, n_components: int, random_state: np.random.RandomState, seeding: Seeding | None
) -> tuple[Array, Array]:
    """Return centroids [K, D] by greedy k-means++ and Lloyd's algorithm, and the shift [D]."""
    chosen = _seeded(rows, n_components, random_state, seeding)
    centers = np.ascontiguousarray(rows.take(chosen))
    shift = rows.moments.mean.astype(centers.dtype)
    options: dict[str, Any] = {"return_inertia": False, "n_threads": rows.n_threads}
    for _ in range(LLOYD):
        sums, weights = np.zeros(centers.shape), np.zeros(n_components)
        for _, block, weight in rows.blocks():
            assigned = rows.place.assign(
                block, centers, sample_weight=weight, shift=shift, **options
            )
            sums += assigned.sums
            weights += assigned.weights
        sums, weights = _relocated(rows, centers, shift, sums, weights)
        filled = weights > 0
        moved = shift.astype(np.float64) + sums / np.where(filled, weights, 1.0)[:, None]
        before, centers = centers, moved.astype(centers.dtype)
        centers[~filled] = before[~filled]
        movement = ((centers.astype(np.float64) - before) ** 2).sum()
        if movement <= MOVEMENT * rows.moments.variance.mean():
            break
    return centers, shift


def _relocated(
    rows: Rows, centers: Array, shift: Array, sums: Array, weights: Array
) -> tuple[Array, Array]:
    """Return sums and weights with the rows farthest from their centroids in empty clusters."""
    empty = np.flatnonzero(weights == 0)
    far: list[tuple[float, int, int, Array, float]] = []  # distance, row, cluster, values, weight
    if len(empty) == 0:
        return sums, weights
    options: dict[str, Any] = {"update": False, "n_threads": rows.n_threads}
    for where, block, weight in rows.blocks():
        assigned = rows.place.assign(block, centers, shift=shift, return_distances=True, **options)
        distances, labels, weight = (
            arrays.on_host(value) for value in (assigned.distances, assigned.labels, weight)
        )
        distances = distances if weight is None else distances * (weight > 0)
        for i in np.argsort(-distances, kind="stable")[: len(empty)]:
            w = 1.0 if weight is None else float(weight[i])
            values = arrays.on_host(block[int(i)]).astype(np.float64) - shift
            far.append((-distances[i], where.start + i, labels[i], values, w))
    for k, (distance, _, label, values, w) in zip(empty, sorted(far)[: len(empty)], strict=False):
        if distance < 0:
            sums[label] -= w * values
            weights[label] -= w
            sums[k], weights[k] = w * values, w
    return sums, weights

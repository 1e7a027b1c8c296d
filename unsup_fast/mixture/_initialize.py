"""The mixture that a run starts from."""

from typing import TYPE_CHECKING

import numpy as np

from unsup_fast._rows.draws import draw
from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels.em import EStep, shape_of
from unsup_fast.mixture._covariance import MATRICES, positive_definite
from unsup_fast.mixture._data import Mixture
from unsup_fast.mixture._em import MixtureProblem, maximize
from unsup_fast.mixture._initial_parameters import InitialParameters
from unsup_fast.mixture._kmeans import Progress, kmeans
from unsup_fast.mixture._responsibilities import Nearest, Responsibilities
from unsup_fast.mixture._single import SingleComponentData

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


def initialize(
    problem: MixtureProblem,
    user: InitialParameters,
    n_components: int,
    init_params: str,
    random_state: np.random.RandomState,
    progress: Progress | None = None,
) -> tuple[Mixture, dict[int, float]]:
    """Return the mixture that a run starts from.

    Parameters
    ----------
    problem : MixtureProblem
    user : InitialParameters
        Parameters that are not estimated.
    n_components : int
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}
    random_state : RandomState
        Draws are scikit-learn's, in its order.
    progress : callable, optional
        Called with rows chosen and rows to choose while k-means++ runs.

    Returns
    -------
    Mixture
    raised : dict of int to float
        See `_covariance.positive_definite`.
    """
    weights, means, covariances, factors = user.weights, user.means, user.covariances, user.factors
    raised: dict[int, float] = {}
    if weights is None or means is None or factors is None:
        estimate, resp_sums, raised = _estimate(
            problem, n_components, init_params, random_state, progress
        )
        weights = resp_sums / problem.data.total_weight if weights is None else weights
        means = estimate.means if means is None else means
        if factors is None:
            covariances, factors = estimate.covariances, estimate.factors
        else:
            raised = {}
    assert covariances is not None
    mixture = Mixture(weights=weights, means=means, covariances=covariances, factors=factors)
    return mixture, raised


def _estimate(
    problem: MixtureProblem,
    n_components: int,
    init_params: str,
    random_state: np.random.RandomState,
    progress: Progress | None,
) -> tuple[Mixture, Array, dict[int, float]]:
    """Return a mixture, the weight [K] of its components' rows, and whose covariance was raised."""
    if init_params in ("k-means++", "random_from_data"):
        return _from_chosen_rows(problem, n_components, init_params, random_state, progress)
    data = problem.data
    if isinstance(data, SingleComponentData):
        mixture, raised = maximize(problem, _points(problem, data.center)[0], data.sums)
        return mixture, np.ones(1) * data.total_weight, raised
    if init_params == "kmeans":
        sums, means = _kmeans_moments(problem, n_components, random_state, progress)
    else:
        sums, means = _random_moments(problem, n_components, random_state)
    assert sums.resp_sums is not None
    mixture, raised = maximize(problem, _points(problem, means)[0], sums)
    return mixture, sums.resp_sums, raised


def _from_chosen_rows(
    problem: MixtureProblem,
    n_components: int,
    init_params: str,
    random_state: np.random.RandomState,
    progress: Progress | None,
) -> tuple[Mixture, Array, dict[int, float]]:
    """Return what `_estimate` does, with rows for means: by k-means++ or at random."""
    data = problem.data
    sample_weight = data.sample_weight
    if init_params == "k-means++":
        chosen = data.kmeans_plusplus(n_components, random_state, progress)
    elif sample_weight is None:
        chosen = random_state.choice(data.n_rows, size=n_components, replace=False)
    else:
        chosen = draw(data.rows.masses, n_components, random_state)
    weights = np.ones(n_components)
    if sample_weight is not None:
        weights = sample_weight[chosen].astype(np.float64)
    means = np.ascontiguousarray(data.take(chosen), dtype=np.float64)
    mixture, raised = _points(problem, means)
    return mixture, weights, raised


def _kmeans_moments(
    problem: MixtureProblem,
    n_components: int,
    random_state: np.random.RandomState,
    progress: Progress | None,
) -> tuple[EStep, Array]:
    """Return the moments of the clusters of k-means, and the means [K, D] that they are about."""
    data = problem.data
    centers, shift = kmeans(data, n_components, random_state, progress)
    means = centers.astype(np.float64)
    clusters = Nearest(centers=centers, shift=shift)
    return data.responsibility_moments(means, clusters), means


def _random_moments(
    problem: MixtureProblem, n_components: int, random_state: np.random.RandomState
) -> tuple[EStep, Array]:
    """Return the moments for responsibilities at random, and the means [K, D] they are about."""
    data = problem.data
    if isinstance(data.rows, FleetRows):
        raise ValueError(
            "init_params='random' draws a number for each row and component one after the other, "
            "so it is not available with an engine; pass 'kmeans', 'k-means++' or "
            "'random_from_data'"
        )
    means = np.tile(data.moments.mean, (n_components, 1))

    def resp(rows: Rows, block: "ArrayOrTensor") -> Responsibilities:
        drawn = random_state.uniform(size=(len(block), n_components)).astype(data.computed_in)
        drawn /= drawn.sum(axis=1)[:, None]
        return Responsibilities(resp=rows.to_device(drawn))

    return data.responsibility_moments(means, resp), means


def _points(problem: MixtureProblem, means: Array) -> tuple[Mixture, dict[int, float]]:
    """Return components of single points: their covariance is `reg_covar`."""
    data, (k, d) = problem.data, means.shape
    kind = data.covariance_type
    unit = np.eye(d) if kind in MATRICES else np.ones(1)
    covariances = np.broadcast_to(problem.reg_covar * unit, shape_of(kind, k, d)).copy()
    covariances, factors, raised = positive_definite(
        covariances, kind, data.min_variances, data.eps
    )
    mixture = Mixture(
        weights=np.full(k, 1 / k), means=means, covariances=covariances, factors=factors
    )
    return mixture, raised

"""Starting centroids: k-means++, k-means||, random rows, an array, or the user's function."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from unsup_fast._rows import arrays, seeding
from unsup_fast.blocks import Source, unmasked
from unsup_fast.cluster import _input, _parallel
from unsup_fast.cluster._lloyd import Problem
from unsup_fast.cluster._streams import Stream
from unsup_fast.kernels import threads
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus as choose_rows
from unsup_fast.kernels.kmeans_plusplus import pow2_scale
from unsup_fast.kernels.moments import moments

Array = npt.NDArray[Any]


def start(
    problem: Problem,
    init: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return the starting centroids of one run.

    Parameters
    ----------
    problem : Problem
    init : {"k-means++", "k-means||", "random"}, callable, or ndarray of shape (K, D) from `given`
    n_clusters : int
    random_state : RandomState
    progress : callable, optional
        Called by k-means++ and k-means|| with the work done so far and the total.

    Returns
    -------
    ndarray of shape (K, D), type of X
    """
    X, sample_weight = problem.passes.X, problem.passes.sample_weight
    n_threads = problem.passes.n_threads
    if isinstance(init, np.ndarray):
        return init
    if callable(init):
        return given(init(X, n_clusters, random_state=random_state), X, n_clusters)
    if init == "random":
        chosen = seeding.draw(X, sample_weight, n_clusters, random_state)
    elif init == "k-means||":
        chosen = _parallel.parallel(
            _rows(X, problem.passes.shift, n_threads),
            n_clusters,
            random_state,
            sample_weight=sample_weight,
            n_threads=n_threads,
            progress=progress,
        )
    else:
        choose = seeding.kmeans_plusplus if isinstance(X, Source) else choose_rows
        chosen = choose(
            X,
            n_clusters,
            random_state,
            sample_weight=sample_weight,
            n_threads=n_threads,
            progress=progress,
        )
    return problem.passes.take(chosen)


def given(init: Any, X: Any, n_clusters: int) -> Array:
    """Return the user's centroids as an ndarray of the type of X, or raise ValueError."""
    init = unmasked(arrays.on_host(init), "init")
    centers: Array = check_array(init, dtype=X.dtype, order="C", input_name="init")
    for size, expected, what in (
        (centers.shape[0], n_clusters, "clusters"),
        (centers.shape[1], X.shape[1], "features of the data"),
    ):
        if size != expected:
            raise ValueError(
                f"The shape of the initial centers {centers.shape} does not match the number of "
                f"{what} {expected}. Pass init of shape ({n_clusters}, {X.shape[1]})."
            )
    return centers


def _rows(X: Any, shift: Any, n_threads: int) -> _parallel.Rows:
    """Return rows for k-means||, scaled to about 1 if squares would underflow or overflow."""
    if sp.issparse(X):
        return _parallel.Matrix(X, shift, n_threads)
    statistics = X.moments if isinstance(X, Source) else moments(X, n_threads=n_threads)
    scale = pow2_scale(
        (statistics.max_abs_deviation + np.abs(statistics.mean - shift)).max(), X.dtype
    )
    if abs(np.log2(scale)) > np.finfo(X.dtype).maxexp // 4:
        factor = X.dtype.type(scale)
        shift = shift * factor
        X = X.changed(lambda rows, _: rows * factor) if isinstance(X, Source) else X * factor
    if isinstance(X, Source):
        return Stream(X, shift, None, n_threads)
    return _parallel.Matrix(X, shift, n_threads)


def _take(X: Any, indices: Array) -> Array:
    if isinstance(X, Source):
        return X.take(indices)
    chosen = X[indices]
    return np.ascontiguousarray(chosen.toarray() if sp.issparse(chosen) else chosen)


@validate_params(  # type: ignore[untyped-decorator]
    {
        "X": ["array-like", "sparse matrix"],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "sample_weight": ["array-like", None],
        "x_squared_norms": ["array-like", None],
        "random_state": ["random_state"],
        "n_local_trials": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def kmeans_plusplus(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    x_squared_norms: Any = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
) -> tuple[Any, Any]:
    """Choose rows that start k-means well: greedy k-means++.

    Parameters
    ----------
    X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
        The rows to choose from.
    n_clusters : int
        Number of rows to choose, at most N.
    sample_weight : array-like of shape (N,), optional
        Weights of the rows; None means ones.
    x_squared_norms : array-like of shape (N,), optional
        Ignored, present for compatibility with scikit-learn: distances are computed from
        differences.
    random_state : int, RandomState instance or None, default=None
        Source of the draws; the order of draws is scikit-learn's.
    n_local_trials : int, optional
        Candidates of each round, the best of which is chosen; None takes
        ``2 + int(log(n_clusters))``, 1 gives plain k-means++.

    Returns
    -------
    centers : ndarray or tensor of shape (n_clusters, D)
        The chosen rows.
    indices : ndarray or tensor of shape (n_clusters,), int64
        Their indices: ``centers[k] = X[indices[k]]``.

    Raises
    ------
    ValueError
        If X has fewer rows than `n_clusters`, or holds NaN or infinity.

    References
    ----------
    Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import kmeans_plusplus
    >>> X = np.array([[0.0, 1.0], [0.0, 2.0], [9.0, 1.0], [9.0, 2.0]])
    >>> centers, indices = kmeans_plusplus(X, n_clusters=2, random_state=0)
    >>> bool((centers == X[indices]).all())
    True
    """
    caller_rows, rows, sample_weight = _checked(X, sample_weight, n_clusters, "kmeans_plusplus")
    if x_squared_norms is not None:
        norms = check_array(x_squared_norms, dtype=rows.dtype, ensure_2d=False)
        if norms.shape[0] != rows.shape[0]:
            raise ValueError(
                f"The length of x_squared_norms {norms.shape[0]} should be equal to the length "
                f"of n_samples {rows.shape[0]}."
            )
    choose = seeding.kmeans_plusplus if isinstance(rows, Source) else choose_rows
    indices = choose(
        rows,
        n_clusters,
        check_random_state(random_state),
        sample_weight=sample_weight,
        n_local_trials=n_local_trials,
    )
    return _chosen(caller_rows, rows, indices, X)


@validate_params(  # type: ignore[untyped-decorator]
    {
        "X": ["array-like", "sparse matrix"],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "sample_weight": ["array-like", None],
        "oversampling_factor": [Interval(Real, 0, None, closed="neither")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def kmeans_parallel(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    oversampling_factor: float = _parallel.OVERSAMPLING,
    n_rounds: int = _parallel.ROUNDS,
    random_state: Any = None,
) -> tuple[Any, Any]:
    """Choose rows that start k-means well, many at a time: k-means||.

    Each of a few passes over the rows draws about ``oversampling_factor * n_clusters`` of them,
    with probability proportional to weight times squared distance to the nearest one drawn so
    far. The drawn rows, weighted by the rows nearest to them, are then reduced to `n_clusters` by
    greedy k-means++. Where `kmeans_plusplus` passes over the rows `n_clusters` times, this takes
    ``n_rounds + 1`` passes, and reads CSV files and functions again for the drawn rows.

    Parameters
    ----------
    X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
        The rows to choose from.
    n_clusters : int
        Number of rows to choose, at most N.
    sample_weight : array-like of shape (N,), optional
        Weights of the rows; None means ones.
    oversampling_factor : float, default=2.0
        Rows drawn in a round, as a multiple of `n_clusters`.
    n_rounds : int, default=5
        Number of rounds.
    random_state : int, RandomState instance or None, default=None
        Source of the draws.

    Returns
    -------
    centers : ndarray or tensor of shape (n_clusters, D)
        The chosen rows.
    indices : ndarray or tensor of shape (n_clusters,), int64
        Their indices, all different: ``centers[k] = X[indices[k]]``.

    Raises
    ------
    ValueError
        If X has fewer rows than `n_clusters`, or holds NaN or infinity.

    References
    ----------
    Bahmani, Moseley, Vattani, Kumar & Vassilvitskii, "Scalable k-means++", VLDB 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import kmeans_parallel
    >>> X = np.array([[0.0, 1.0], [0.0, 2.0], [9.0, 1.0], [9.0, 2.0]])
    >>> centers, indices = kmeans_parallel(X, n_clusters=2, random_state=0)
    >>> bool((centers == X[indices]).all())
    True
    """
    caller_rows, rows, sample_weight = _checked(X, sample_weight, n_clusters, "kmeans_parallel")
    shift: Any = None if sp.issparse(rows) else _input.middle(rows)
    workers = threads.effective(None)
    indices = _parallel.parallel(
        _rows(rows, shift, workers),
        n_clusters,
        check_random_state(random_state),
        sample_weight=sample_weight,
        oversampling_factor=oversampling_factor,
        n_rounds=n_rounds,
    )
    return _chosen(caller_rows, rows, indices, X)


def _checked(
    X: Any, sample_weight: Any, n_clusters: int, owner: str
) -> tuple[Any, Any, Array | None]:
    """Return the caller's rows, the validated rows, and their weights."""
    caller_rows = arrays.to_numpy(X, "X")
    source = _input.source_of(caller_rows)
    if source is not None:
        caller_rows = rows = _input.rows_of(source)
    else:
        rows = arrays.rows(caller_rows)
        arrays.check_finite(rows, owner)
    sample_weight = _input.weights(sample_weight, rows)
    _check_enough(rows, n_clusters)
    return caller_rows, rows, sample_weight


def _check_enough(rows: Any, n_clusters: int) -> None:
    if rows.shape[0] < n_clusters:
        raise ValueError(f"n_samples={rows.shape[0]} should be >= n_clusters={n_clusters}.")


def _chosen(caller_rows: Any, rows: Any, indices: Array, X: Any) -> tuple[Any, Any]:
    # The caller's rows, not the converted ones: integers in, integers out.
    whole = caller_rows if isinstance(caller_rows, np.ndarray) else rows
    return arrays.as_tensor_like(_take(whole, indices), X), arrays.as_tensor_like(indices, X)

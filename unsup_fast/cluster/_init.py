"""Starting centroids: k-means++, k-means||, random rows, an array, or the user's function."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from unsup_fast._rows import arrays, validate
from unsup_fast._rows.draws import draw
from unsup_fast._rows.host_rows import dense
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.sources import source_of
from unsup_fast.blocks import unmasked
from unsup_fast.cluster import _fleet, _parallel
from unsup_fast.distributed import Engine
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels import threads
from unsup_fast.kernels._types import Array


def start(
    rows: Rows,
    init: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Return the starting centroids of one run.

    Parameters
    ----------
    rows : Rows
    init : {"k-means++", "k-means||", "random"}, callable, or ndarray of shape (K, D)
        An array as `check_init` returns it.
    n_clusters : int
    random_state : RandomState
    progress : callable, optional
        Called by k-means++ and k-means|| with the work done so far and the total.

    Returns
    -------
    ndarray or tensor of shape (K, D), type of X
        Where the rows are.
    """
    if callable(init):
        init = check_init(init(rows.X, n_clusters, random_state=random_state), rows, n_clusters)
    if isinstance(init, np.ndarray):
        return rows.to_device(init)
    if init == "random":
        chosen = draw(rows.masses, n_clusters, random_state)
    elif init == "k-means||":
        chosen = _parallel.parallel(rows.rescaled(), n_clusters, random_state, progress=progress)
    else:
        chosen = rows.kmeans_plusplus(n_clusters, random_state, progress=progress)
    return rows.to_device(dense(rows.take(chosen)))


def check_init(init: Any, rows: Rows, n_clusters: int) -> Array:
    """Return the user's centroids as an ndarray of the type of the rows, or raise ValueError."""
    init = unmasked(arrays.on_host(init), "init")
    centers: Array = check_array(init, dtype=rows.dtype, order="C", input_name="init")
    for size, expected, what in (
        (centers.shape[0], n_clusters, "clusters"),
        (centers.shape[1], rows.n_columns, "features of the data"),
    ):
        if size != expected:
            raise ValueError(
                f"The shape of the initial centers {centers.shape} does not match the number of "
                f"{what} {expected}. Pass init of shape ({n_clusters}, {rows.n_columns})."
            )
    return centers


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
    rows = _checked(X, sample_weight, n_clusters, "kmeans_plusplus")
    if x_squared_norms is not None:
        norms = check_array(x_squared_norms, dtype=rows.dtype, ensure_2d=False)
        if norms.shape[0] != rows.n_rows:
            raise ValueError(
                f"The length of x_squared_norms {norms.shape[0]} should be equal to the length "
                f"of n_samples {rows.n_rows}."
            )
    indices = rows.kmeans_plusplus(
        n_clusters, check_random_state(random_state), n_local_trials=n_local_trials
    )
    return _chosen(X, rows, indices)


@validate_params(  # type: ignore[untyped-decorator]
    {
        "X": ["array-like", "sparse matrix"],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "sample_weight": ["array-like", None],
        "oversampling_factor": [Interval(Real, 0, None, closed="neither")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "engine": "no_validation",
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
    engine: Engine | None = None,
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
    engine : Engine, optional
        Processes that have the rows between them; see `KMeans.fit`.

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
    with _fleet.spread(X, engine) as spread_rows:
        rows = _checked(spread_rows, sample_weight, n_clusters, "kmeans_parallel")
        indices = _parallel.parallel(
            rows.rescaled(),
            n_clusters,
            check_random_state(random_state),
            oversampling_factor=oversampling_factor,
            n_rounds=n_rounds,
        )
        return _chosen(X, rows, indices)


def _checked(X: Any, sample_weight: Any, n_clusters: int, owner: str) -> Rows:
    """Return validated rows, with their weights."""
    if isinstance(X, FleetRows):
        rows = cast(Rows, X)
    else:
        checked = validate.cpu_rows(X, owner, threads.effective(None)).in_memory()
        rows = cast(Rows, checked)
    rows = rows.weighted(sample_weight)
    if rows.n_rows < n_clusters:
        raise ValueError(f"n_samples={rows.n_rows} should be >= n_clusters={n_clusters}.")
    return rows


def _chosen(X: Any, rows: Rows, indices: Array) -> tuple[Any, Any]:
    """Return chosen rows, of the user's type where X is an array, and their indices."""
    on_host = arrays.to_numpy(X, "X")
    if isinstance(on_host, np.ndarray) and source_of(on_host) is None:
        chosen = on_host[indices]  # integers in, integers out
    else:
        chosen = dense(rows.take(indices))
    return rows.to_user(chosen), rows.to_user(indices)

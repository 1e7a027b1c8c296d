"""k-means as a function, with scikit-learn's interface."""

from typing import Any

from sklearn.utils._param_validation import validate_params

from unsup_fast.cluster.kmeans import KMeans


@validate_params(  # type: ignore[untyped-decorator]
    {
        "X": ["array-like", "sparse matrix"],
        "sample_weight": ["array-like", None],
        "return_n_iter": [bool],
    },
    prefer_skip_nested_validation=False,
)
def k_means(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    init: Any = "k-means++",
    n_init: Any = "auto",
    max_iter: int = 300,
    verbose: int = False,
    tol: float = 1e-4,
    random_state: Any = None,
    copy_x: bool = True,
    algorithm: str = "auto",
    return_n_iter: bool = False,
    metric: str = "euclidean",
    n_threads: int | None = None,
    device: str | None = None,
    standardize: bool = False,
    tol_inertia: float | None = None,
) -> tuple[Any, ...]:
    """Find centroids with `KMeans`, without keeping the estimator.

    Parameters
    ----------
    X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
    n_clusters : int
    sample_weight : array-like of shape (N,), optional
    init, n_init, max_iter, verbose, tol, random_state, copy_x, algorithm
    metric, n_threads, device, standardize, tol_inertia
        As in `KMeans`.
    return_n_iter : bool, default=False
        Whether to return the number of iterations as well.

    Returns
    -------
    centers : ndarray or tensor of shape (n_clusters, D)
    labels : ndarray or tensor of shape (N,), int32
    inertia : float
    n_iter : int
        Only with `return_n_iter`.

    Raises
    ------
    ValueError
        As `KMeans.fit`.
    """
    model = KMeans(
        n_clusters,
        init=init,
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
        verbose=verbose,
        random_state=random_state,
        copy_x=copy_x,
        algorithm=algorithm,
        metric=metric,
        n_threads=n_threads,
        device=device,
        standardize=standardize,
        tol_inertia=tol_inertia,
    ).fit(X, sample_weight=sample_weight)
    result = (model.cluster_centers_, model.labels_, model.inertia_)
    return (*result, model.n_iter_) if return_n_iter else result

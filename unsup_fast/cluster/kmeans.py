"""k-means with scikit-learn's interface."""

import warnings
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import _is_arraylike_not_scalar, check_is_fitted

from unsup_fast._rows import scaling
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _balance, _fleet, _init, _input, _levels, _runs, _save
from unsup_fast.cluster._checkpoint import Checkpoint, facts_of
from unsup_fast.cluster._fitted import FittedClusters
from unsup_fast.cluster._lloyd import Iteration, LloydProblem, Run, lloyd
from unsup_fast.cluster._passes_of import passes_of
from unsup_fast.distributed import Engine
from unsup_fast.kernels._types import Array


class KMeans(
    _balance.Sizes,
    _save.SavedClusters,
    FittedClusters,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """k-means clustering: exact Lloyd iterations, a drop-in for scikit-learn's `KMeans`.

    Minimises ``sum_i w_i |x_i - c_(label_i)|^2``. Data are never copied or changed if they are
    C-contiguous float32 or float64, and distances are computed about the middle of the data, so
    that rows far from the origin are labelled correctly (sparse rows, which cannot be shifted, are
    not). Results do not depend on the number of threads.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    init : {"k-means++", "k-means||", "random"}, callable or array-like of shape (K, D), \
            default="k-means++"
        Starting centroids: greedy k-means++, k-means|| (see `kmeans_parallel`; for very many
        clusters), K rows at random, the rows of an array, or what
        ``init(X, n_clusters, random_state=...)`` returns.
    n_init : "auto" or int, default="auto"
        Runs from different starts; the result is the run of lowest inertia. "auto" makes 10
        if `init` is "random" or a callable, else 1.
    max_iter : int, default=300
        Most iterations of a run.
    tol : float, default=1e-4
        A run stops when the summed squared movement of the centroids is no more than `tol`
        times the mean variance of the columns.
    verbose : int, default=0
        If positive, print a line per iteration.
    random_state : int, RandomState instance or None, default=None
        Source of random draws; their order is scikit-learn's.
    copy_x : bool, default=True
        Ignored: X is never changed.
    algorithm : {"auto", "lloyd", "elkan"}, default="auto"
        All are exact and give the same result. "auto" and "elkan" rule centroids out by
        projected distances where timing shows that it pays; "lloyd" makes every pass dense.
    metric : {"euclidean", "cosine"}, default="euclidean"
        "cosine" is spherical k-means: rows are taken at unit length, centroids are weighted mean
        directions of unit length, and ``1 - cos(x, c)`` is the distance that `transform` returns
        and that `inertia_` sums up. Rows that are not at unit length are copied.
    n_threads : int or None, default=None
        Threads to run; None for all that OMP_NUM_THREADS, affinity and the container allow.
    device : {"cpu", "cuda"} or None, default=None
        Where to compute: "cuda" and "cuda:1" name a GPU; None takes that of a CUDA tensor, and for
        all else the CPU.
    standardize : bool, default=False
        Whether columns are divided by their standard deviation (constant ones by 1), in the fit
        and of all rows that are passed to the model later. They are not centred, which would
        change nothing with the metric "euclidean". `tol` then refers to the divided columns, and
        a callable `init` gets the divided rows.
    tol_inertia : float or None, default=None
        If not None, a run also stops after an iteration that did not lower inertia by more than
        this share: ``(before - after) / before <= tol_inertia``, for two consecutive entries of
        `inertia_history_`.
    levels : sequence of int or None, default=None
        Hierarchical k-means, much faster where clusters are many: the clusters of the levels above
        the last, whose number is `n_clusters`, as in ``KMeans(4096, levels=[64])``. Rows are
        clustered in 64, and each of these is split by a fit of its own into a share of the 4096
        by its size. One iteration over all rows and clusters follows.
    balance : float or None, default=None
        Largest ratio of a cluster's size to the mean size, such as 1.2. After the iterations,
        penalties on large clusters rise until the sizes fit, and each row chooses among its 16
        nearest centroids by squared distance plus penalty; the centroids stay as they are.
        `labels_`, `cluster_sizes_` and `inertia_` are then those of the balanced clusters, and
        `predict` adds the penalties too; `nearest`, `transform` and `score` do not. If the ratio
        is not reached, a ConvergenceWarning says what was. It takes 128 bytes a row. Not with
        weights or on a GPU.

    Attributes
    ----------
    cluster_centers_ : ndarray or tensor of shape (K, D)
        Centroids, of the type of X and in its units, also with `standardize`.
    labels_ : ndarray or tensor of shape (N,), int32
        Cluster of each row: equal to ``predict(X)``.
    cluster_sizes_ : ndarray or tensor of shape (K,), int64
        Number of rows of each cluster, without weights.
    inertia_ : float
        Weighted sum of squared distances of the rows to `cluster_centers_`, or of their cosine
        distances. With `standardize`, distances here and in `transform` and `score` are those
        between rows and centroids whose columns are divided by `scale_`.
    inertia_history_ : ndarray of shape (n_iter_,), float64
        Entry i is the inertia of the centroids at the start of iteration i.
    n_changed_history_ : ndarray of shape (n_iter_,), int64
        Number of labels that changed in each iteration.
    n_iter_ : int
        Iterations of the best run.
    parents_ : ndarray or tensor of shape (K,), int32
        Cluster of the level above that each cluster is a part of; only with `levels`.
    imbalance_, largest_ratio_ : float
        How unequal `cluster_sizes_` are: ``K sum_k n_k^2 / N^2``, and ``max_k n_k K / N``.
    scale_ : ndarray of shape (D,)
        Standard deviations that columns are divided by, weighted if rows are; only with
        `standardize`.
    n_features_in_ : int
        Columns D of X.
    feature_names_in_ : ndarray of shape (D,)
        Names of the columns, if X had names that are all strings.

    Notes
    -----
    A torch tensor is read where it is. After a fit on one the attributes indexed by row or
    cluster are tensors on its device; methods return the kind of array that is passed to them.
    On a GPU `algorithm` and `n_threads` have no effect; sources, tables and sparse rows are
    refused.

    With `levels`, `init`, `max_iter`, `tol` and `tol_inertia` are those of the fits of each level.
    Such a fit looks at no more than 256 random rows for each of its clusters. Its seed is one of
    ``random_state.randint(2**31 - 1, size=n)``, drawn once for each level, with n clusters above.
    `n_iter_` and the histories are those of the iteration that follows.

    An empty cluster is moved to the row farthest from its centroid. If X has fewer distinct rows
    than clusters, some stay empty and a ConvergenceWarning says so.

    Ctrl-C during `fit` keeps the last finished iteration: its centroids are labelled once more,
    all attributes are set, and then KeyboardInterrupt is raised. A second Ctrl-C skips the
    labelling; `labels_` and `cluster_sizes_` are then missing. Start again from there with
    ``init=model.cluster_centers_``. While first centroids are chosen, or levels fitted, there is
    nothing to keep yet.

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982).
    Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    Dhillon & Modha, "Concept decompositions for large sparse text data using clustering",
    Machine Learning 42 (2001).
    Hornik, Feinerer, Kober & Buchta, "Spherical k-means clustering", J. Stat. Softw. 50 (2012).
    Nister & Stewenius, "Scalable recognition with a vocabulary tree", CVPR 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import KMeans
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [10.0, 2.0], [10.0, 4.0]])
    >>> model = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> sorted(model.cluster_centers_.tolist())
    [[1.0, 3.0], [10.0, 3.0]]
    >>> model.inertia_
    4.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "k-means||", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"auto", "lloyd", "elkan"})],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "device": "no_validation",  # devices.compute_device says more than a type
        "standardize": ["boolean"],
        "tol_inertia": [Interval(Real, 0, None, closed="left"), None],
        "levels": ["array-like", None],
        "balance": [Interval(Real, 1, None, closed="left"), None],
    }
    __metadata_request__fit: ClassVar[dict[str, str]] = {
        "engine": UNUSED,
        "checkpoint": UNUSED,
        "callback": UNUSED,
        "seeding_callback": UNUSED,
    }
    __metadata_request__predict: ClassVar[dict[str, str]] = {"engine": UNUSED}
    __metadata_request__score: ClassVar[dict[str, str]] = {"engine": UNUSED}
    _layout = _save.KMEANS

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "auto",
        metric: str = "euclidean",
        n_threads: int | None = None,
        device: str | None = None,
        standardize: bool = False,
        tol_inertia: float | None = None,
        levels: Any = None,
        balance: float | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.metric = metric
        self.n_threads = n_threads
        self.device = device
        self.standardize = standardize
        self.tol_inertia = tol_inertia
        self.levels = levels
        self.balance = balance

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        engine: Engine | None = None,
        checkpoint: str | PathLike[str] | None = None,
        callback: Callable[[Iteration], None] | None = None,
        seeding_callback: Callable[[int, int], None] | None = None,
    ) -> "KMeans":
        """Find the centroids.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
            The rows. Types other than float32 become float64, sparse formats CSR. A `Source`
            (see `unsup_fast.blocks.source`), a pyarrow Table or Dataset, and a memory map that
            needs conversion are read a block at a time, in types as `source` says. A dask array or
            dataframe and a ``ray.data.Dataset`` are computed by the workers that they belong to, as
            with an engine.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            Weights of the rows. A starting array or function is not weighted.
        engine : Engine, optional
            Processes that have the rows between them: `unsup_fast.distributed.local`, `dask` or
            `ray`. The result is that of a fit of ``blocks.source(X)`` here, bit for bit;
            `labels_` are computed when they are read.
        checkpoint : str or Path, optional
            A file, or a URL where fsspec is installed, to save finished iterations in. If it
            exists, the fit goes on from there to the result of a fit that was not stopped. Not for
            sparse rows, nor for `n_init` above 1.
        callback : callable, optional
            Called with an `Iteration` after each iteration.
        seeding_callback : callable, optional
            Called a few times a second while k-means++ or k-means|| chooses the first centroids,
            with the work done so far and the total.

        Returns
        -------
        KMeans
            This estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity or fewer than `n_clusters` rows, if `init` does not fit
            it, if the weights are unusable, or if a row is zero and the metric "cosine".
        KeyboardInterrupt
            On Ctrl-C; the notes of the class say which attributes are then set.
        """
        levels = _levels.check(self, checkpoint)
        try:
            with _fleet.spread(X, engine, self, reset=True) as rows:
                self._fit_rows(rows, sample_weight, levels, checkpoint, callback, seeding_callback)
        finally:
            if _fleet.is_spread(X, engine) and "labels_" in self.__dict__:
                self.labels_: Any = _fleet.labels_of(self, X)
        return self

    def _fit_rows(
        self,
        X: Any,
        sample_weight: Any,
        levels: tuple[int, ...] | None,
        checkpoint: str | PathLike[str] | None,
        callback: Callable[[Iteration], None] | None,
        seeding_callback: Callable[[int, int], None] | None,
    ) -> None:
        prepared = _input.prepared(self, X, sample_weight, self.device)
        rows, scale, init = prepared.rows, prepared.scale, self.init
        _balance.check(self.balance, sample_weight, rows)
        if _is_arraylike_not_scalar(init):
            init = _init.check_init(init, rows, self.n_clusters)
            if scale is not None:
                init = scaling.divided(init, scale, name="init")
        self._n_init = self._count_runs()
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                "algorithm='elkan' doesn't make sense for a single cluster; 'lloyd' runs instead.",
                RuntimeWarning,
                stacklevel=4,
            )
        random_state = check_random_state(self.random_state)
        saved = self._checkpoint(checkpoint, rows, init)
        progress = None if saved is None else saved.load()
        problem = LloydProblem(
            passes=passes_of(
                rows, metric=self.metric, scale=scale, may_prune=self.algorithm != "lloyd"
            ),
            max_iter=self.max_iter,
            tol=prepared.tol,
            metric=self.metric,
            checkpoint=saved,
            tol_inertia=self.tol_inertia,
        )
        start = partial(_init.start, rows, init, self.n_clusters, random_state, seeding_callback)
        if progress is not None:
            start = partial(getattr, progress, "centers")
        run = partial(lloyd, problem, progress=progress)
        self.__dict__.pop("parents_", None)  # of an earlier fit
        if levels is None:
            best = _runs.best(run, start, self._n_init, bool(self.verbose), callback)
        else:
            best, self.parents_ = _levels.fit(
                self, levels, prepared, problem, random_state, callback, seeding_callback
            )
        self._set_result(best, rows, scale)
        if best.interrupt is not None:
            raise best.interrupt
        distinct = np.count_nonzero(rows.to_host(best.sizes))
        if distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=4,
            )
        if self.balance is not None:
            _balance.balance(self, rows)

    def _checkpoint(
        self, target: str | PathLike[str] | None, rows: Rows, init: Any
    ) -> Checkpoint | None:
        if target is None:
            return None
        if rows.moments is None or self._n_init > 1:
            raise ValueError(
                "checkpoint is not available for sparse rows and for several runs; pass n_init=1, "
                "or leave it out"
            )
        names = ("n_clusters", "random_state", "tol", "tol_inertia", "metric", "standardize")
        parameters = {name: getattr(self, name) for name in names}
        weight = rows.to_host(rows.sample_weight)
        facts = facts_of(rows, {**parameters, "init": init, "sample_weight": weight})
        return Checkpoint(fspath(target), facts)

    def _count_runs(self, automatic: int = 10, stacklevel: int = 5) -> int:
        if not _is_arraylike_not_scalar(self.init):
            if self.n_init != "auto":
                return int(self.n_init)
            return 1 if isinstance(self.init, str) and self.init != "random" else automatic
        if self.n_init not in ("auto", 1):
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={self.n_init}.",
                RuntimeWarning,
                stacklevel=stacklevel,
            )
        return 1

    def _set_result(self, run: Run, rows: Rows, scale: Array | None) -> None:
        for name in ("scale_", "_penalties"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if scale is not None:
            self.scale_ = scale
        self.cluster_centers_ = rows.to_user(run.centers)
        self._n_features_out = len(run.centers)
        self._origin = rows.origin
        self.inertia_ = run.inertia
        self.inertia_history_ = run.inertia_history
        self.n_changed_history_ = run.n_changed_history
        self.n_iter_ = len(run.inertia_history)
        if run.labels is None:
            for name in ("labels_", "cluster_sizes_"):  # those of an earlier fit
                self.__dict__.pop(name, None)
        else:
            self.labels_ = rows.to_user(run.labels)
            self.cluster_sizes_ = rows.to_user(run.sizes)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit and return `labels_`; parameters as in `fit`."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def transform(self, X: Any) -> Any:
        """Return the distance of each row to each centroid.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N, K)
        """
        check_is_fitted(self)
        rows, centers = _input.measured(self, X, self.device)
        return rows.to_user(rows.distances(rows.to_device(centers), self.metric))

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit and return the distance of each row to each centroid; parameters as in `fit`."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

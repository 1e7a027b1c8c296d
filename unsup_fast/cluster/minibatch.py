"""Mini-batch k-means with scikit-learn's interface."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import _is_arraylike_not_scalar

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import COST
from unsup_fast._rows.protocol import Rows
from unsup_fast.blocks import Source
from unsup_fast.cluster import _batches, _init, _input, _minibatch, _save
from unsup_fast.cluster._batches import Draws
from unsup_fast.cluster._centers import centers_of, check_count, origin_of
from unsup_fast.cluster._input import Prepared
from unsup_fast.cluster._minibatch import Means, Plan
from unsup_fast.cluster.kmeans import KMeans
from unsup_fast.distributed import Engine
from unsup_fast.kernels._types import Array

BATCHES_TO_START = 3  # rows that starting centroids are chosen from, in batches


class MiniBatchKMeans(KMeans):
    """k-means from random mini-batches, a drop-in for scikit-learn's `MiniBatchKMeans`.

    A step draws `batch_size` rows, assigns them, and moves each centroid to the mean of all rows
    assigned to it so far. The same `random_state` draws the same rows as scikit-learn.
    Results do not depend on the number of threads.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    init : {"k-means++", "k-means||", "random"}, callable or array-like of shape (K, D), \
            default="k-means++"
        Starting centroids, as in `KMeans`, but chosen from `init_size` random rows.
    max_iter : int, default=100
        Most rows drawn, as a multiple of the rows of X.
    batch_size : int, default=1024
        Rows of a mini-batch.
    verbose : int, default=0
        If positive, print a line per step.
    compute_labels : bool, default=True
        Whether to label the rows and find their inertia in the end, which takes one pass.
    random_state : int, RandomState instance or None, default=None
        Source of random draws; their order is scikit-learn's.
    tol : float, default=0.0
        If positive, `fit` stops when the summed squared movement of the centroids in a step is no
        more than `tol` times the mean variance of the columns.
    max_no_improvement : int or None, default=10
        `fit` stops after this many steps one after the other in which the smoothed inertia of the
        batches did not fall; None never stops for that.
    init_size : int or None, default=None
        Rows that the starting centroids are chosen from; None takes three batches, or
        ``3 * n_clusters`` if that is less than `n_clusters`.
    n_init : "auto" or int, default="auto"
        Starts to choose from, by their inertia on `init_size` other random rows. "auto" makes 3
        if `init` is "random" or a callable, else 1. `partial_fit` makes one.
    reassignment_ratio : float, default=0.01
        Clusters whose count is below this share of the largest are moved to random rows of the
        batch now and then.
    metric : {"euclidean", "cosine"}, default="euclidean"
        As in `KMeans`.
    n_threads : int or None, default=None
        Threads to run; None for all that OMP_NUM_THREADS, affinity and the container allow.
    device : {"cpu"} or None, default=None
        Where to compute.
    standardize : bool, default=False
        As in `KMeans`; `partial_fit` divides by the deviations of the rows of its first call.

    Attributes
    ----------
    cluster_centers_ : ndarray or tensor of shape (K, D)
        Centroids, of the type of X and in its units, also with `standardize`.
    labels_ : ndarray or tensor of shape (N,), int32
        Cluster of each row (of the last batch after `partial_fit`): ``predict(X)``, exactly.
        Only with `compute_labels`, like `cluster_sizes_`.
    cluster_sizes_ : ndarray or tensor of shape (K,), int64
        Number of rows with each label.
    inertia_ : float
        Weighted sum of squared (or cosine) distances of the labelled rows to `cluster_centers_`;
        without `compute_labels`, an estimate of it from the smoothed inertia of the batches.
        With `standardize`, of columns divided by `scale_`.
    n_iter_ : int
        Rows drawn as a multiple of the rows of X, rounded up. Set by `fit`.
    n_steps_ : int
        Mini-batches processed.
    scale_ : ndarray of shape (D,)
        As in `KMeans`; only with `standardize`.
    n_features_in_ : int
        Columns D of X.
    feature_names_in_ : ndarray of shape (D,)
        Names of the columns, if X had names that are all strings.

    Notes
    -----
    Running means and counts are float64 for any type of X, so they keep moving after any number of
    rows. `partial_fit` converts rows of another type to the type of the centroids.

    Ctrl-C during `fit` keeps the last finished step: the rows are labelled by its centroids, all
    attributes are set, and then KeyboardInterrupt is raised. A second Ctrl-C skips the labelling.

    References
    ----------
    Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import MiniBatchKMeans
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [10.0, 2.0], [10.0, 4.0]])
    >>> model = MiniBatchKMeans(n_clusters=2, random_state=0)
    >>> for rows in (X[::2], X[1::2]):
    ...     model = model.partial_fit(rows)
    >>> sorted(model.cluster_centers_.tolist())
    [[1.0, 3.0], [10.0, 3.0]]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{
            name: allowed
            for name, allowed in KMeans._parameter_constraints.items()
            if name not in ("algorithm", "balance", "copy_x", "levels", "tol_inertia")
        },
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "compute_labels": ["boolean"],
        "max_no_improvement": [Interval(Integral, 0, None, closed="left"), None],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "reassignment_ratio": [Interval(Real, 0, None, closed="left")],
    }
    __metadata_request__fit: ClassVar[dict[str, str]] = {
        "engine": UNUSED,
        "callback": UNUSED,
        "seeding_callback": UNUSED,
    }
    _layout = _save.MINI_BATCH

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Any = "auto",
        reassignment_ratio: float = 0.01,
        metric: str = "euclidean",
        n_threads: int | None = None,
        device: str | None = None,
        standardize: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio
        self.metric = metric
        self.n_threads = n_threads
        self.device = device
        self.standardize = standardize

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        engine: Engine | None = None,
        checkpoint: str | PathLike[str] | None = None,
        callback: Callable[[Any], None] | None = None,
        seeding_callback: Callable[[int, int], None] | None = None,
    ) -> "MiniBatchKMeans":
        """Find the centroids from random mini-batches.

        Parameters
        ----------
        X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
            The rows. Types other than float32 become float64, sparse formats CSR.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            Rows are drawn with probabilities proportional to these. A starting array or function
            is not weighted.
        engine, checkpoint : None
            Mini-batches follow each other, so they are not divided among processes; call
            `partial_fit` and `save` to stop and go on.
        callback : callable, optional
            Called with a `Step` after each step.
        seeding_callback : callable, optional
            As in `KMeans.fit`, for each of the starts.

        Returns
        -------
        MiniBatchKMeans
            This estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity or fewer than `n_clusters` rows, if `init` does not fit
            it, or if the weights are unusable.
        KeyboardInterrupt
            On Ctrl-C; the notes of the class say which attributes are then set.
        """
        if engine is not None or checkpoint is not None:
            raise ValueError(
                "mini-batches follow each other, so MiniBatchKMeans takes no engine and no "
                "checkpoint; pass them to KMeans.fit"
            )
        _input.check_device(self.device)
        prepared = _input.prepared(self, X, sample_weight, "cpu")
        rows, scale = prepared.rows, prepared.scale
        self._n_init = self._count_runs(3, stacklevel=4)
        self._measure(rows.n_rows)
        draw = Draws(rows.n_rows, rows.to_host(rows.sample_weight), rows.dtype)
        random_state = check_random_state(self.random_state)
        centers = _batches.best_start(
            rows,
            self._first(prepared),
            self.n_clusters,
            self._init_size,
            random_state,
            self.metric,
            self._n_init,
            bool(self.verbose),
            seeding_callback,
        )
        plan = Plan(
            batch_size=self._batch_size,
            n_steps=self.max_iter * rows.n_rows // self._batch_size,
            reassignment_ratio=self.reassignment_ratio,
            tol=prepared.tol,
            max_no_improvement=self.max_no_improvement,
            shift=rows.to_host(rows.shift),
            metric=self.metric,
            n_threads=rows.n_threads,
            scale=scale,
        )
        result = _minibatch.run(
            rows, draw, plan, centers, random_state, callback, bool(self.verbose)
        )
        interrupt = result.interrupt
        original, centers = _in_units(result.means, centers.dtype, scale)
        total = rows.n_rows if rows.sample_weight is None else rows.sample_weight.sum()
        state = {
            "n_iter_": -(-result.n_steps * self._batch_size // rows.n_rows),
            "inertia_": result.mean_inertia * float(total),
            "_origin": rows.origin,
        }
        self.__dict__.pop("scale_", None)  # of an earlier fit
        if scale is not None:
            state["scale_"] = scale
        try:
            state |= self._labelled(rows, centers)
        except KeyboardInterrupt as caught:
            interrupt = caught
        self._set_step(result.means, original, result.n_steps, result.n_since_reassign, state, rows)
        if interrupt is not None:
            raise interrupt
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MiniBatchKMeans":
        """Make one step with the rows of X as the mini-batch.

        Parameters
        ----------
        X : array-like, sparse matrix or CPU tensor of shape (N, D)
            The rows; in the first call at least `n_clusters`, of which `init_size` random ones
            give the starting centroids, unless `cluster_centers_` was set by hand.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            Weights of the rows.

        Returns
        -------
        MiniBatchKMeans
            This estimator.

        Raises
        ------
        ValueError
            As `fit`, and if X has other columns than in earlier calls.
        KeyboardInterrupt
            On Ctrl-C; the estimator then has the state from before the call.
        """
        _input.check_device(self.device)
        state: dict[str, Any] = {}
        X = X.to_array() if isinstance(X, Source) else X
        random_state = getattr(self, "_random_state", None)
        if random_state is None:
            self._random_state = random_state = check_random_state(self.random_state)
        if hasattr(self, "cluster_centers_"):
            rows, _ = _input.measured(self, X, "cpu")
            rows = rows.in_memory(copy=True).weighted(sample_weight)
            centers, scale = centers_of(self), scaling.scale_of(self)
            if len(getattr(self, "_counts", ())) != len(centers):  # set by hand: a start
                check_count(self, centers, "partial_fit")
                self._measure(rows.n_rows)
                state["_origin"] = origin_of(self)
                start = scaling.applied(self, centers, "cluster_centers_")
                means, n_steps, since = _minibatch.beginning(start), 0, 0
            else:
                means = _minibatch.continued(centers, self._means, self._counts, self.metric, scale)
                n_steps, since = self.n_steps_, self._n_since_last_reassign
        else:
            prepared = _input.prepared(self, X, sample_weight, "cpu")
            rows, scale = prepared.rows.in_memory(copy=True), prepared.scale
            state["_origin"] = rows.origin
            if scale is not None:
                state["scale_"] = scale
            self._n_init = self._count_runs(3, stacklevel=4)
            self._measure(rows.n_rows)
            centers = _batches.start(
                rows,
                self._first(prepared),
                self.n_clusters,
                self._init_size,
                random_state,
                self.metric,
            )
            means = _minibatch.beginning(centers)
            n_steps = since = 0
        due, since = _minibatch.is_due(means, since + self._batch_size)
        means, _, n_reassigned = _minibatch.step(
            means=means,
            batch=rows.X,
            sample_weight=rows.to_host(rows.sample_weight),
            shift=rows.to_host(rows.shift),
            metric=self.metric,
            reassignment_ratio=self.reassignment_ratio if due else 0.0,
            random_state=random_state,
            n_threads=rows.n_threads,
        )
        if self.verbose and n_reassigned:
            print(f"Reassigning {n_reassigned} cluster centers.")
        original, centers = _in_units(means, centers.dtype, scale)
        state |= self._labelled(rows, centers)
        self._set_step(means, original, n_steps + 1, since, state, rows)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit and return the cluster of each row; parameters as in `fit`."""
        self.fit(X, sample_weight=sample_weight)
        return self.labels_ if self.compute_labels else self.predict(X)

    def _measure(self, n_rows: int) -> None:
        """Set the rows of a batch and those that starting centroids are chosen from."""
        self._batch_size = int(min(self.batch_size, n_rows))
        size = self.init_size
        if size is None:
            size = BATCHES_TO_START * self._batch_size
        elif size < self.n_clusters:
            warnings.warn(
                f"init_size={size} should be larger than n_clusters={self.n_clusters}; "
                "min(3 * n_clusters, n_samples) is taken instead.",
                RuntimeWarning,
                stacklevel=4,
            )
        if size < self.n_clusters:
            size = 3 * self.n_clusters
        self._init_size = min(size, n_rows)

    def _first(self, prepared: Prepared) -> Any:
        """Return `init`, checked if it is an array."""
        if _is_arraylike_not_scalar(self.init):
            init = _init.check_init(self.init, prepared.rows, self.n_clusters)
            scale = prepared.scale
            return init if scale is None else scaling.divided(init, scale, name="init")
        return self.init

    def _labelled(self, rows: Rows, centers: Array) -> dict[str, Any]:
        """Return the attributes that `compute_labels` adds, by name."""
        if not self.compute_labels:
            return {}
        assigned = rows.assign(centers.astype(rows.dtype, copy=False), update=False)
        sizes = np.bincount(assigned.labels, minlength=len(centers))
        return {
            "labels_": rows.to_user(assigned.labels),
            "cluster_sizes_": rows.to_user(sizes),
            "inertia_": COST[self.metric] * assigned.inertia,
        }

    def _set_step(
        self,
        means: Means,
        centers: Any,
        n_steps: int,
        since: int,
        state: dict[str, Any],
        rows: Rows,
    ) -> None:
        for name in ("labels_", "cluster_sizes_", "inertia_"):  # those of an earlier fit
            self.__dict__.pop(name, None)
        # In one call, so that Ctrl-C leaves the attributes of either the previous step or this one.
        self.__dict__.update(
            state,
            cluster_centers_=rows.to_user(centers),
            n_steps_=n_steps,
            _means=means.values,
            _counts=means.counts,
            _n_since_last_reassign=since,
            _n_features_out=len(centers),
        )


def _in_units(means: Means, dtype: Any, scale: Any) -> tuple[Any, Any]:
    """Return the centroids of a step in the units of X, and in those of the computation."""
    centers = means.centers.astype(dtype)
    return (centers, centers) if scale is None else scaling.rounded(centers, scale)

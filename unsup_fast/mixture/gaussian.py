"""Gaussian mixtures with scikit-learn's interface."""

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import ArrayLike
from unsup_fast.distributed import Engine
from unsup_fast.kernels.em import COVARIANCE_TYPES, shape_of
from unsup_fast.mixture import _attributes, _covariance, _input, _runs, _save
from unsup_fast.mixture._data import Mixture, MixtureData
from unsup_fast.mixture._em import Iteration, MixtureProblem, MixtureRun
from unsup_fast.mixture._initial_parameters import initial_parameters
from unsup_fast.mixture._initialize import initialize
from unsup_fast.mixture._kmeans import Progress

if TYPE_CHECKING:
    import torch

    from unsup_fast._rows.protocol import ArrayOrTensor


class GaussianMixture(_save.SavedMixture, DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Mixture of Gaussians by expectation maximisation, a drop-in for scikit-learn's.

    Maximises the likelihood ``sum_i w_i log sum_k pi_k N(x_i; mu_k, Sigma_k)``. An iteration is one
    pass over the rows that writes nothing of their number; all sums are float64 about the means
    before, so that float32 rows far from the origin are fitted as well as others. Results do not
    depend on the number of threads.

    Parameters
    ----------
    n_components : int, default=1
        Gaussians K. With one, the maximum is computed in closed form, in two passes over the rows.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        A covariance for each component, one for all, variances along the columns, or one variance
        for each component.
    tol : float, default=1e-3
        A run stops when the mean log-likelihood changes by less.
    reg_covar : float, default=1e-6
        Added to the diagonals of the covariances.
    max_iter : int, default=100
        Most iterations of a run; 0 leaves the start as it is.
    n_init : int, default=1
        Runs from different starts, of which the one of the largest likelihood is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
        Start from clusters of k-means, from rows chosen by k-means++, from responsibilities at
        random, or from rows at random.
    weights_init : array-like of shape (K,) or None, default=None
        Weights to start from.
    means_init : array-like of shape (K, D) or None, default=None
        Means to start from.
    precisions_init : array-like or None, default=None
        Inverse covariances to start from, of the shape of `covariances_`. With all three set,
        nothing is drawn.
    random_state : int, RandomState instance or None, default=None
        Where random draws come from; their order is scikit-learn's.
    warm_start : bool, default=False
        Whether `fit` continues from the fit before.
    verbose : int, default=0
        If positive, print a line every `verbose_interval` iterations.
    verbose_interval : int, default=10
        Iterations from one line to the next.
    chunk_size : int or None, default=None
        Rows of an array that a pass takes at once; None for all of them. Sources have their own.
    n_threads : int or None, default=None
        Threads to run; None for all that OMP_NUM_THREADS, affinity and the container allow.
    device : {"cpu", "cuda"} or None, default=None
        Where to compute: "cuda" and "cuda:1" name a GPU; None takes that of a CUDA tensor, and for
        all else the CPU.
    standardize : bool, default=False
        Whether columns are divided by their standard deviation (constant ones by 1), in the fit
        and of all rows passed later. Parameters, `tol`, `reg_covar` and
        likelihoods then refer to the divided columns; `sample` draws rows in the units of X.

    Attributes
    ----------
    weights_ : ndarray or tensor of shape (K,)
        Shares of the components, of the type of X like all arrays here (float64 if float32 cannot
        hold one of these).
    means_ : ndarray or tensor of shape (K, D)
    covariances_ : ndarray or tensor
        "full" (K, D, D), "tied" (D, D), "diag" (K, D), "spherical" (K,).
    precisions_ : ndarray or tensor
        Their inverses.
    precisions_cholesky_ : ndarray or tensor
        U with ``precisions_ = U @ U.T``, upper triangular; square roots of the precisions if they
        are diagonal.
    converged_ : bool
        Whether the best run came to its end before `max_iter`.
    n_iter_ : int
        Iterations of the best run.
    lower_bound_ : float
        Mean log-likelihood that the last iteration started from.
    lower_bounds_ : list of float
        That of each iteration.
    scale_ : ndarray of shape (D,)
        Standard deviations that columns are divided by, weighted if rows are; only with
        `standardize`. In the units of X the means are ``means_ * scale_``.
    n_features_in_ : int
        Columns D of X.
    feature_names_in_ : ndarray of shape (D,)
        Names of the columns, if X had names that are all strings.

    Notes
    -----
    Parameters are stored in float64 next to the attributes, and used where these were not changed
    since the fit: rounded to float32, a mean of 10,000 is off by 0.0005. Attributes may be set by
    hand, without a fit too: `weights_`, `means_` and `precisions_cholesky_`, or instead of that
    `precisions_` or `covariances_`.

    Finite rows give finite attributes: float32 rows whose squares float32 cannot hold are computed
    with in float64, and so are the attributes then. If the squares overflow float64, ValueError
    says so.

    A covariance that stops being positive definite (constant columns, repeated rows, a component
    that shrinks onto one row, with a `reg_covar` too small for them) is raised just enough to
    continue, and a ConvergenceWarning names the component; scikit-learn raises ValueError. A
    component that no row has a share in keeps mean and covariance, and has no weight.

    On a GPU the passes over the rows run there, and operations of the size of the mixture on the
    CPU in float64; attributes are tensors on the device of X, if it is one, and methods return the
    kind of array that is passed. `n_threads` is without effect, and sources and tables are refused.

    Ctrl-C during `fit` keeps the last finished iteration, and then raises KeyboardInterrupt;
    continue from there with ``warm_start=True``.

    References
    ----------
    Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", J. R.
    Stat. Soc. B 39 (1977).

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.mixture import GaussianMixture
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]])
    >>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> sorted(model.means_.round(6).tolist())
    [[1.0, 2.0], [10.0, 2.0]]
    >>> model.predict([[0, 0], [12, 3]]).tolist() == model.predict(X[[0, 3]]).tolist()
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, 1e290, closed="both")],  # what factors can be taken of
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"kmeans", "random", "random_from_data", "k-means++"})],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "chunk_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "device": "no_validation",  # compute_device says more than a type
        "standardize": ["boolean"],
    }
    __metadata_request__fit: ClassVar[dict[str, str]] = {
        "callback": UNUSED,
        "engine": UNUSED,
        "seeding_callback": UNUSED,
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        chunk_size: int | None = None,
        n_threads: int | None = None,
        device: str | None = None,
        standardize: bool = False,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.chunk_size = chunk_size
        self.n_threads = n_threads
        self.device = device
        self.standardize = standardize

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: RowsLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        engine: Engine | None = None,
        callback: Callable[[Iteration], None] | None = None,
        seeding_callback: Progress | None = None,
    ) -> "GaussianMixture":
        """Find the mixture.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)
            The rows, two at least. Types other than float32 become float64. A `Source` (see
            `unsup_fast.blocks.source`), a pyarrow Table or Dataset, and a memory map that needs
            conversion are read a block at a time, once an iteration.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            Weights >= 0 of the rows; a weight of 2 counts a row twice.
        engine : Engine, optional
            Processes that have the rows between them; see `KMeans.fit`, also for the result.
        callback : callable, optional
            Called with an `Iteration` after each iteration.
        seeding_callback : callable, optional
            Called a few times a second while k-means++ chooses the first rows, with how many are
            chosen and how many are to be.

        Returns
        -------
        GaussianMixture
            This estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity or too few rows, or if the weights or the start are unusable.
        TypeError
            If X is sparse.
        KeyboardInterrupt
            On Ctrl-C; see the notes of the class for what is kept.
        """
        with scaling.restored_on_error(self), _input.opened(self, X, engine) as rows:
            problem, best = self._run(rows, sample_weight, callback, seeding_callback)
        self._set_run(best, problem.data.rows.dtype, arrays.device_of(X))
        _runs.warn(problem, best, stacklevel=4)
        if best.interrupt is not None:
            raise best.interrupt
        return self

    def _run(
        self,
        rows: Rows,
        sample_weight: ArrayLike | None,
        callback: Callable[[Iteration], None] | None,
        seeding_callback: Progress | None,
    ) -> tuple[MixtureProblem, MixtureRun]:
        """Return the validated problem of `fit` and the best run."""
        problem = _input.problem(self, rows, sample_weight)
        user = initial_parameters(self, problem.data.n_columns)
        n_init, lower_bound = self.n_init, -np.inf
        start: _runs.Start = partial(
            initialize,
            problem,
            user,
            self.n_components,
            self.init_params,
            check_random_state(self.random_state),
            seeding_callback,
        )
        if self.warm_start and hasattr(self, "converged_"):
            before = self._before(problem.data.n_columns)
            n_init, lower_bound = 1, self.lower_bound_

            def start() -> tuple[Mixture, dict[int, float]]:
                return before, {}

        def report(state: Iteration) -> None:
            if self.verbose and state.iteration % self.verbose_interval == 0:
                _runs.show(state)
            if callback is not None:
                callback(state)

        say = print if self.verbose else lambda line: None
        wanted = report if self.verbose or callback else None
        return problem, _runs.best(problem, start, n_init, lower_bound, wanted, say)

    def _before(self, n_columns: int) -> Mixture:
        """Return the mixture of the fit before, if this fit can continue from it."""
        before, k, d = _attributes.parameters(self), self.n_components, n_columns
        wanted = ((k, d), shape_of(self.covariance_type, k, d))
        if (before.means.shape, before.factors.shape) != wanted:
            raise ValueError(
                f"warm_start=True goes on with means {before.means.shape} and precisions "
                f"{before.factors.shape}, but n_components, covariance_type and X now ask for "
                f"{wanted[0]} and {wanted[1]}; pass warm_start=False"
            )
        return before

    def _set_run(
        self, run: MixtureRun, dtype: npt.DTypeLike, device: "torch.device | None"
    ) -> None:
        """Set what a fit sets from its best run; see `_set`."""
        self.converged_ = run.converged
        self.n_iter_ = len(run.lower_bounds)
        self.lower_bound_ = run.lower_bound
        self.lower_bounds_ = run.lower_bounds
        self._set(run.mixture, dtype, device)

    def _set(self, mixture: Mixture, dtype: npt.DTypeLike, device: "torch.device | None") -> None:
        """Set the attributes: tensors on the torch device `device`, or arrays if that is None."""
        self._mixture = mixture
        values = _attributes.public(mixture, self.covariance_type, dtype)
        self._dtype = values["means_"].dtype
        for name, value in values.items():
            setattr(self, name, arrays.to_device(value, device))

    def fit_predict(
        self, X: RowsLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Fit and return the most probable component of each row; parameters as in `fit`."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def _fitted_data(
        self, X: RowsLike, sample_weight: ArrayLike | None = None
    ) -> tuple[MixtureData, Mixture]:
        """Return validated rows, and the mixture that they are evaluated under."""
        check_is_fitted(self)
        mixture = _attributes.parameters(self)
        data, n_columns = _input.fitted(self, X, sample_weight), mixture.means.shape[1]
        if data.n_columns != n_columns:
            raise ValueError(
                f"X has {data.n_columns} features, but {type(self).__name__} is expecting "
                f"{n_columns} features as input."
            )
        return data, mixture

    def _evaluate(self, X: RowsLike, name: str) -> "ArrayOrTensor":
        """Return an array of `EStep` that has a row for each row of X."""
        data, mixture = self._fitted_data(X)
        blocks = data.evaluate(mixture, **{name: True})
        values: ArrayOrTensor = data.rows.to_user(
            arrays.concatenate([getattr(block, name) for block in blocks])
        )
        return values

    def _likelihood(
        self, X: RowsLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        """Return the log-likelihood of all rows, and their weight."""
        data, mixture = self._fitted_data(X, sample_weight)
        blocks = data.evaluate(mixture)
        return sum(block.log_likelihood for block in blocks), sum(block.weight for block in blocks)

    def predict(self, X: RowsLike) -> Any:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N,), int32
        """
        return self._evaluate(X, "labels")

    def predict_proba(self, X: RowsLike) -> Any:
        """Return the responsibility of each component for each row.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N, K), type of X
            Zeros for a row so far from all components that its density is zero in this type.
        """
        return self._evaluate(X, "resp")

    def score_samples(self, X: RowsLike) -> Any:
        """Return the log-likelihood of each row.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N,), type of X
        """
        return self._evaluate(X, "log_prob")

    def score(self, X: RowsLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)
        y : ignored
        sample_weight : array-like of shape (N,), optional
        """
        likelihood, weight = self._likelihood(X, sample_weight)
        return float(likelihood / weight)

    def bic(self, X: RowsLike) -> float:
        """Return the Bayesian information criterion of the rows: the lower, the better.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)
        """
        likelihood, n_rows = self._likelihood(X)
        return float(-2 * likelihood + self._n_parameters() * np.log(n_rows))

    def aic(self, X: RowsLike) -> float:
        """Return Akaike's information criterion of the rows: the lower, the better.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)
        """
        likelihood, _ = self._likelihood(X)
        return float(-2 * likelihood + 2 * self._n_parameters())

    def _n_parameters(self) -> int:
        k, d = (int(size) for size in _attributes.parameters(self).means.shape)
        return _covariance.n_parameters(self.covariance_type, k, d) + d * k + k - 1

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw rows from the mixture, component by component, as scikit-learn does.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        X : ndarray or tensor of shape (n_samples, D), float64
        y : ndarray or tensor of shape (n_samples,), int64
            Component of each row, ascending.

        Raises
        ------
        ValueError
            If `n_samples` is less than one.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one "
                "sample."
            )
        mixture, kind = _attributes.parameters(self), self.covariance_type
        random_state = check_random_state(self.random_state)
        shares = mixture.weights / max(
            1.0, mixture.weights.sum()
        )  # rounded by hand, they may not fit
        counts = random_state.multinomial(n_samples, shares)  # [K]
        # Of wildly different columns a fitted covariance looks indefinite to NumPy's check.
        is_fitted = mixture.covariances is getattr(self, "_mixture", mixture).covariances
        check: Literal["ignore", "warn"] = "ignore" if is_fitted else "warn"
        drawn = []
        for k, (mean, count) in enumerate(zip(mixture.means, counts, strict=True)):
            covariance = mixture.covariances if kind == "tied" else mixture.covariances[k]
            if kind in _covariance.MATRICES:
                drawn.append(random_state.multivariate_normal(mean, covariance, int(count), check))
            else:
                noise = random_state.standard_normal(size=(count, len(mean)))
                drawn.append(mean + noise * np.sqrt(covariance))
        device = arrays.device_of(self.means_)
        labels = np.repeat(np.arange(len(counts)), counts)
        rows = scaling.restored(self, np.concatenate(drawn))
        return arrays.to_device(rows, device), arrays.to_device(labels, device)

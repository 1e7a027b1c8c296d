"""Principal component analysis with scikit-learn's interface."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import UNUSED

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.covariance import Progress
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.types import RowsLike
from unsup_fast.decomposition import _input, _save, _solvers
from unsup_fast.decomposition._base import Projection
from unsup_fast.decomposition._dimension import number_of_axes
from unsup_fast.decomposition._model import attributes
from unsup_fast.decomposition._solvers import Axes
from unsup_fast.distributed import Engine

EXACT = 2000  # "auto" takes the exact eigenvectors up to this many rows or columns


class PCA(Projection):
    """Principal component analysis, a drop-in for scikit-learn's `PCA`.

    Finds the orthonormal axes of largest variance: the eigenvectors of the covariance of the rows,
    which are the right singular vectors of the centred rows. The covariance takes one pass without
    a centred copy of the data, about a point in their middle, so that rows far from the origin are
    decomposed as well as others, and does not depend on the number of threads.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        Axes K to keep; a number between 0 and 1 keeps as many as explain more than this share of
        the variance; "mle" as many as Minka's estimate says; None all ``min(N, D)`` (one less
        with "arpack").
    copy : bool, default=True
        Without effect: X is never changed.
    whiten : bool, default=False
        Whether `transform` divides each coordinate by its standard deviation. Where this is no
        more than the rounding of the solver, the coordinate is 0 (see Notes).
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, default="auto"
        "covariance_eigh": eigenvectors of the covariance, or where D > N of the inner products
        of the rows. "full": LAPACK's SVD of a centred copy. "arpack" and "randomized": SciPy's
        and scikit-learn's truncated SVDs. "auto" takes "arpack" for sparse rows; else "full"
        where the data are small and not tall, or "mle" or nearly all axes are asked for;
        "covariance_eigh" up to 1000 columns of ten times as many rows, and where N or D is no more
        than 2000; else "randomized". Sources of blocks take "covariance_eigh".
    tol : float, default=0.0
        Tolerance of "arpack".
    iterated_power : int or "auto", default="auto"
        Power iterations of "randomized".
    n_oversamples : int, default=10
        Additional random vectors of "randomized".
    power_iteration_normalizer : {"auto", "QR", "LU", "none"}, default="auto"
        Of "randomized".
    random_state : int, RandomState instance or None, default=None
        Where "arpack" and "randomized" draw from.
    n_threads : int or None, default=None
        Threads to run; None for all that OMP_NUM_THREADS, affinity and the container allow.
    device : {"cpu", "cuda"} or None, default=None
        Where to compute: "cuda" and "cuda:1" name a GPU; None takes that of a CUDA tensor, and for
        all else the CPU.
    standardize : bool, default=False
        Whether columns are divided by their standard deviation (constant ones by 1), in the fit
        and of all rows passed later: axes are those of the correlation matrix.

    Attributes
    ----------
    components_ : ndarray or tensor of shape (K, D)
        Axes as orthonormal rows, by descending variance; the largest entry of each is positive.
    explained_variance_ : ndarray or tensor of shape (K,)
        Variance along each axis, divided by N - 1.
    explained_variance_ratio_ : ndarray or tensor of shape (K,)
        Its share of the whole variance.
    singular_values_ : ndarray or tensor of shape (K,)
        Of the centred rows: ``sqrt((N - 1) * explained_variance_)``.
    mean_ : ndarray or tensor of shape (D,)
        Mean of the rows; with `standardize` it, like the variances and what `score` returns, is
        that of the divided columns. `inverse_transform` returns rows in the units of X.
    scale_ : ndarray of shape (D,)
        Standard deviations that columns are divided by; only with `standardize`.
    noise_variance_ : float
        Mean variance along the other ``min(N, D) - K`` axes.
    n_components_ : int
        Axes K.
    n_samples_ : int
        Rows N.
    n_features_in_ : int
        Columns D.
    feature_names_in_ : ndarray of shape (D,)
        Names of the columns, if X had names that are all strings.

    Notes
    -----
    A torch tensor is read where it is. After a fit on one the attributes that are arrays are
    tensors on its device; methods return the kind of array that is passed. On a GPU there is
    no "arpack".

    Whitened coordinates of the rows that were fitted have variance 1, or 0 along axes without
    variance, so none exceeds ``sqrt(N - 1)``. "covariance_eigh" finds variances to within about
    ``64 eps`` of the largest one, eps being 1.2e-7 for float32 and 2.2e-16 for float64, and takes
    smaller ones for rounding; the other solvers find them to within the square of that.

    References
    ----------
    Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical
    Magazine 2 (1901).
    Tipping & Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 61 (1999).
    Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.decomposition import PCA
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> model = PCA(n_components=1).fit(X)
    >>> model.components_.round(3).tolist()
    [[0.6, 0.8]]
    >>> model.transform(X).round(3).ravel().tolist()
    [-5.0, 0.0, 5.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"mle"}),
            None,
        ],
        "copy": ["boolean"],
        "whiten": ["boolean"],
        "svd_solver": [StrOptions({"auto", "full", "covariance_eigh", "arpack", "randomized"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "iterated_power": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "device": "no_validation",  # compute_device says more than a type
        "standardize": ["boolean"],
    }
    __metadata_request__fit: ClassVar[dict[str, str]] = {"callback": UNUSED, "engine": UNUSED}
    _layout = _save.PCA

    def __init__(
        self,
        n_components: int | float | str | None = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
        device: str | None = None,
        standardize: bool = False,
    ) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.tol = tol
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.standardize = standardize

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: RowsLike,
        y: object = None,
        *,
        engine: Engine | None = None,
        callback: Progress | None = None,
    ) -> "PCA":
        """Find the axes.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
            The rows. Types other than float32 become float64. A `Source` (see
            `unsup_fast.blocks.source`), a pyarrow Table or Dataset, and a memory map that needs
            conversion are read a block at a time, once.
        y : ignored
        engine : Engine, optional
            Processes that have the rows between them, such as `unsup_fast.distributed.local`. The
            solver is "covariance_eigh", and the result that of a fit of ``blocks.source(X)`` here
            by this solver, bit for bit.
        callback : callable, optional
            Called after each block of rows with how many are done, and how many there are or None;
            with an engine in the end.

        Returns
        -------
        PCA
            This estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity or fewer than two rows, if there are fewer axes than
            `n_components`, if a variance overflows the type of the rows, or if the solver cannot
            take these rows.
        TypeError
            If X is sparse and the solver is for dense rows.
        """
        with scaling.restored_on_error(self):
            values = self._fitted(X, engine, callback)
        self.__dict__.update(values)
        return self

    def _fitted(
        self, X: RowsLike, engine: Engine | None, callback: Progress | None
    ) -> dict[str, Any]:
        """Return what a fit sets, by the name of the attribute."""
        with _input.opened(self, X, engine) as rows:
            axes = self._axes(rows, callback)
        n_components = self._checked_n_components(axes.n_rows, len(axes.mean))
        k = number_of_axes(n_components, axes.variances, axes.total, axes.n_rows)
        device = arrays.device_of(X)
        values = {
            name: value if name in _save.ON_HOST else arrays.to_device(value, device)
            for name, value in attributes(axes, k, rows.dtype).items()
        }
        return values | {"n_samples_": axes.n_rows}

    def fit_transform(self, X: RowsLike, y: object = None) -> Any:
        """Fit and return the coordinates of the rows; parameters as in `fit`."""
        return self.fit(X).transform(X)

    def _axes(self, rows: Rows, callback: Progress | None) -> Axes:
        """Return the axes of validated rows by the solver that suits them."""
        is_sparse = sp.issparse(rows.X)
        self._check_solver(rows, is_sparse)
        if rows.is_in_memory:
            self._fit_svd_solver = self._solver(rows.shape, is_sparse)
            self._checked_n_components(*rows.shape)
            is_tall = is_sparse or rows.n_rows >= rows.n_columns
        else:  # the rows may not have been counted yet
            self._fit_svd_solver, is_tall = "covariance_eigh", True
        solver, owner = self._fit_svd_solver, type(self).__name__
        if solver == "covariance_eigh" and is_tall:
            sums = rows.covariance(owner, progress=callback)
            return _solvers.of_covariance(sums, float(np.finfo(rows.dtype).eps), rows.device)
        rows = rows.finite(owner)
        if solver == "covariance_eigh":
            axes = _solvers.of_gram(rows)
        elif solver == "full":
            axes = _solvers.of_svd(rows)
        else:
            k = int(self._checked_n_components(*rows.shape))
            random_state = check_random_state(self.random_state)
            if solver == "arpack":
                axes = _solvers.arpack(rows, k, tol=self.tol, random_state=random_state)
            else:
                axes = _solvers.randomized(
                    rows,
                    k,
                    n_oversamples=self.n_oversamples,
                    n_iter=self.iterated_power,
                    normalizer=self.power_iteration_normalizer,
                    random_state=random_state,
                )
        if callback is not None:
            callback(rows.n_rows, rows.n_rows)
        return axes

    def _check_solver(self, rows: Rows, is_sparse: bool) -> None:
        """Raise unless `svd_solver` can take such rows."""
        solver = self.svd_solver
        if is_sparse and solver not in ("auto", "arpack", "covariance_eigh"):
            raise TypeError(
                'PCA only support sparse inputs with the "arpack" and "covariance_eigh" '
                f'solvers, while "{solver}" was passed. See TruncatedSVD for a '
                "possible alternative."
            )
        if not rows.is_in_memory and solver not in ("auto", "covariance_eigh"):
            raise ValueError(
                f"svd_solver={solver!r} needs all rows at once; pass "
                "svd_solver='covariance_eigh' or X.to_array()"
            )
        if solver == "arpack" and rows.device is not None:
            raise ValueError(
                "svd_solver='arpack' is for the CPU; pass svd_solver='covariance_eigh', 'full' or "
                "'randomized'"
            )

    def _solver(self, shape: tuple[int, int], sparse: bool) -> str:
        """Return the solver that "auto" selects."""
        if self.svd_solver != "auto":
            return self.svd_solver
        n_rows, n_columns = shape
        fewer = min(shape)
        wanted = fewer if self.n_components is None else self.n_components
        if sparse:
            return "arpack"
        if n_columns <= 1000 and n_rows >= 10 * n_columns:
            return "covariance_eigh"
        if max(shape) <= 500 or isinstance(wanted, str) or wanted >= 0.8 * fewer:
            return "full"
        if fewer <= EXACT:
            return "covariance_eigh"
        return "randomized" if wanted >= 1 else "full"

    def _checked_n_components(self, n_rows: int, n_columns: int) -> int | float | str:
        """Return `n_components`, checked against the solver and the shape."""
        solver, fewer = self._fit_svd_solver, min(n_rows, n_columns)
        if n_rows < 2:
            raise ValueError(f"n_samples={n_rows} has no variance; pass at least two rows")
        truncated = solver in ("arpack", "randomized")
        wanted = self.n_components
        if wanted is None:
            wanted = fewer - (solver == "arpack")
        if isinstance(wanted, str):
            if truncated:
                raise ValueError(
                    f"n_components={wanted!r} cannot be a string with svd_solver='{solver}'"
                )
            if n_rows < n_columns:
                raise ValueError("n_components='mle' is only supported if n_samples >= n_features")
            return wanted
        if not int(truncated) <= wanted <= fewer:
            raise ValueError(
                f"n_components={wanted} must be between {int(truncated)} and "
                f"min(n_samples, n_features)={fewer} with svd_solver={solver!r} "
                f"(n_samples={n_rows}, n_features={n_columns})"
            )
        if solver == "arpack" and wanted == fewer:
            raise ValueError(
                f"n_components={wanted} must be strictly less than "
                f"min(n_samples, n_features)={fewer} with svd_solver={solver!r} "
                f"(n_samples={n_rows}, n_features={n_columns})"
            )
        return wanted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = self.svd_solver in ("auto", "arpack", "covariance_eigh")
        return tags

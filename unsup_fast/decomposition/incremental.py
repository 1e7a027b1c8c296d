"""PCA of rows that come batch by batch, with scikit-learn's interface."""

from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import UNUSED

from unsup_fast._rows import arrays
from unsup_fast._rows.covariance import EMPTY, Progress
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.types import RowsLike
from unsup_fast.decomposition import _input, _save, _solvers
from unsup_fast.decomposition._base import Projection
from unsup_fast.decomposition._model import attributes, check_range
from unsup_fast.distributed import Engine
from unsup_fast.kernels.covariance import Covariance

if TYPE_CHECKING:
    import torch


class IncrementalPCA(Projection):
    """Exact PCA of batches, a drop-in for scikit-learn's `IncrementalPCA`.

    Keeps the mean and the D x D scatter of all rows seen so far in float64, so the axes are those
    of `PCA` on all rows at once, whatever the batches were. scikit-learn keeps the leading axes
    only and forgets the rest with every batch.

    Parameters
    ----------
    n_components : int or None, default=None
        Axes K to keep; None keeps all: as many as there are rows or columns, the fewer. While
        `partial_fit` has seen fewer rows, there are as many axes as rows.
    whiten : bool, default=False
        Whether `transform` divides each coordinate by its standard deviation, as in `PCA`.
    copy : bool, default=True
        Without effect: X is never changed.
    batch_size : int or None, default=None
        Without effect: the result does not depend on how rows are batched.
    n_threads : int or None, default=None
        Threads to run; None for all that OMP_NUM_THREADS, affinity and the container allow.
    device : {"cpu", "cuda"} or None, default=None
        As in `PCA`.

    Attributes
    ----------
    components_, explained_variance_, explained_variance_ratio_, singular_values_, mean_, \
            noise_variance_, n_components_, n_features_in_, feature_names_in_
        As in `PCA`, of all rows seen so far. The first three, `singular_values_` and
        `noise_variance_` are computed when they are first asked for after a batch.
    var_ : ndarray or tensor of shape (D,)
        Variance of each column, divided by N.
    n_samples_seen_ : int
        Rows N seen so far.
    batch_size_ : int
        `batch_size` or ``5 * D``. Set by `fit`.

    References
    ----------
    Chan, Golub & LeVeque, "Algorithms for computing the sample variance", Am. Stat. 37 (1983).

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.decomposition import IncrementalPCA
    >>> model = IncrementalPCA(n_components=1)
    >>> for batch in (np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[6.0, 8.0]])):
    ...     model = model.partial_fit(batch)
    >>> model.components_.round(3).tolist(), model.n_samples_seen_
    ([[0.6, 0.8]], 3)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "whiten": ["boolean"],
        "copy": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "device": "no_validation",  # compute_device says more than a type
    }
    __metadata_request__fit: ClassVar[dict[str, str]] = {"callback": UNUSED, "engine": UNUSED}
    __metadata_request__partial_fit: ClassVar[dict[str, str]] = {"check_input": UNUSED}
    _layout = _save.INCREMENTAL

    def __init__(
        self,
        n_components: int | None = None,
        *,
        whiten: bool = False,
        copy: bool = True,
        batch_size: int | None = None,
        n_threads: int | None = None,
        device: str | None = None,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.copy = copy
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: RowsLike,
        y: object = None,
        *,
        engine: Engine | None = None,
        callback: Progress | None = None,
    ) -> "IncrementalPCA":
        """Find the axes of X, forgetting rows seen before.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
            The rows, as in `PCA.fit`.
        y : ignored
        engine : Engine, optional
            Processes that have the rows between them, such as `unsup_fast.distributed.local`. The
            result is that of a fit of ``blocks.source(X)`` here, bit for bit.
        callback : callable, optional
            Called after each block of rows with how many are done, and how many there are or None;
            with an engine in the end.

        Returns
        -------
        IncrementalPCA
            This estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, if there are fewer axes than `n_components`, or if a
            variance overflows.
        """
        with _input.opened(self, X, engine) as rows:
            self._add(rows, arrays.device_of(X), callback, min_rows=self.n_components or 1)
        self.batch_size_ = self.batch_size or 5 * self.n_features_in_
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: RowsLike, y: object = None, check_input: bool = True
    ) -> "IncrementalPCA":
        """Add the rows of X to those seen before.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)
            Any number of rows, from one. Until `n_components` rows have come, `n_components_` is
            their number.
        y : ignored
        check_input : bool, default=True
            Without effect: X is always checked.

        Returns
        -------
        IncrementalPCA
            This estimator.

        Raises
        ------
        ValueError
            As `fit`, and if X has other columns, or `n_components` another value, than before.
        TypeError
            If X is sparse.
        """
        if sp.issparse(X):
            raise TypeError(
                "IncrementalPCA.partial_fit does not support sparse input. Either convert data to "
                "dense or use IncrementalPCA.fit to do so in batches."
            )
        reset = not hasattr(self, "n_samples_seen_")
        self._add(_input.rows(self, X, reset=reset), arrays.device_of(X), None, reset=reset)
        return self

    def _add(
        self,
        rows: Rows,
        device: "torch.device | None",
        callback: Progress | None,
        *,
        reset: bool = True,
        min_rows: int = 1,
    ) -> None:
        """Merge the moments of rows with those of the rows seen so far, `min_rows` in all.

        Attributes become tensors on the device, or arrays if it is None.
        """
        self._check_components(rows.n_columns, reset)
        before = EMPTY if reset else self._sums()
        sums = rows.covariance(type(self).__name__, before, callback)
        if sums.n_rows < min_rows:
            raise ValueError(
                f"n_components={self.n_components} exceeds the {sums.n_rows} rows of X; pass "
                "n_components <= "
                f"{min(sums.n_rows, len(sums.mean))}, or add rows by partial_fit"
            )
        for name in _save.LATER:  # set by hand
            self.__dict__.pop(name, None)
        dtype, eps = rows.dtype, float(np.finfo(rows.dtype).eps)
        if not reset:
            dtype, eps = np.result_type(dtype, self._dtype), max(eps, self._eps)
        degrees = max(sums.n_rows - 1, 1)
        total = float(np.sqrt(np.trace(sums.scatter) / degrees)) * sums.unit
        check_range(total, total, dtype)
        self.__dict__.update(
            n_samples_seen_=sums.n_rows,
            n_components_=self._n_axes(sums.n_rows, len(sums.mean)),
            _mean=sums.mean,
            _scatter=sums.scatter,
            _unit=sums.unit,
            _eps=eps,
            _dtype=np.dtype(dtype),
            _device=device,
            _later={},
        )
        self.mean_ = arrays.to_device(sums.mean.astype(dtype), device)
        variances = sums.scatter.diagonal() / sums.n_rows * sums.unit * sums.unit
        self.var_ = arrays.to_device(variances.astype(dtype), device)

    def _sums(self) -> Covariance:
        """Return mean and scatter of the rows seen so far."""
        return Covariance(
            n_rows=self.n_samples_seen_,
            mean=self._mean,
            scatter=self._scatter,
            first_nonfinite=None,
            unit=self._unit,
        )

    def _n_axes(self, n_rows: int, n_columns: int) -> int:
        """Return the number of axes of `n_rows` rows."""
        fewer = min(n_rows, n_columns)
        return fewer if self.n_components is None else min(self.n_components, fewer)

    def _check_components(self, n_columns: int, first: bool) -> None:
        """Raise unless `n_components` fits the columns and the rows seen before."""
        if self.n_components is None:
            return
        if self.n_components > n_columns:
            raise ValueError(
                f"n_components={self.n_components!r} invalid for n_features={n_columns}, need "
                "more rows than columns for IncrementalPCA processing"
            )
        if not first and self._n_axes(self.n_samples_seen_, n_columns) != self.n_components_:
            raise ValueError(
                f"Number of input features has changed from {self.n_components_} to "
                f"{self.n_components} between calls to partial_fit! Try setting n_components to "
                "a fixed value."
            )

    def __getattr__(self, name: str) -> Any:
        """Compute the axes when they are first asked for after a batch."""
        if name not in _save.LATER or "_later" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not self._later:
            axes = _solvers.of_covariance(self._sums(), self._eps)
            values = attributes(axes, self.n_components_, self._dtype)
            self._later.update(
                {
                    later: values[later]
                    if later in _save.ON_HOST
                    else arrays.to_device(values[later], self._device)
                    for later in _save.LATER
                }
            )
        return self._later[name]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = True
        return tags

"""Methods that PCA and IncrementalPCA share once the axes are known."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.types import RowsLike
from unsup_fast._types import Array
from unsup_fast.decomposition import _input, _linalg, _save
from unsup_fast.decomposition._attributes import (
    axes_of,
    deviations_of,
    mean_of,
    noise_of,
    variances_of,
)
from unsup_fast.decomposition._model import Model
from unsup_fast.decomposition._solvers import shifted
from unsup_fast.kernels.covariance import unit_of

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor

BLOCK = 1 << 22  # elements of a block of centered rows: 32 MiB


class Projection(
    _save.SavedAxes,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Map rows to coordinates along fitted axes, and back."""

    def transform(self, X: RowsLike) -> Any:
        """Return the coordinates of rows along the axes.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N, n_components_)
        """
        check_is_fitted(self)
        rows = _input.finite_rows(self, X)
        return rows.to_user(self._project(rows))

    def _project(self, rows: Rows) -> Any:
        """Return the coordinates [N, K] of validated rows, where they are."""
        axes = axes_of(self)
        n_axes, n_columns = axes.shape
        if rows.n_columns != n_columns:
            raise ValueError(
                f"X has {rows.n_columns} features, but {type(self).__name__} is expecting "
                f"{n_columns} features as input."
            )
        mean, wide = mean_of(self, n_columns), np.result_type(rows.dtype, axes.dtype)
        before, after = self._divisors(wide, n_axes)
        weights = np.ascontiguousarray(axes / before[:, None], dtype=wide)
        if sp.issparse(rows.X):
            moved, start = shifted(rows.X)
            offset = ((mean - start) @ weights.T).astype(wide)
            return _linalg.divided(moved @ weights.T - offset, after)
        if n_axes == 0:
            return rows.to_device(np.empty((rows.n_rows, 0), wide))
        shift = mean.astype(wide)
        offset = ((shift - mean) @ weights.T).astype(wide)  # what rounding the mean left
        coordinates = [
            _linalg.affine(block, weights, shift=shift, offset=offset, n_threads=self.n_threads)
            for _, block in rows.parts()
        ]
        return _linalg.divided(arrays.concatenate(coordinates), after)

    def _divisors(self, dtype: npt.DTypeLike, n_axes: int) -> tuple[Array, Array | None]:
        """Return what to divide axes and coordinates by, [K] each, None for no division.

        That is the deviations if `whiten` is set, on either side; infinity, which leaves 0, along
        axes whose variance is no more than rounding. Axes take it, which costs nothing, unless
        the quotient leaves the range of the type.
        """
        if not self.whiten:
            return np.ones(n_axes), None
        deviations = deviations_of(self, n_axes)
        divisors = np.where(deviations > 0, deviations, np.inf)
        if unit_of(divisors.min(initial=np.inf), dtype) == 1 or not deviations.any():
            return divisors, None
        return np.ones(n_axes), divisors

    def inverse_transform(self, X: RowsLike) -> Any:
        """Return the rows that have these coordinates and nothing outside the axes.

        Parameters
        ----------
        X : array-like or tensor of shape (N, n_components_)

        Returns
        -------
        ndarray or tensor of shape (N, D)
        """
        check_is_fitted(self)
        axes = axes_of(self)
        n_axes, n_columns = axes.shape
        coordinates, dtype = _input.coordinates(self, X, n_axes)
        wide = np.result_type(dtype, axes.dtype)
        if self.whiten:
            axes = axes * deviations_of(self, n_axes)[:, None]
        weights = np.ascontiguousarray(axes.T, dtype=wide)  # [D, K]
        mean = mean_of(self, n_columns).astype(wide)
        if n_axes == 0:
            rows: Any = np.tile(mean, (len(coordinates), 1))
        else:
            rows = _linalg.affine(coordinates, weights, offset=mean, n_threads=self.n_threads)
        return arrays.to_user(scaling.restored(self, rows), X)

    def get_covariance(self) -> Any:
        """Return the covariance [D, D] of the probabilistic model (Tipping & Bishop 1999).

        ``components_.T @ diag(explained_variance_ - noise) @ components_ + noise * I``, whether or
        not `whiten` is set.
        """
        check_is_fitted(self)
        return self._like_components(self._model().covariance())

    def get_precision(self) -> "ArrayOrTensor":
        """Return the inverse [D, D] of `get_covariance`.

        Raises
        ------
        ValueError
            If it overflows the type of the axes.
        """
        check_is_fitted(self)
        precision = self._model().precision()
        dtype = axes_of(self).dtype
        if np.abs(precision).max() > np.finfo(dtype).max:
            raise ValueError(f"the precision overflows {dtype}; fit float64 rows")
        return self._like_components(precision)

    def _model(self) -> Model:
        axes = axes_of(self).astype(np.float64)
        variances = variances_of(self, len(axes)).astype(np.float64)
        return Model(axes=axes, variances=variances, noise=noise_of(self))

    def _like_components(self, value: Array) -> "ArrayOrTensor":
        """Return a matrix as `components_` is: an array or tensor, of its type and device."""
        rounded = value.astype(axes_of(self).dtype, copy=False)
        like: ArrayOrTensor = arrays.to_device(rounded, arrays.device_of(self.components_))
        return like

    def score_samples(self, X: RowsLike) -> Any:
        """Return the log-likelihood of each row under the probabilistic model.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N,), float64
        """
        check_is_fitted(self)
        rows = _input.finite_rows(self, X)
        if sp.issparse(rows.X):
            raise TypeError(
                "sparse rows have no score; pass X.toarray() or unsup_fast.blocks.source(X)"
            )
        mean = mean_of(self, rows.n_columns)
        log_density = self._model().log_density(mean, rows.device, self.n_threads)
        step = max(1, BLOCK // rows.n_columns)
        logs = [
            log_density(block[start : start + step])
            for _, block in rows.parts()
            for start in range(0, len(block), step)
        ]
        return rows.to_user(arrays.concatenate(logs))

    def score(self, X: RowsLike, y: object = None) -> float:
        """Return the mean log-likelihood of the rows; see `score_samples`."""
        return float(arrays.on_host(self.score_samples(X)).mean())

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

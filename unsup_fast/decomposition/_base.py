"""Methods that PCA and IncrementalPCA share once the axes are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from unsup_fast._rows import arrays, scaling
from unsup_fast.blocks import Source
from unsup_fast.decomposition import _input, _save
from unsup_fast.decomposition._attributes import (
    axes_of,
    deviations_of,
    mean_of,
    noise_of,
    variances_of,
)
from unsup_fast.decomposition._solvers import Axes, shifted
from unsup_fast.kernels.affine import affine
from unsup_fast.kernels.covariance import RangeError, unit_of

Array = npt.NDArray[Any]

BLOCK = 1 << 22  # elements of a block of centred rows: 32 MiB


class Projection(
    _save.SavedAxes,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Map rows to coordinates along fitted axes, and back."""

    def transform(self, X: Any) -> Any:
        """Return the coordinates of rows along the axes.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N, n_components_)
        """
        check_is_fitted(self)
        gpu = _input.gpu(X, self.device, fitted=True)
        if gpu is not None:
            from unsup_fast.decomposition import _torch

            return _torch.transform(self, X, gpu)
        rows = _input.rows(self, X, reset=False)
        if not isinstance(rows, Source):
            arrays.check_finite(rows, type(self).__name__, self.n_threads)
        return arrays.as_tensor_like(self._project(rows), X)

    def _project(self, X: Any) -> Array:
        """Return the coordinates of rows that are validated."""
        axes = axes_of(self)
        n_axes, n_columns = axes.shape
        if X.shape[1] != n_columns:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {n_columns} "
                "features as input."
            )
        mean, wide = mean_of(self, n_columns), np.result_type(X.dtype, axes.dtype)
        before, after = self._divisors(wide, n_axes)
        weights = np.ascontiguousarray(axes / before[:, None], dtype=wide)
        if sp.issparse(X):
            moved, start = shifted(X)
            offset = ((mean - start) @ weights.T).astype(wide)
            return _divided(moved @ weights.T - offset, after)
        if n_axes == 0:
            return np.empty((X.shape[0], 0), wide)
        shift = mean.astype(wide)
        offset = ((shift - mean) @ weights.T).astype(wide)  # what rounding the mean left
        out = [
            _divided(
                affine(
                    np.ascontiguousarray(block, dtype=wide),
                    weights,
                    shift=shift,
                    offset=offset,
                    n_threads=self.n_threads,
                ),
                after,
            )
            for block in _input.blocks_of(X)
        ]
        return out[0] if len(out) == 1 else np.concatenate(out)

    def _divisors(self, dtype: Any, n_axes: int) -> tuple[Array, Array | None]:
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

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that have these coordinates and nothing outside the axes.

        Parameters
        ----------
        X : array-like or tensor of shape (N, n_components_)

        Returns
        -------
        ndarray or tensor of shape (N, D)
        """
        check_is_fitted(self)
        if _input.gpu(X, self.device, fitted=True) is not None:
            from unsup_fast.decomposition import _torch

            return scaling.restored(self, _torch.inverse_transform(self, X))
        axes = axes_of(self)
        n_axes, n_columns = axes.shape
        coordinates = _input.scores(X, n_axes)
        wide = np.result_type(coordinates.dtype, axes.dtype)
        if self.whiten:
            axes = axes * deviations_of(self, n_axes)[:, None]
        weights = np.ascontiguousarray(axes.T, dtype=wide)  # [D, K]
        mean = mean_of(self, n_columns).astype(wide)
        if weights.shape[1] == 0:
            rows: Any = np.tile(mean, (len(coordinates), 1))
        else:
            rows = affine(
                coordinates.astype(wide, copy=False), weights, offset=mean, n_threads=self.n_threads
            )
        return arrays.as_tensor_like(scaling.restored(self, rows), X)

    def get_covariance(self) -> Any:
        """Return the covariance [D, D] of the probabilistic model (Tipping & Bishop 1999).

        ``components_.T @ diag(explained_variance_ - noise) @ components_ + noise * I``, whether or
        not `whiten` is set.
        """
        check_is_fitted(self)
        return self._given(_covariance(*self._model()))

    def get_precision(self) -> Any:
        """Return the inverse [D, D] of `get_covariance`.

        Raises
        ------
        ValueError
            If it overflows the type of the axes.
        """
        check_is_fitted(self)
        precision = _precision(*self._model())
        dtype = axes_of(self).dtype
        if np.abs(precision).max() > np.finfo(dtype).max:
            raise ValueError(f"the precision overflows {dtype}; fit float64 rows")
        return self._given(precision)

    def _model(self) -> tuple[Array, Array, float]:
        """Return axes [K, D], variances [K] and noise in float64 on the host."""
        axes = axes_of(self).astype(np.float64)
        variances = variances_of(self, len(axes)).astype(np.float64)
        return axes, variances, noise_of(self)

    def _given(self, value: Array) -> Any:
        """Return a matrix as the axes are: an array or tensor, of their type and device."""
        axes = self.components_
        if not arrays.is_tensor(axes):
            return value.astype(axes_of(self).dtype, copy=False)
        return axes.new_tensor(value)

    def score_samples(self, X: Any) -> Any:
        """Return the log-likelihood of each row under the probabilistic model.

        Parameters
        ----------
        X : array-like, tensor, pyarrow table or Source of shape (N, D)

        Returns
        -------
        ndarray or tensor of shape (N,), float64
        """
        check_is_fitted(self)
        gpu = _input.gpu(X, self.device, fitted=True)
        if gpu is not None:
            from unsup_fast.decomposition import _torch

            return _torch.score_samples(self, X, gpu)
        rows = _input.rows(self, X, reset=False)
        if sp.issparse(rows):
            raise TypeError(
                "sparse rows have no score; pass X.toarray() or unsup_fast.blocks.source(X)"
            )
        if not isinstance(rows, Source):
            arrays.check_finite(rows, type(self).__name__, self.n_threads)
        step = max(1, BLOCK // rows.shape[1])
        log_density = _density(self)
        logs = [
            log_density(np.ascontiguousarray(block[start : start + step], dtype=np.float64))
            for block in _input.blocks_of(rows)
            for start in range(0, len(block), step)
        ]
        return arrays.as_tensor_like(np.concatenate(logs), X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the rows; see `score_samples`."""
        return float(arrays.on_host(self.score_samples(X)).mean())

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


def _divided(coordinates: Array, divisors: Array | None) -> Array:
    """Return coordinates [N, K] divided by [K], in place."""
    if divisors is None:
        return coordinates
    return np.divide(coordinates, divisors, out=coordinates, casting="same_kind")


def flipped(axes: Any) -> Any:
    """Return axes [K, D] with the sign that makes the largest entry of each positive."""
    if arrays.is_tensor(axes):
        largest = axes.abs().argmax(dim=1, keepdim=True)
        return axes * axes.gather(1, largest).sign()
    largest = np.abs(axes).argmax(axis=1)
    return axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]


def attributes(axes: Axes, k: int, dtype: Any) -> dict[str, Any]:
    """Return what both classes keep of the first k axes, by the name of the attribute.

    Raises
    ------
    RangeError
        If a variance overflows the type of the rows.
    """
    with np.errstate(over="ignore"):
        largest, total = np.sqrt([axes.variances.max(initial=0.0), axes.total]) * axes.unit
    check_range(largest, total, dtype)
    values, rest = axes.variances[:k], axes.total - axes.variances[:k].sum()
    left = min(axes.n_rows, len(axes.mean)) - k
    known = len(axes.variances) > k  # then without the cancellation of a difference
    noise = (axes.variances[k:].sum() if known else max(rest, 0.0)) / left if left > 0 else 0.0
    share = values / axes.total if axes.total > 0 else np.zeros(k)
    deviations = np.sqrt(values) * axes.unit
    # Neither rounding nor what coordinates themselves are rounded to near the end of the range.
    least = max(
        np.sqrt(axes.rounding) * axes.unit,
        32 * np.sqrt(len(axes.mean)) * float(np.finfo(dtype).smallest_subnormal),
    )
    explained = (values * axes.unit * axes.unit).astype(dtype)
    return {
        "mean_": axes.mean.astype(dtype),
        "_mean": axes.mean,
        "components_": np.ascontiguousarray(flipped(axes.leading(k)), dtype=dtype),
        "explained_variance_": explained,
        "explained_variance_ratio_": share.astype(dtype),
        "singular_values_": (deviations * np.sqrt(max(axes.n_rows - 1, 1))).astype(dtype),
        "noise_variance_": float(noise * axes.unit * axes.unit),
        "n_components_": k,
        "_deviations": np.where(deviations > least, deviations, 0.0),
        "_variances": explained.copy(),
    }


def check_range(largest: float, total: float, dtype: Any) -> None:
    """Raise RangeError if variances overflow.

    Parameters
    ----------
    largest, total : float
        Standard deviations along the first axis and along all axes.
    dtype : float32 or float64
        Type of the rows, which has to hold the largest variance; float64 has to hold the total.
    """
    for deviation, limit in ((largest, np.dtype(dtype)), (total, np.dtype(np.float64))):
        if deviation > np.sqrt(np.finfo(limit).max):
            advice = "" if limit == np.float64 else ", or pass float64 rows"
            raise RangeError(
                f"the variance of X overflows {limit}: its standard deviation is "
                f"{deviation:.3g}; divide X by {deviation:.0e}{advice}"
            )


def _covariance(axes: Array, variances: Array, noise: float) -> Array:
    covariance: Array = (axes.T * np.maximum(variances - noise, 0)) @ axes
    covariance.flat[:: len(covariance) + 1] += noise
    return covariance


def _precision(axes: Array, variances: Array, noise: float) -> Array:
    spread, noise = _floored(axes, variances, noise)
    if len(axes) == axes.shape[1]:
        whole: Array = (axes.T / spread) @ axes
        return whole
    precision: Array = (axes.T * (1 / spread - 1 / noise)) @ axes
    precision.flat[:: len(precision) + 1] += 1 / noise
    return precision


def _floored(axes: Array, variances: Array, noise: float) -> tuple[Array, float]:
    """Return variances along [K] and off the axes, raised above 0, where there is no density."""
    tiny = np.finfo(np.float64).eps * variances.max(initial=noise)
    noise = max(noise, tiny, np.finfo(np.float64).tiny)
    return np.maximum(variances, noise), noise


def precision_of(model: Projection) -> Array:
    """Return the precision [D, D] of a fitted model in float64, on the host."""
    return _precision(*model._model())


def _density(model: Projection) -> Callable[[Array], Array]:
    """Return a function from rows [B, D] to log-likelihoods [B], both float64."""
    axes, variances, noise = model._model()
    spread, noise = _floored(axes, variances, noise)
    n_columns, n_threads = axes.shape[1], model.n_threads
    mean = mean_of(model, n_columns)
    n_off = n_columns - len(axes)
    constant = n_columns * np.log(2 * np.pi) + np.log(spread).sum() + n_off * np.log(noise)
    back = np.ascontiguousarray(axes.T)

    def density(rows: Array) -> Array:
        rows = rows - mean
        squares = np.full(len(rows), constant)
        if len(axes) > 0:
            along = affine(rows, axes, n_threads=n_threads)  # [B, K]
            squares += (along**2 / spread).sum(axis=1)
            if n_off > 0:
                rows -= affine(along, back, n_threads=n_threads)
        if n_off > 0:
            squares += (rows**2).sum(axis=1) / noise
        return -0.5 * squares

    return density

"""The probabilistic model of principal axes, and the attributes that a fit sets from them.

Tipping & Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 61 (1999): rows
are normal with covariance ``axes.T @ diag(variances - noise) @ axes + noise * I``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unsup_fast._rows import arrays
from unsup_fast._types import Array
from unsup_fast.decomposition import _linalg
from unsup_fast.decomposition._solvers import Axes
from unsup_fast.kernels.covariance import RangeError

if TYPE_CHECKING:
    import torch


def attributes(axes: Axes, k: int, dtype: npt.DTypeLike) -> dict[str, Any]:
    """Return what PCA and IncrementalPCA set from the first k axes, by the name of the attribute.

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
    min_deviation = max(
        np.sqrt(axes.rounding) * axes.unit,
        32 * np.sqrt(len(axes.mean)) * float(np.finfo(np.dtype(dtype)).smallest_subnormal),
    )
    explained = (values * axes.unit * axes.unit).astype(dtype)
    return {
        "mean_": axes.mean.astype(dtype),
        "_mean": axes.mean,
        "components_": np.ascontiguousarray(with_fixed_signs(axes.leading(k)), dtype=dtype),
        "explained_variance_": explained,
        "explained_variance_ratio_": share.astype(dtype),
        "singular_values_": (deviations * np.sqrt(max(axes.n_rows - 1, 1))).astype(dtype),
        "noise_variance_": float(noise * axes.unit * axes.unit),
        "n_components_": k,
        "_deviations": np.where(deviations > min_deviation, deviations, 0.0),
        "_variances": explained.copy(),
    }


def with_fixed_signs(axes: Array) -> Array:
    """Return axes [K, D] with the sign that makes the largest entry of each positive."""
    largest = np.abs(axes).argmax(axis=1)
    signed: Array = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return signed


def check_range(largest: float, total: float, dtype: npt.DTypeLike) -> None:
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


class Model(NamedTuple):
    """Parameters of the probabilistic model, in float64 on the host."""

    axes: Array
    """[K, D]"""
    variances: Array
    """[K]: along the axes"""
    noise: float
    """Variance along every other axis."""

    def covariance(self) -> Array:
        """Return the covariance [D, D]."""
        covariance: Array = (self.axes.T * np.maximum(self.variances - self.noise, 0)) @ self.axes
        covariance.flat[:: len(covariance) + 1] += self.noise
        return covariance

    def precision(self) -> Array:
        """Return the inverse [D, D] of the covariance."""
        spread, noise = self._floored()
        if len(self.axes) == self.axes.shape[1]:
            whole: Array = (self.axes.T / spread) @ self.axes
            return whole
        precision: Array = (self.axes.T * (1 / spread - 1 / noise)) @ self.axes
        precision.flat[:: len(precision) + 1] += 1 / noise
        return precision

    def log_density(
        self, mean: Array, device: "torch.device | None", n_threads: int | None
    ) -> Callable[[Any], Any]:
        """Return a function from rows [B, D] to their log-likelihoods [B], float64.

        Rows are arrays, or tensors on the device if it is not None.
        """
        n_axes, n_columns = self.axes.shape
        n_off = n_columns - n_axes
        floored, noise = self._floored()
        constant = n_columns * np.log(2 * np.pi) + np.log(floored).sum() + n_off * np.log(noise)
        center, axes, back, spread = (
            arrays.to_device(value, device)
            for value in (mean, self.axes, np.ascontiguousarray(self.axes.T), floored)
        )

        def density(rows: Any) -> Any:
            centered, squares = rows - center, constant
            if n_axes > 0:
                along = _linalg.affine(centered, axes, n_threads=n_threads)  # [B, K]
                squares = squares + (along**2 / spread).sum(axis=1)
                if n_off > 0:
                    centered -= _linalg.affine(along, back, n_threads=n_threads)
            if n_off > 0:
                squares = squares + (centered**2).sum(axis=1) / noise
            return -0.5 * squares

        return density

    def _floored(self) -> tuple[Array, float]:
        """Return variances along the axes [K] and off them, raised above 0 to have a density."""
        tiny = np.finfo(np.float64).eps * self.variances.max(initial=self.noise)
        noise = max(self.noise, tiny, float(np.finfo(np.float64).tiny))
        return np.maximum(self.variances, noise), noise

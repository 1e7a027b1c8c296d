"""Passes over rows in memory, in blocks or on a GPU: the sums that a mixture is computed from."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unsup_fast._cached import cached_property
from unsup_fast._rows import arrays, seeding
from unsup_fast._rows.seeding import parts
from unsup_fast.blocks import DataError, Source
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.em import EStep, em, gmm_moments
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus
from unsup_fast.mixture._covariance import log_determinants

Array = npt.NDArray[Any]

BLOCK = 1 << 20  # elements of the responsibilities of a block: 8 MiB
MODERATE = 2.0**48  # ratios and magnitudes up to this have squares that float32 holds
OVERFLOW = "the squares of {0} overflow {1}; divide {0} by its largest magnitude"
LEAST_VARIANCE = 1e-290  # of which factors and precisions are finite


class Place(NamedTuple):
    """Operations on the device of the rows; parameters and sums are arrays on the host."""

    em: Callable[..., EStep]
    gmm_moments: Callable[..., EStep]
    assign: Callable[..., Any]
    seed: Callable[..., Array]
    take: Callable[[Any, Array], Array]
    """Return rows [M, D] of these indices."""
    joined: Callable[[list[Any], Any], Any]
    """Concatenate arrays of blocks, as the kind of array that the user's X is."""


def _seeded(X: Any, *arguments: Any, **options: Any) -> Array:
    choose = seeding.kmeans_plusplus if isinstance(X, Source) else kmeans_plusplus
    chosen: Array = choose(X, *arguments, **options)
    return chosen


def _taken(X: Any, rows: Array) -> Array:
    taken: Array = X.take(rows) if isinstance(X, Source) else X[rows]
    return taken


def _joined(parts: list[Array], X: Any) -> Any:
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return arrays.as_tensor_like(joined, X)


HOST = Place(em, gmm_moments, assign, _seeded, _taken, _joined)


class Rows:
    """Rows, their weights, and sums over them.

    Parameters
    ----------
    X : C-contiguous ndarray or tensor, or Source, of shape (N, D), finite
    dtype : numpy.dtype
        Of X.
    moments : Moments
        Of X; None if nothing is fitted.
    sample_weight : ndarray or tensor of shape (N,), type of X, or None
    covariance_type : {"full", "tied", "diag", "spherical"}
    chunk_size : int or None
        Rows of X, if it is no source, that are taken at once; None for all.
    n_threads : int
    place : Place
    wide : bool
        Whether float32 rows are computed with in float64, a block at a time, because their squares
        do not fit in float32. `em` changes to that by itself if a sum overflows.
    """

    def __init__(
        self,
        X: Any,
        dtype: Any,
        moments: Any,
        sample_weight: Any,
        covariance_type: str,
        chunk_size: int | None,
        n_threads: int,
        place: Place = HOST,
        wide: bool = False,
    ) -> None:
        self.X, self.moments, self.sample_weight = X, moments, sample_weight
        self.covariance_type, self.n_threads = covariance_type, n_threads
        self.chunk_size, self.dtype, self.place = chunk_size, dtype, place
        self.n_rows, self.n_columns = X.shape
        self.eps = float(np.finfo(dtype).eps)
        self.wide = wide

    @cached_property
    def least(self) -> Array:
        """The least that a variance of each column may be, [D].

        It is the square of the distance of two doubles as far out as the rows; and, if all
        components share a factor, of the rows' distance from their mean times the machine epsilon
        of their type, which is what such a factor loses of a row.
        """
        mean, max_abs_deviation, tiny = (
            self.moments.mean,
            self.moments.max_abs_deviation,
            np.finfo(np.float64),
        )
        lost = self.eps if self.covariance_type == "tied" else 0.0
        far: Array = np.maximum(
            tiny.eps * (np.abs(mean) + max_abs_deviation), lost * max_abs_deviation
        )
        far[far == 0] = far.max() or tiny.eps
        least: Array = np.maximum(far**2, LEAST_VARIANCE)
        return least

    @property
    def weights_on_host(self) -> Array | None:
        """The weights as an array, or None."""
        weights: Array | None = arrays.on_host(self.sample_weight)
        return weights

    @property
    def weight(self) -> float:
        """Sum of the weights."""
        weights = self.weights_on_host
        return float(self.n_rows) if weights is None else float(weights.sum(dtype=np.float64))

    @property
    def may_widen(self) -> bool:
        """Whether float64 would hold more than what the rows are computed with in."""
        return not self.wide and self.dtype == np.float32

    @property
    def computed_in(self) -> np.dtype[Any]:
        """Type of the blocks."""
        return np.dtype(np.float64) if self.wide else self.dtype

    def blocks(self, most: int | None = None) -> Iterator[tuple[slice, Any, Any]]:
        """Yield where rows are, the rows, and their weights or None; no more than `most` rows."""
        if self.wide:
            most = min(most or BLOCK, max(1, BLOCK // self.n_columns))
        for where, block in _blocks(self.X, self.chunk_size):
            step = len(block) if most is None else most
            for start in range(where.start, where.stop, step):
                part = slice(start, min(start + step, where.stop))
                rows = block[part.start - where.start : part.stop - where.start]
                weight = None if self.sample_weight is None else self.sample_weight[part]
                if self.wide:
                    rows, weight = _doubles(rows), _doubles(weight)
                yield part, rows, weight

    def em(self, weights: Array, means: Array, factors: Array) -> EStep:
        """Return the likelihood of the rows under a mixture and the moments about its means.

        Raises
        ------
        DataError
            If a sum overflows float64.
        """
        total = summed(self.passes(weights, means, factors))
        if self.may_widen and not is_finite(total):
            self.wide = True
            total = summed(self.passes(weights, means, factors))
        return _checked(total)

    def passes(
        self, weights: Array, means: Array, factors: Array, **options: Any
    ) -> Iterator[EStep]:
        """Yield the result of `kernels.em` for each block under a mixture."""
        logs = log_weights(weights)
        for _, block, weight in self.blocks():
            yield self.place.em(
                block,
                logs,
                means,
                factors,
                self.covariance_type,
                sample_weight=weight,
                n_threads=self.n_threads,
                **options,
            )

    def evaluated(
        self, weights: Array, means: Array, factors: Array, **options: Any
    ) -> list[EStep]:
        """Return `passes` without moments, in float64 if densities of the rows overflow float32."""
        options = {"moments": False, **options}
        parts = list(self.passes(weights, means, factors, **options))
        if self.may_widen and not all(np.isfinite(part.log_likelihood) for part in parts):
            self.wide = True
            parts = [
                part._replace(
                    log_prob=_narrowed(part.log_prob, self.dtype),
                    resp=_narrowed(part.resp, self.dtype),
                )
                for part in self.passes(weights, means, factors, **options)
            ]
        return parts

    def given(self, means: Array, shares: Callable[[Any], dict[str, Any]]) -> EStep:
        """Return the moments about `means` for responsibilities or labels of a block's rows.

        Raises
        ------
        DataError
            If a sum overflows float64.
        """
        most = max(1, BLOCK // len(means))
        total = summed(
            self._gmm_moments(block, means, weight, shares(block))
            for _, block, weight in self.blocks(most)
        )
        if not is_finite(total._replace(log_likelihood=0.0)):
            raise DataError(OVERFLOW.format("X", self.dtype))
        return total

    def _gmm_moments(self, block: Any, means: Array, weight: Any, shares: dict[str, Any]) -> EStep:
        """Return the moments of a block; by the reference, in float64, if the kernel overflows.

        The kernel brings typical distances near one, and so others of the block out of range if
        they differ by more than 1e30, in float64 1e230.
        """
        options: dict[str, Any] = {"sample_weight": weight, "n_threads": self.n_threads, **shares}
        sums = self.place.gmm_moments(block, means, self.covariance_type, **options)
        if self.place is not HOST or is_finite(sums._replace(log_likelihood=0.0)):
            return sums
        step = max(1, BLOCK // means.size)
        return summed(
            gmm_moments(
                block[start : start + step],
                means,
                self.covariance_type,
                sample_weight=None if weight is None else weight[start : start + step],
                backend="ref",
                **{name: value[start : start + step] for name, value in shares.items()},
            )
            for start in range(0, len(block), step)
        )

    def take(self, rows: Array) -> Array:
        """Return rows [M, D]."""
        taken = self.place.take(self.X, rows)
        return taken.astype(np.float64) if self.wide else taken


class Single(Rows):
    """Rows of one component: the sums about their mean, from which all others follow.

    Every responsibility is one, so no iteration reads the rows. `sums` are about `about`, [1, D].
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.about = self.moments.mean[None]  # [1, D]
        zeros = np.zeros(min(BLOCK, self.n_rows), dtype=np.int32)
        self.sums = self.given(self.about, lambda block: {"labels": zeros[: len(block)]})

    def em(self, weights: Array, means: Array, factors: Array) -> EStep:
        """Return what `Rows.em` returns, without a pass."""
        weight, sums, second = (np.asarray(value) for value in self.sums[2:5])
        gap = (self.about - means)[0]  # [D]
        total = float(weight[0])
        moved = sums + total * gap  # [1, D]
        cross = np.outer(gap, sums[0])
        shift = cross + cross.T + total * np.outer(gap, gap)  # [D, D]
        if self.covariance_type in ("full", "tied"):
            second = second + shift
            u = factors.reshape(shift.shape)
            squares = float(((second.reshape(shift.shape) @ u) * u).sum())
        elif self.covariance_type == "diag":
            second = second + shift.diagonal()
            squares = float((second * factors**2).sum())
        else:
            second = second + shift.trace()
            squares = float(second[0] * factors[0] ** 2)
        constant = float(
            log_weights(weights)[0]
            + np.sum(log_determinants(factors, self.covariance_type, self.n_columns))
            - self.n_columns / 2 * np.log(2 * np.pi)
        )
        likelihood = total * constant - squares / 2
        return _checked(EStep(likelihood, total, weight, moved, second, None, None, None))


def _doubles(value: Any) -> Any:
    """Return an array or tensor in float64; None stays None."""
    if value is None:
        return None
    return value.double() if arrays.is_tensor(value) else value.astype(np.float64)


def _narrowed(value: Any, dtype: Any) -> Any:
    """Return an array or tensor in the type of the rows, float32; None stays None."""
    if value is None:
        return None
    with np.errstate(over="ignore", under="ignore"):
        return value.float() if arrays.is_tensor(value) else value.astype(dtype)


def _checked(total: EStep) -> EStep:
    if not is_finite(total):
        raise DataError(
            "the log-likelihood of X under the mixture overflows float64, because a row lies too "
            "far from all components; divide X by its largest magnitude, or pass a larger "
            "reg_covar, or means_init and precisions_init that fit X"
        )
    return total


def is_finite(sums: EStep) -> bool:
    """Whether the likelihood and the moments, as far as they were asked for, are finite."""
    moments = [value for value in sums[2:5] if value is not None]
    return bool(np.isfinite(sums.log_likelihood)) and all(np.isfinite(v).all() for v in moments)


def log_weights(weights: Array) -> Array:
    """Return log pi_k [K], minus infinity for a component without rows."""
    logs: Array = np.log(weights, out=np.full(len(weights), -np.inf), where=weights > 0)
    return logs


def summed(e_steps: Iterator[EStep]) -> EStep:
    """Add up the sums of blocks about the same means."""
    first = next(e_steps)
    likelihood, weight = first.log_likelihood, first.weight
    moments = first[2:5]
    for part in e_steps:
        likelihood += part.log_likelihood
        weight += part.weight
        for total, more in zip(moments, part[2:5], strict=True):
            if total is not None:
                total += more
    resp_sums, sums, second = moments
    return EStep(likelihood, weight, resp_sums, sums, second, None, None, None)


def _blocks(X: Any, chunk_size: int | None) -> Iterator[tuple[slice, Array]]:
    if isinstance(X, Source):
        yield from parts(X)
        return
    step = chunk_size or len(X)
    for start in range(0, len(X), step):
        yield slice(start, min(start + step, len(X))), X[start : start + step]

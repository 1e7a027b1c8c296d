"""The Frechet distance of two Gaussians, of features: the Frechet Inception Distance (FID).

Heusel, Ramsauer, Unterthiner, Nessler & Hochreiter, "GANs Trained by a Two Time-Scale Update Rule
Converge to a Local Nash Equilibrium", NeurIPS 2017, eq. 6 (Dowson & Landau 1982):

    d^2 = |mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))

The name follows the papers, which report d^2. All sums are float64.
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from unsup_fast._types import Array, ArrayLike, Numbers, is_tensor, on_host
from unsup_fast.blocks import Source
from unsup_fast.distributed import Engine
from unsup_fast.kernels import sqrtm
from unsup_fast.metrics._features import (
    check_columns,
    compiling,
    features,
    samples,
    summary,
    tensor_rows,
    warn_of_few,
)
from unsup_fast.metrics._gaussians import Accumulator, Gaussian
from unsup_fast.metrics._sources import sums_of
from unsup_fast.metrics.statistics import Statistics, check_shapes, checked

if TYPE_CHECKING:
    from torch import Tensor

FEW = 4  # rows a dimension below which the distance of equal distributions is far from zero
SIDES = {"real": True, "fake": False}


def frechet_distance(
    mu1: ArrayLike,
    sigma1: ArrayLike,
    mu2: ArrayLike,
    sigma2: ArrayLike,
    *,
    n_threads: int | None = None,
) -> Any:
    """Return the (squared) Frechet distance of two Gaussians.

    Parameters
    ----------
    mu1, mu2 : array-like or tensor of shape (D,)
    sigma1, sigma2 : array-like or tensor of shape (D, D)
        Covariances, which may be singular. All four arrays, or all tensors on one device.
    n_threads : int, optional
        Threads of the BLAS; None leaves them as they are.

    Returns
    -------
    float, or float64 tensor of no dimensions
        Never negative, complex or NaN. Tensors have a gradient; of features that are fewer than
        their dimensions, take `feature_frechet_distance`, as the distance has none along
        directions in which a covariance is zero.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a value is not finite, or a matrix is not a covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.metrics import frechet_distance
    >>> frechet_distance(np.zeros(2), np.eye(2), np.array([3.0, 4.0]), 4 * np.eye(2))
    27.0
    """
    values = {"mu1": mu1, "sigma1": sigma1, "mu2": mu2, "sigma2": sigma2}
    tensors = {name: value for name, value in values.items() if is_tensor(value)}
    if tensors and len(tensors) < len(values):
        others = ", ".join(name for name in values if name not in tensors)
        raise TypeError(f"{', '.join(tensors)} are tensors, but not {others}; pass all as tensors")
    if tensors:
        return _distance_of_tensors(tensors, n_threads)
    one = checked(mu1, sigma1, ("mu1", "sigma1"))
    two = checked(mu2, sigma2, ("mu2", "sigma2"))
    _check_lengths(one.mu, two.mu)
    cross = sqrtm.trace_sqrtm(one.sigma, two.sigma, n_threads=n_threads)
    with np.errstate(over="ignore", invalid="ignore"):
        return _distance(one.mu - two.mu, one.sigma.trace() + two.sigma.trace(), cross)


def _distance_of_tensors(tensors: "dict[str, Tensor]", n_threads: int | None) -> "Tensor":
    for names in (("mu1", "sigma1"), ("mu2", "sigma2")):
        check_shapes(tensors[names[0]], tensors[names[1]], names)
    double = sys.modules["torch"].float64
    mu1, sigma1, mu2, sigma2 = (value.to(double) for value in tensors.values())
    for name, mean in (("mu1", mu1), ("mu2", mu2)):
        if not (compiling() or mean.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity; it must be finite")
    _check_lengths(mu1, mu2)
    cross = sqrtm.trace_sqrtm(sigma1, sigma2, n_threads=n_threads)
    distance: Tensor = _distance(mu1 - mu2, sigma1.trace() + sigma2.trace(), cross)
    return distance


def _check_lengths(mu1: Numbers, mu2: Numbers) -> None:
    if len(mu1) != len(mu2):
        raise ValueError(
            f"mu1 has {len(mu1)} entries and mu2 {len(mu2)}; features must come from the same "
            "layer of the same network"
        )


def feature_frechet_distance(
    X: ArrayLike, Y: ArrayLike | tuple[ArrayLike, ArrayLike], *, n_threads: int | None = None
) -> Any:
    """Return the (squared) Frechet distance of the Gaussians of two sets of features.

    With fewer rows than columns the D x D covariance is never formed. It can be a loss: every row
    has a gradient, also along directions in which the rows have no variance.

    Parameters
    ----------
    X : tensor of shape (N, D), or array-like
        At least two rows.
    Y : the same of shape (M, D), or a pair of mean and covariance
        The pair is such as `load_statistics` returns.
    n_threads : int, optional

    Returns
    -------
    float64 tensor of no dimensions if X is a tensor, else float

    Raises
    ------
    TypeError, ValueError
        As `frechet_distance`, or if there are fewer than two rows.
    """
    import torch

    rows = X if is_tensor(X) else torch.tensor(features("X", X))
    mean1, factor1 = _factored("X", rows)
    if isinstance(Y, tuple) and len(Y) == 2 and np.ndim(Y[0]) == 1 and np.ndim(Y[1]) == 2:
        of_y = checked(*Y)
        device = rows.device
        mean2 = torch.from_numpy(of_y.mu).to(device)
        factor2 = torch.from_numpy(sqrtm.factor(of_y.sigma, n_threads=n_threads)).to(device)
    else:
        others = Y if is_tensor(Y) else torch.tensor(features("Y", cast("ArrayLike", Y)))
        mean2, factor2 = _factored("Y", others.to(rows.device))
    check_columns(factor1, factor2)
    cross = sqrtm.trace_sqrtm_factors(factor1, factor2, n_threads=n_threads)
    shift = mean1 - mean2
    total = factor1.square().sum() + factor2.square().sum()
    distance = _distance(shift, total, cross)
    return distance if is_tensor(X) else distance.item()


def _distance(shift: Numbers, variance: "float | Tensor", cross: "float | Tensor") -> Any:
    """Return |mu1 - mu2|^2 + Tr (S1 + S2) - 2 Tr (S1 S2)^(1/2), no less than zero."""
    distance = shift @ shift + (variance - 2 * cross)
    if not (compiling() or np.isfinite(on_host(distance))):
        raise ValueError("the distance is more than float64 can hold; divide all by a constant")
    return distance.clamp_min(0) if is_tensor(distance) else max(float(distance), 0.0)


def _factored(name: str, rows: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return mean [D] and A [N, D] with covariance A^T A of a tensor of rows."""
    tensor_rows(name, rows)
    if len(rows) < 2:
        raise ValueError(
            f"{name} has shape {tuple(rows.shape)}; a covariance needs two rows or more, (N, D)"
        )
    rows = rows.double()
    mean = rows.mean(dim=0)
    return mean, (rows - mean) / (len(rows) - 1) ** 0.5


class FrechetDistance:
    """The Frechet distance of features that come block by block, in one process or several.

    The mean and covariance of each side, real and fake, are summed up in float64 about a point amid
    the rows, every max(D, 1024) rows whatever the blocks. While there are fewer, the rows are
    stored instead, and the distance is computed on the small side.

    Parameters
    ----------
    extractor : callable, optional
        Receives what `update` receives, such as a batch of images, and returns features [N, D].
        Without one, `update` takes features.
    n_threads : int, optional
        Threads to run; None for all.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.metrics import FrechetDistance
    >>> rng = np.random.default_rng(0)
    >>> fid = FrechetDistance()
    >>> for _ in range(10):
    ...     fid.update(rng.normal(size=(100, 3)), real=True)
    ...     fid.update(rng.normal(size=(100, 3)) + 1, real=False)
    >>> bool(abs(fid.compute() - 3) < 0.3)
    True
    """

    def __init__(
        self, extractor: Callable[[Any], Any] | None = None, *, n_threads: int | None = None
    ) -> None:
        self.extractor = extractor
        self.n_threads = n_threads
        self.reset()

    def __repr__(self) -> str:
        sides = {
            name: f"statistics of {len(side.mu):,} columns"
            if isinstance(side, Statistics)
            else samples(side.n_rows, len(side.sums.mean))
            for name, side in self._sides.items()
        }
        return summary(self, sides)

    def reset(self) -> None:
        """Forget all samples."""
        self._sides: dict[str, Accumulator | Statistics] = {}

    def update(self, X: Any, *, real: bool, engine: Engine | None = None) -> None:
        """Add samples.

        Parameters
        ----------
        X : array-like or tensor of shape (N, D), or what the extractor takes
            On any device; a tensor's gradient is not followed (see `feature_frechet_distance`).
            Without an extractor, a `Source` of features (see `unsup_fast.blocks.source`), too:
            it is read a block at a time, and its sums depend on the rows and `chunk_size` only.
        real : bool
            True for data, False for generated samples.
        engine : Engine, optional
            Processes that read a source of features between them, such as
            `unsup_fast.distributed.local`. The sums are those without them, bit for bit.

        Raises
        ------
        TypeError, ValueError
            If features are not finite real numbers, have another number of columns than before, or
            this side has fixed statistics; if an engine is passed with an extractor, or with rows
            that are no source.
        """
        if isinstance(X, Source) and self.extractor is None:
            side = self._samples(real, X.n_columns)
            sums = sums_of(X, engine, self.n_threads)
            side.merge(Accumulator(X.n_columns, sums), self.n_threads)
            return
        if engine is not None:
            raise TypeError(
                "an engine reads features of a source; compute the features first, save them, and "
                "pass unsup_fast.blocks.source of the files to a FrechetDistance without extractor"
            )
        rows = features("X", X if self.extractor is None else self.extractor(X))
        self._samples(real, rows.shape[1]).add(rows, self.n_threads)

    def _samples(self, real: bool, n_columns: int) -> Accumulator:
        """Return what the samples of a side, with so many columns, are added to."""
        self._check_columns("X", n_columns)
        side = self._sides.setdefault(_name(real), Accumulator(n_columns))
        if isinstance(side, Statistics):
            raise ValueError(
                f"the {_name(real)} side has fixed statistics, to which no samples can be added; "
                "call reset() first"
            )
        return side

    def set_statistics(self, mu: ArrayLike, sigma: ArrayLike, *, real: bool = True) -> None:
        """Replace the samples of one side by a mean [D] and a covariance [D, D].

        These are such as `load_statistics` returns.
        """
        statistics = checked(mu, sigma)
        self._sides.pop(_name(real), None)
        self._check_columns("mu", len(statistics.mu))
        self._sides[_name(real)] = statistics

    def statistics(self, *, real: bool) -> Statistics:
        """Return the mean and covariance of one side, for `save_statistics`."""
        gaussian = self._gaussian(_name(real))
        return Statistics(gaussian.mean, gaussian.dense())

    def merge(self, other: "FrechetDistance") -> None:
        """Append the samples of another accumulator.

        Raises
        ------
        TypeError, ValueError
            If it is of another class, its features have other columns, or a side has fixed
            statistics.
        """
        if not isinstance(other, FrechetDistance):
            raise TypeError(f"cannot merge {type(other).__name__} into a FrechetDistance")
        for name, side in other._sides.items():
            mine = self._sides.get(name)
            if isinstance(side, Statistics):
                if mine is None:
                    self.set_statistics(*side, real=SIDES[name])
                elif not isinstance(mine, Statistics) or not _equal(mine, side):
                    raise ValueError(f"the {name} side has fixed statistics; they cannot be merged")
                continue
            if isinstance(mine, Statistics):
                raise ValueError(f"the {name} side has fixed statistics; they cannot be merged")
            self._check_columns("other", len(side.sums.mean))
            if mine is None:
                mine = self._sides[name] = Accumulator(len(side.sums.mean))
            mine.merge(side, self.n_threads)

    def compute(self) -> float:
        """Return the distance of the samples added so far.

        Warns
        -----
        FewSamplesWarning
            If a side has fewer than four rows a dimension.

        Raises
        ------
        ValueError
            If a side has fewer than two rows.
        """
        real, fake = self._gaussian("real"), self._gaussian("fake")
        self._warn(real, fake)
        if real.rows is None and fake.rows is None:
            cross = sqrtm.trace_sqrtm(real.dense(), fake.dense(), n_threads=self.n_threads)
        else:
            factors = [
                sqrtm.factor(side.dense(), n_threads=self.n_threads)
                if side.rows is None
                else side.rows
                for side in (real, fake)
            ]
            cross = sqrtm.trace_sqrtm_factors(*factors, n_threads=self.n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            shift, variance = real.mean - fake.mean, _variance(real) + _variance(fake)
            return float(_distance(shift, variance, cross))

    def state_dict(self) -> dict[str, Array]:
        """Return plain arrays, which `load_state_dict` takes."""
        state: dict[str, Array] = {}
        for name, side in self._sides.items():
            if isinstance(side, Statistics):
                state |= {f"{name}_mu": side.mu, f"{name}_sigma": side.sigma}
                continue
            state |= {
                f"{name}_n_rows": np.array(side.sums.n_rows),
                f"{name}_mean": side.sums.mean,
                f"{name}_scatter": side.sums.scatter,
                f"{name}_rows": _joined(side),
            }
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the samples by those of a `state_dict`.

        Raises
        ------
        KeyError, ValueError
            If `state` did not come from `state_dict`.
        """
        sides: dict[str, Accumulator | Statistics] = {}
        for name in SIDES:
            if f"{name}_mu" in state:
                sides[name] = checked(state[f"{name}_mu"], state[f"{name}_sigma"])
            elif f"{name}_n_rows" in state:
                sides[name] = _restored(name, state)
        columns = {len(s.mu if isinstance(s, Statistics) else s.sums.mean) for s in sides.values()}
        if len(columns) > 1:
            raise ValueError(f"the two sides of the state have {sorted(columns)} columns")
        self._sides = sides

    def _gaussian(self, name: str) -> Gaussian:
        side = self._sides.get(name)
        if isinstance(side, Statistics):
            return Gaussian(None, side.mu, None, side.sigma)
        if side is None or side.n_rows < 2:
            raise ValueError(
                f"there are {side.n_rows if side else 0} {name} samples, and a covariance needs "
                f"two; call update(X, real={SIDES[name]}) first"
            )
        return side.compute(self.n_threads)

    def _check_columns(self, name: str, n_columns: int) -> None:
        for side in self._sides.values():
            before = len(side.mu if isinstance(side, Statistics) else side.sums.mean)
            if before != n_columns:
                raise ValueError(
                    f"{name} has {n_columns} columns, and what came before {before}; features must "
                    "come from the same layer of the same network"
                )

    def _warn(self, *sides: Gaussian) -> None:
        few = min((side.n_rows for side in sides if side.n_rows is not None), default=None)
        n_columns = len(sides[0].mean)
        if few is not None and few < FEW * n_columns:
            warn_of_few(
                f"{few} samples in {n_columns} dimensions: the distance is biased upwards by about "
                "1/N and says little; compare it at equal numbers only, take at least "
                f"{FEW * n_columns}, or the kernel distance, which has no bias"
            )


def _name(real: bool) -> str:
    return "real" if real else "fake"


def _equal(one: Statistics, two: Statistics) -> bool:
    return np.array_equal(one.mu, two.mu) and np.array_equal(one.sigma, two.sigma)


def _variance(side: Gaussian) -> float:
    if side.rows is not None:
        return float(np.vdot(side.rows, side.rows))
    return float(side.dense().trace())


def _joined(side: Accumulator) -> Array:
    if not side.left:
        return np.empty((0, len(side.sums.mean)))
    return np.concatenate(side.left)


def _restored(name: str, state: Mapping[str, Any]) -> Accumulator:
    n_rows = int(state[f"{name}_n_rows"])
    mean, scatter, rows = (
        np.array(on_host(state[f"{name}_{part}"])) for part in ("mean", "scatter", "rows")
    )
    side = Accumulator(len(mean))
    if n_rows < 0 or rows.shape[1:] != mean.shape:
        raise ValueError(
            f"the state has {n_rows} {name} rows summed up, a mean of shape {mean.shape} and rows "
            f"of shape {rows.shape}; pass what state_dict returned"
        )
    if n_rows:
        statistics = checked(mean, scatter, (f"{name}_mean", f"{name}_scatter"))
        side.sums = side.sums._replace(n_rows=n_rows, mean=statistics.mu, scatter=statistics.sigma)
    if len(rows):
        side.add(features(f"{name}_rows", rows), None)
    return side

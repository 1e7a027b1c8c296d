"""The Kernel Inception Distance: the squared maximum mean discrepancy of features, unbiased.

Binkowski, Sutherland, Arbel & Gretton, "Demystifying MMD GANs", ICLR 2018. With the kernel
k(x, y) = (gamma x.y + coef0)^degree, m rows x and n rows y (eq. 4 of section 2)::

    sum_{i != j} k(x_i, x_j) / (m (m - 1)) + sum_{i != j} k(y_i, y_j) / (n (n - 1))
        - 2 sum_ij k(x_i, y_j) / (m n)

The score is the mean and standard deviation of this over subsets. Subsets overlap, so where they
hold more pairs of rows than there are, each pair's kernel is computed once, and with the S x N
membership matrix A of the subsets the sums are the diagonal of A K A^T, a block of K at a time.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unsup_fast._parallel import in_order
from unsup_fast._types import Array, ArrayLike, Numbers, is_tensor, on_host
from unsup_fast.metrics._features import (
    Callback,
    Estimate,
    Extractor,
    StoredFeatures,
    check_columns,
    features,
    tensor_rows,
    warn_of_few,
    whole,
)

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 1000  # rows and columns of a block of kernels: 8 MB


class Kernel(NamedTuple):
    """(gamma x.y + coef0)^degree."""

    degree: int
    gamma: float
    coef0: float


class Tile(NamedTuple):
    """A block of the kernels of one pair of samples, and the index of its sum."""

    pair: int
    """X and X (0), Y and Y (1), or X and Y (2)."""
    subset: Any
    """Index of the subset of the sums, or all of them."""
    rows: Any
    columns: Any
    """Rows of the two samples, as a slice or an array."""
    diagonal: bool
    """Whether rows and columns are the same."""


class Subsets(NamedTuple):
    """The rows of X and Y that are in each subset, for each pair computed once."""

    X: Any
    """bool [S, N]"""
    Y: Any
    """bool [S, M]"""


def kernel_inception_distance(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    subsets: int | None = 100,
    subset_size: int = 1000,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
    seed: int = 0,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """Return mean and standard deviation of the Kernel Inception Distance over random subsets.

    It is unbiased, so it may be negative. All is float64, and the result is the same bit for bit
    for any number of threads. Memory is that of a few blocks of 1000 rows.

    Parameters
    ----------
    X, Y : array-like or tensor of shape (N, D), (M, D)
        Features of two samples. If one is a tensor on a GPU or requires a gradient, torch computes,
        and in the latter case results are tensors that can be differentiated.
    subsets : int or None, default=100
        Subsets S, each of so many rows of X and of Y, drawn without replacement. None takes all
        rows once: the estimate with the least variance, and no standard deviation (zero).
    subset_size : int, default=1000
    degree, gamma, coef0
        Parameters of the kernel; gamma=None is 1/D.
    seed : int, default=0
        Random seed of the subsets.
    n_threads : int, optional
        Threads to run, without torch; None for all.
    callback : callable, optional
        Called with the blocks of kernels done and their number.

    Returns
    -------
    Estimate
        The standard deviation is that of a subset's score, divided by S, not the error of the mean.

    Warns
    -----
    FewSamplesWarning
        If subsets are more than half of X or Y, so that they hardly differ.

    Raises
    ------
    TypeError, ValueError
        If features are not finite numbers, or arguments do not fit them.

    Examples
    --------
    >>> from unsup_fast.metrics import kernel_inception_distance
    >>> kernel_inception_distance([[0.0], [2.0]], [[1.0], [1.0]], subsets=None).mean
    -19.0
    """
    torch = _torch_for(X, Y)
    pair: Any = (_tensors if torch else _both)(X, Y)  # two arrays, or two tensors
    real, fake = pair
    n_columns, sizes = real.shape[1], (len(real), len(fake))
    kernel = _kernel(degree, gamma, coef0, n_columns)
    if subsets is not None:
        _check_subsets(subsets, subset_size, sizes)
    members, groups = _groups(sizes, subsets, subset_size, seed, n_columns)
    tiles = list(_tiles(groups))
    n_subsets = subsets or 1
    if torch:
        device = real.device
        members = members and Subsets(*(torch.from_numpy(m).to(device) for m in members))
        sums = torch.zeros(3, n_subsets, dtype=torch.float64, device=device)
        values: Any = _by_torch(real, fake, kernel, members, tiles)
    else:
        sums = np.zeros((3, n_subsets))
        values = in_order(
            partial(_sum, real, fake, kernel, members),
            tiles,
            n_threads,
            "metrics",
            one_in_blas=True,
        )
    with closing(values):
        for done, (tile, value) in enumerate(zip(tiles, values, strict=True), start=1):
            sums[tile.pair, tile.subset] += value
            if callback is not None:
                callback(done, len(tiles))
    m, n = sizes if subsets is None else (subset_size, subset_size)
    with np.errstate(invalid="ignore"):
        distances = sums[0] / (m * (m - 1)) + sums[1] / (n * (n - 1)) - 2 * sums[2] / (m * n)  # [S]
    if not (torch or np).isfinite(distances).all():
        raise ValueError("kernels are more than float64 can hold; divide features by a constant")
    if torch and distances.requires_grad:
        return Estimate(distances.mean(), distances.std(correction=0))
    distances = on_host(distances)
    return Estimate(float(distances.mean()), float(distances.std()))


class KernelInceptionDistance(StoredFeatures):
    """The Kernel Inception Distance of samples that come block by block.

    Features are stored until it is computed, 8 KB for each sample of 2048 in float32.

    Parameters
    ----------
    extractor : callable, optional
        Receives what `update` receives, such as a batch of images, and returns features [N, D].
    **options
        Those of `kernel_inception_distance`.
    """

    def __init__(self, extractor: Extractor | None = None, **options: Any) -> None:
        super().__init__(extractor)
        self.options = options

    def compute(self, *, callback: Callback | None = None) -> Estimate:
        """Return what `kernel_inception_distance` does of all samples, real ones as X.

        Raises
        ------
        TypeError, ValueError
            As `kernel_inception_distance`, or if there are no samples.
        """
        return kernel_inception_distance(*self._both(), callback=callback, **self.options)


def _torch_for(X: ArrayLike, Y: ArrayLike) -> Any:
    """Return torch if torch has to compute, else None."""
    for value in (X, Y):
        if is_tensor(value) and (value.requires_grad or value.device.type != "cpu"):
            return sys.modules["torch"]
    return None


def _both(X: ArrayLike, Y: ArrayLike) -> tuple[Array, Array]:
    X, Y = features("X", X), features("Y", Y)
    _check_shapes(X, Y)
    return X, Y


def _tensors(X: ArrayLike, Y: ArrayLike) -> "tuple[Tensor, Tensor]":
    """Return features as float64 tensors on one device."""
    torch = sys.modules["torch"]
    devices = {name: v.device for name, v in (("X", X), ("Y", Y)) if is_tensor(v)}
    if len({*devices.values()}) > 1:
        raise ValueError(f"X is on {devices['X']} and Y on {devices['Y']}; move them to one device")
    device, tensors = next(iter(devices.values())), []
    for name, value in (("X", X), ("Y", Y)):
        rows = value if is_tensor(value) else torch.from_numpy(features(name, value))
        tensor_rows(name, rows)
        tensors.append(rows.to(device, torch.float64))
    _check_shapes(*tensors)
    return tensors[0], tensors[1]


def _check_shapes(X: Numbers, Y: Numbers) -> None:
    check_columns(X, Y)
    for name, rows in (("X", X), ("Y", Y)):
        if len(rows) < 2:
            raise ValueError(f"{name} has {len(rows)} rows; the unbiased estimate needs at least 2")


def _kernel(degree: int, gamma: float | None, coef0: float, n_columns: int) -> Kernel:
    gamma = 1 / n_columns if gamma is None else float(gamma)
    if not (gamma > 0 and np.isfinite([gamma, coef0]).all()):
        raise ValueError(f"gamma={gamma} and coef0={coef0} must be finite and gamma above 0")
    return Kernel(whole("degree", degree), gamma, float(coef0))


def _check_subsets(subsets: int, subset_size: int, sizes: tuple[int, int]) -> None:
    whole("subsets", subsets)
    whole("subset_size", subset_size, 2)
    if subset_size > min(sizes):
        raise ValueError(
            f"subset_size={subset_size} exceeds the {min(sizes)} rows of "
            f"{'XY'[sizes[1] < sizes[0]]}; pass subset_size <= {min(sizes)}, or subsets=None"
        )
    if 2 * subset_size > min(sizes):
        warn_of_few(
            f"subsets of {subset_size} out of {min(sizes)} rows hardly differ: the standard "
            "deviation says little; take more rows, a smaller subset_size, or subsets=None"
        )


def _groups(
    sizes: tuple[int, int], subsets: int | None, subset_size: int, seed: int, n_columns: int
) -> tuple[Subsets | None, Iterator[tuple[Any, Any, Any]]]:
    """Return the members of subsets if pairs are computed once, and the rows to be paired."""
    everything = (slice(None), np.arange(sizes[0]), np.arange(sizes[1]))
    if subsets is None:
        return None, iter([everything])
    rng = np.random.default_rng(seed)
    drawn = [
        [np.sort(rng.choice(n, subset_size, replace=False)) for n in sizes] for _ in range(subsets)
    ]
    once = sum(sizes) ** 2 * (n_columns + subsets)
    if once > subsets * (2 * subset_size) ** 2 * n_columns:
        return None, ((s, x, y) for s, (x, y) in enumerate(drawn))
    members = Subsets(*(np.zeros((subsets, n), dtype=bool) for n in sizes))
    for s, rows in enumerate(drawn):
        for member, row in zip(members, rows, strict=True):
            member[s, row] = True
    return members, iter([everything])


def _tiles(groups: Iterable[tuple[Any, Any, Any]]) -> Iterator[Tile]:
    """Yield the blocks of kernels: those on and above the diagonal of X and X, and Y and Y."""
    for subset, x, y in groups:
        x, y = (np.array_split(rows, -(-len(rows) // SIDE)) for rows in (x, y))
        for pair, (left, right) in enumerate(((x, x), (y, y), (x, y))):
            for i, rows in enumerate(left):
                for j, columns in enumerate(right):
                    if pair == 2 or i <= j:
                        yield Tile(pair, subset, rows, columns, pair < 2 and i == j)


@np.errstate(over="ignore", invalid="ignore")
def _sum(X: Numbers, Y: Numbers, kernel: Kernel, members: Subsets | None, tile: Tile) -> Numbers:
    """Return the sum of a block, counted twice if the block below the diagonal has the same."""
    P, Q = ((X, X), (Y, Y), (X, Y))[tile.pair]
    left = _wide(P[tile.rows])  # [R, D]
    right = left if tile.diagonal else _wide(Q[tile.columns])  # [C, D]
    linear = left @ right.T  # [R, C]; with itself NumPy computes half of it
    linear *= kernel.gamma
    linear += kernel.coef0
    K = linear
    for _ in range(kernel.degree - 1):
        K = K * linear
    if tile.diagonal:
        _clear_diagonal(K)
    if members is None:
        total: Numbers = K.sum()
    else:
        A, B = ((members.X,) * 2, (members.Y,) * 2, members)[tile.pair]
        rows, columns = _wide(A[:, tile.rows]), _wide(B[:, tile.columns])  # [S, R], [S, C]
        total = ((rows @ K) * columns).sum(1)  # [S]
    return total if tile.diagonal or tile.pair == 2 else 2 * total


def _wide(x: Numbers) -> Numbers:
    return x.double() if is_tensor(x) else x.astype(np.float64, copy=False)


def _clear_diagonal(K: Numbers) -> None:
    if is_tensor(K):
        K.fill_diagonal_(0)
    else:
        np.fill_diagonal(K, 0)


def _by_torch(
    X: Numbers, Y: Numbers, kernel: Kernel, members: Subsets | None, tiles: list[Tile]
) -> Iterator["Tensor"]:
    """Yield the sums of blocks, which the backward pass computes again instead of storing."""
    checkpoint = import_module("torch.utils.checkpoint").checkpoint
    for tile in tiles:
        yield checkpoint(_sum, X, Y, kernel, members, tile, use_reentrant=False)

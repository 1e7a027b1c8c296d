"""Compiled operations; call them through their public functions in `unsup_fast.kernels`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Layout = tuple[int, int, bool]  # address, step, channels last
_Array = npt.NDArray[Any]
_Doubles = npt.NDArray[np.float64]
_Labels = npt.NDArray[np.int32]
_Whole = npt.NDArray[np.int64]

def simd() -> str: ...
def simd_levels() -> list[str]: ...
def use_simd(name: str) -> None: ...
def max_threads() -> int: ...
def watch(begin: int, bytes: int, path: str) -> int: ...
def unwatch(number: int) -> None: ...
def refuse_shrunk(address: int) -> None: ...
def assign(
    *,
    X: _Array,
    centers: _Array,
    sample_weight: _Array | None,
    shift: _Array | None,
    labels: _Labels,
    sums: _Doubles | None,
    weights: _Doubles | None,
    distances: _Array | None,
    inertia: bool,
    labels_current: bool,
    n_threads: int,
) -> tuple[float, int]: ...
def assign_csr(
    *,
    data: _Array,
    indices: _Array,
    indptr: _Array,
    centers: _Array,
    sample_weight: _Array | None,
    shift: _Array | None,
    labels: _Labels,
    sums: _Doubles | None,
    weights: _Doubles | None,
    distances: _Array | None,
    inertia: bool,
    labels_current: bool,
    n_threads: int,
) -> tuple[float, int]: ...
def bernoulli(
    *,
    shape: tuple[int, int],
    intensities: int,
    probabilities: int,
    seed: int | None,
    seeds: int,
    stream: int,
    out: int,
    n_threads: int,
) -> None: ...
def bernoulli_log_prob(
    *,
    element: int,
    shape: tuple[int, int, int],
    logits: int,
    x: int,
    out: int,
    of_log_prob: int,
    of_logits: int,
    n_threads: int,
) -> None: ...
def bias_act(
    *,
    element: int,
    shape: tuple[int, int],
    slope: float,
    gain: float,
    x: int,
    bias: int,
    sign: int,
    out: int,
    sums: int,
    n_threads: int,
) -> None: ...

class Totals:
    def __init__(self, *, quanta: _Doubles, sums: _Whole, counts: _Whole) -> None: ...

def move(
    *,
    X: _Array,
    centers: _Array,
    shift: _Array,
    labels: _Labels,
    totals: Totals,
    n_threads: int,
) -> int: ...
def means(
    *,
    centers: _Array,
    shift: _Array,
    totals: Totals,
    means: _Array,
    moved: _Doubles,
    cross: _Doubles,
    own: _Doubles,
    n_threads: int,
) -> None: ...
def byte_products() -> int: ...
def most_row_code() -> int: ...

class _Bounds:
    def __init__(
        self,
        *,
        span: int,
        scale: float,
        projected: _Array | None,
        codes: npt.NDArray[np.int8] | None,
        unit: _Array | None,
        sums: _Labels | None,
        tail: _Array | None,
        largest: int,
        squares: _Doubles,
        slack: _Doubles,
        cluster: _Labels,
        projected_centers: _Array | None,
        centers_slack: float,
        fine: FineCodes | None,
        before: _Array | None,
        guess: _Array | None,
        upper: _Array,
        tight: npt.NDArray[np.uint8],
        lower: _Array,
        moved: _Doubles,
        max_norm: _Doubles,
    ) -> None: ...

class FineCodes:
    def __init__(
        self,
        *,
        codes: npt.NDArray[np.int8],
        unit: _Array,
        sums: _Labels,
        squares: _Doubles,
        slack: _Doubles,
        largest: int,
    ) -> None: ...

class BoundsFloat32(_Bounds): ...
class BoundsFloat64(_Bounds): ...

def prune(
    *,
    X: _Array,
    centers: _Array,
    shift: _Array,
    labels: _Labels,
    bounds: BoundsFloat32 | BoundsFloat64,
    totals: Totals | None,
    n_threads: int,
) -> tuple[int, int, int, int, int]: ...
def project(
    *,
    X: _Array,
    directions: _Array,
    shift: _Array,
    scale: float,
    rows: _Array,
    squares: _Array,
    n_threads: int,
) -> None: ...
def encode(
    *,
    X: _Array,
    shift: _Array,
    scale: float,
    largest: int,
    codes: npt.NDArray[np.int8],
    unit: _Array,
    sums: _Labels,
    tail: _Array | None,
    squares: _Doubles,
    slack: _Doubles,
    n_threads: int,
) -> None: ...
def moments(
    *,
    X: _Array,
    mean: _Doubles,
    variance: _Doubles,
    minimum: _Doubles,
    maximum: _Doubles,
    n_threads: int,
) -> int: ...
def covariance(
    *,
    X: _Array,
    shift: _Array,
    scale: _Array,
    sums: _Doubles,
    products: _Doubles,
    n_threads: int,
) -> None: ...
def affine(
    *, X: _Array, shift: _Array, weights: _Array, offset: _Array, out: _Array, n_threads: int
) -> None: ...
def candidate_potentials(
    *,
    X: _Array,
    candidates: _Array,
    closest: _Array | None,
    sample_weight: _Array | None,
    distances: _Array,
    potentials: _Doubles,
    n_threads: int,
    scale: float = 1.0,
) -> None: ...
def candidate_potentials_csr(
    *,
    data: _Array,
    indices: _Array,
    indptr: _Array,
    candidates: _Array,
    closest: _Array | None,
    sample_weight: _Array | None,
    distances: _Array,
    potentials: _Doubles,
    n_threads: int,
) -> None: ...
def kmeans_plusplus(
    *,
    X: _Array,
    sample_weight: _Array | None,
    scale: float,
    uniform: _Doubles,
    chosen: npt.NDArray[np.int64],
    closest: _Array,
    potentials: _Doubles,
    first: int,
    last: int,
    n_threads: int,
    projected: _Array | None = None,
    slack: _Doubles | None = None,
    leading: int = 0,
) -> int: ...
def em(
    *,
    X: _Array,
    log_weights: _Doubles | None,
    means: _Doubles,
    factors: _Doubles | None,
    covariance_type: str,
    sample_weight: _Array | None,
    from_resp: bool,
    resp_sums: _Doubles | None,
    sums: _Doubles | None,
    second: _Doubles | None,
    log_prob: _Array | None,
    resp: _Array | None,
    labels: _Labels | None,
    n_threads: int,
) -> float: ...
def half_to_float(*, X: npt.NDArray[np.uint16], out: npt.NDArray[np.float32]) -> None: ...
def randn(
    *,
    seeds: npt.NDArray[np.uint64],
    stream: int,
    first: int,
    dtype: str,
    samples: int,
    channels: int,
    positions: int,
    out: _Array,
    n_threads: int,
) -> None: ...
def use_huge_pages(*, memory: _Array) -> None: ...
def nearest(
    *,
    X: _Array,
    centers: _Array,
    shift: _Array,
    labels: _Labels,
    distances: _Array | None,
    n_threads: int,
) -> None: ...
def noise(
    *,
    element: int,
    shape: tuple[int, int, int],
    tensors: Sequence[_Layout | None],
    signal: int,
    sigma: int,
    seed: int | None,
    seeds: int,
    stream: int,
    target: int,
    out: Sequence[_Layout | None],
    n_threads: int,
) -> None: ...
def denoise(
    *,
    element: int,
    shape: tuple[int, int, int],
    row: int,
    tensors: Sequence[_Layout | None],
    seed: int | None,
    seeds: int,
    stream: int,
    threshold: Sequence[float] | None,
    out: Sequence[_Layout | None],
    n_threads: int,
) -> bool: ...
def max_abs_difference(*, X: _Array, origin: int, n_threads: int) -> float: ...
def group_norm(
    *,
    element: int,
    shape: tuple[int, int, int],
    groups: int,
    eps: float,
    silu: bool,
    channels: Sequence[int],
    x: int,
    out: int,
    gradient: Sequence[int] | None,
    n_threads: int,
) -> None: ...

"""Compiled operations; call them through their public functions in `unsup_fast.kernels`."""

from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_Doubles = npt.NDArray[np.float64]
_Labels = npt.NDArray[np.int32]

def simd() -> str: ...
def simd_levels() -> list[str]: ...
def use_simd(name: str) -> None: ...
def max_threads() -> int: ...
def openmp() -> bool: ...
def assign(
    X: _Array,
    centers: _Array,
    sample_weight: _Array | None,
    shift: _Array | None,
    labels: _Labels,
    sums: _Doubles | None,
    weights: _Doubles | None,
    distances: _Array | None,
    inertia: bool,
    n_threads: int,
) -> tuple[float, int]: ...
def assign_csr(
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
    n_threads: int,
) -> tuple[float, int]: ...
def prune(
    X: _Array,
    centers: _Array,
    sample_weight: _Array | None,
    shift: _Array | None,
    labels: _Labels,
    sums: _Doubles | None,
    weights: _Doubles | None,
    distances: _Array | None,
    inertia: bool,
    n_threads: int,
    scale: float,
    rows: _Array,
    projected_centers: _Array,
    squares: _Doubles,
    slack: _Doubles,
) -> tuple[float, int, int]: ...
def project(
    X: _Array,
    directions: _Array,
    shift: _Array,
    scale: float,
    rows: _Array,
    squares: _Array,
    n_threads: int,
) -> None: ...
def moments(X: _Array, mean: _Doubles, variance: _Doubles, n_threads: int) -> int: ...
def seed(
    X: _Array,
    candidates: _Array,
    closest: _Array | None,
    sample_weight: _Array | None,
    distances: _Array,
    potentials: _Doubles,
    n_threads: int,
) -> None: ...
def seed_csr(
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

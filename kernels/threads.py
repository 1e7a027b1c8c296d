"""How many threads an operation uses."""

import functools
import math
import os
from contextlib import nullcontext
from numbers import Integral
from pathlib import Path
from typing import Any

from threadpoolctl import LibController, ThreadpoolController, register

from unsup_fast.kernels._dispatch import compiled, is_native

MOST = max(64, os.cpu_count() or 1)  # threads; more would only take memory


class _Controller(LibController):  # type: ignore[misc]
    """The compiled operations' threads, for threadpoolctl; limits are those of the thread."""

    user_api = "openmp"  # limits on OpenMP hold for these threads too
    internal_api = "unsup_fast"
    filename_prefixes = ("_native.",)
    check_symbols = ("unsup_fast_get_num_threads", "unsup_fast_set_num_threads")

    def get_num_threads(self) -> int:
        """Return how many threads an operation of the calling thread may use."""
        return int(self.dynlib.unsup_fast_get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        """Set how many threads an operation of the calling thread may use."""
        self.dynlib.unsup_fast_set_num_threads(num_threads)

    def get_version(self) -> None:
        """Return None: the module has no version of its own."""


register(_Controller)


@functools.cache
def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the CPUs that the container may use, rounded up; None where there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return max(1, math.ceil(int(quota) / int(period)))


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def effective(n_threads: int | None = None) -> int:
    """Return the number of threads to run.

    Parameters
    ----------
    n_threads : int >= 1 or None
        An explicit number is taken as it is, up to 64 or the machine's CPUs if
        they are more. None takes ``OMP_NUM_THREADS`` or what threadpoolctl has
        set for OpenMP, no more than the CPUs this process may run on or the
        container's CPU quota.

    Raises
    ------
    ValueError
        If `n_threads` is not None and below 1.
    TypeError
        If `n_threads` is neither None nor an integer.
    """
    if n_threads is not None:
        if type(n_threads) is not int and not _is_integer(n_threads):  # fast for an int
            raise TypeError(f"n_threads={n_threads!r} must be an integer >= 1 or None")
        if n_threads < 1:
            raise ValueError(f"n_threads={n_threads} must be at least 1, or None for all cores")
        return min(int(n_threads), MOST)
    limits = [allowed()]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    quota = _cgroup_quota()
    if quota is not None:
        limits.append(quota)
    return max(1, min(limits))


def allowed() -> int:
    """Return what ``OMP_NUM_THREADS`` or threadpoolctl allow the operations of this thread.

    Without the compiled module threadpoolctl knows no limit of ours: that of the OpenMP runtimes in
    this process is taken.
    """
    if is_native():
        return int(compiled().max_threads())
    limits = [runtime.num_threads for runtime in _openmp().lib_controllers]
    variable = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not limits and variable.isdecimal() and int(variable) > 0:
        limits.append(int(variable))
    return min(limits, default=os.cpu_count() or 1)


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openmp")


@functools.cache
def _pools() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  so that its BLAS is loaded

    return ThreadpoolController()


def one_in_blas() -> Any:
    """Return a context in which the BLAS of NumPy and SciPy runs in one thread.

    Sums that it shares among threads round differently for each number of them.
    """
    return in_blas(1)


def in_blas(n_threads: int | None) -> Any:
    """Return a context in which that BLAS runs in so many threads; None leaves it as it is."""
    if n_threads is None:
        return nullcontext()
    return _pools().limit(limits=effective(n_threads), user_api="blas")

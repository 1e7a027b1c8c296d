"""Validate rows of any kind and choose where they are computed with."""

from typing import TYPE_CHECKING, Any, cast

from unsup_fast._rows import arrays, devices
from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.source_rows import SourceRows
from unsup_fast._rows.sources import check_columns, source_of
from unsup_fast.kernels import threads

if TYPE_CHECKING:
    import torch


def rows(
    X: Any,
    device: "str | torch.device | None",
    estimator: Any,
    *,
    reset: bool,
    check_finite: bool = True,
) -> Rows:
    """Return validated rows: `HostRows`, `SourceRows` or `DeviceRows`.

    Parameters
    ----------
    X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
    device : {"cpu", "cuda"} or None
        Parameter of the estimator; see `devices.compute_device`.
    estimator : estimator
        Whose feature names and count are set (`reset`) or compared, and whose `n_threads` count.
    reset : bool
        Whether the estimator is being fitted.
    check_finite : bool
        Whether values are checked now, those in blocks if the estimator is being fitted; blocks
        are also checked when they are read, and a device always checks.

    Raises
    ------
    TypeError, ValueError
        If X is no such matrix, holds NaN or infinity, or does not fit the device or the estimator.
    """
    gpu = devices.compute_device(X, device, fitted=not reset)
    n_threads = threads.effective(estimator.n_threads)
    if gpu is not None:
        from unsup_fast._rows import tensors
        from unsup_fast._rows.device_rows import DeviceRows

        tensor = tensors.rows(X, gpu, estimator, reset=reset).contiguous()
        device_rows = DeviceRows(X=tensor, n_threads=n_threads, user_device=arrays.device_of(X))
        return cast(Rows, device_rows)  # of arrays, each kind of rows takes its own
    owner = type(estimator).__name__
    host_rows = cpu_rows(
        X, owner, n_threads, estimator=estimator, reset=reset, check_finite=check_finite
    )
    return cast(Rows, host_rows)


def cpu_rows(
    X: Any,
    owner: str,
    n_threads: int,
    *,
    estimator: Any = None,
    reset: bool = False,
    check_finite: bool = True,
) -> HostRows | SourceRows:
    """Return validated rows that the CPU computes with.

    Parameters
    ----------
    X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
    owner : str
        What needs the rows, for error messages.
    n_threads : int
    estimator, reset, check_finite
        As in `rows`; without an estimator, names of columns are not looked at.
    """
    source = source_of(X)
    if source is not None:
        if estimator is not None:
            check_columns(estimator, source, reset=reset)
        if reset and check_finite:
            source.moments  # noqa: B018  checks the values
        return SourceRows(X=source, n_threads=n_threads, name=source.name)
    checked = arrays.rows(X, estimator=estimator, reset=reset)
    moments = arrays.check_finite(checked, owner, n_threads) if check_finite else None
    return HostRows(
        X=checked,
        n_threads=n_threads,
        user_device=arrays.device_of(X),
        known_moments=moments,
    )

"""The device that an estimator computes on."""

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from unsup_fast._rows import arrays

if TYPE_CHECKING:
    import torch


def compute_device(
    X: Any,
    device: "str | torch.device | None",
    *,
    fitted: bool = False,
    stacklevel: int = 3,
) -> "torch.device | None":
    """Return the torch device of the GPU that computes, or None for the CPU.

    Parameters
    ----------
    X : object
        Rows of any kind.
    device : {"cpu", "cuda"} or None
        Parameter of an estimator.
    fitted : bool
        Whether the estimator is fitted and X is only evaluated. If the machine has no such GPU,
        a RuntimeWarning is issued, and the device is that of X.
    stacklevel : int
        Which caller the warning names; the default is the caller of this function's caller.

    Raises
    ------
    ValueError
        If `device` is not available.
    """
    if device is None:
        return X.device if arrays.is_tensor(X) and X.device.type == "cuda" else None
    if str(device) == "cpu":
        return None
    reason = "it is neither 'cpu' nor 'cuda'"
    if str(device).partition(":")[0] == "cuda":
        reason = "PyTorch is not installed"
        if find_spec("torch") is not None:
            import torch

            wanted = torch.device(device)
            if (wanted.index or 0) < torch.cuda.device_count():
                return wanted
            reason = f"PyTorch finds {torch.cuda.device_count()} CUDA GPUs"
        if fitted:
            warnings.warn(
                f"device={device!r} of the fitted model is not available: {reason}. X is computed "
                "with where it is; call set_params(device=None) to choose that without a warning.",
                RuntimeWarning,
                stacklevel=stacklevel,
            )
            return compute_device(X, None)
    raise ValueError(f"device={device!r} is not available: {reason}; pass device='cpu' or None")

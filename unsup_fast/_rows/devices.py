"""The device that an estimator computes on."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sklearn

from unsup_fast._rows import arrays

if TYPE_CHECKING:
    import torch


# Where code between a user and a warning lies.
OURS = tuple(str(Path(file).parent) for file in (Path(__file__).parent, sklearn.__file__))


def compute_device(
    X: Any,
    device: "str | torch.device | None",
    *,
    fitted: bool = False,
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
                stacklevel=_user_level(),
            )
            return compute_device(X, None)
    raise ValueError(f"device={device!r} is not available: {reason}; pass device='cpu' or None")


def _user_level() -> int:
    """Return the `stacklevel` with which a warning of the caller names a line of the user."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        level, frame = level + 1, frame.f_back
    return level

"""Which implementation of an operation runs."""

import os
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def compiled() -> ModuleType:
    """Return the compiled module, or say why it is missing."""
    try:
        from unsup_fast.kernels import _native
    except ImportError as error:
        raise ImportError(
            "unsup_fast's compiled part could not be loaded "
            f"({error}); reinstall with 'pip install .' from the source tree"
        ) from error
    return _native


def choose(
    op: str, implementations: dict[str, F], backend: str | None, default: str = "native"
) -> F:
    """Pick the implementation of `op`.

    Parameters
    ----------
    op : str
        The operation's word, for the error message.
    implementations : dict of str to callable
        Implementations of the operation for this kind of array, by backend name.
    backend : str or None
        An explicit request; None asks ``UNSUP_FAST_BACKEND``, then takes `default`.
    default : str
        "native" for CPU arrays, "triton" for CUDA tensors.

    Raises
    ------
    ValueError
        If the requested backend is unknown or the operation lacks it.
    """
    wanted = backend or os.environ.get("UNSUP_FAST_BACKEND") or default
    if wanted not in implementations:
        source = "backend" if backend else "UNSUP_FAST_BACKEND"
        raise ValueError(
            f"{source}={wanted!r} is not available for '{op}'; "
            f"pass one of {sorted(implementations)}"
        )
    return implementations[wanted]

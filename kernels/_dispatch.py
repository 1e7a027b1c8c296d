"""Which implementation of an operation runs.

A request by ``backend=`` comes first, then ``UNSUP_FAST_BACKEND``, then the device: "triton" for
CUDA tensors, for the rest "native", or the portable implementation where the compiled modules
cannot be loaded. The portable one is "numba" where an operation has a `numba_.py`, else "portable",
by NumPy, SciPy or torch; ``UNSUP_FAST_BACKEND=numba`` asks for either.
"""

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TypeVar

Result = TypeVar("Result")

VARIABLE = "UNSUP_FAST_BACKEND"
NATIVE = "unsup_fast.kernels._native"
REMEDY = "install a C++17 compiler, then reinstall with 'pip install .' from the source tree"


@functools.cache
def missing(module: str = NATIVE) -> str | None:
    """Return why a module cannot be imported, or None if it can."""
    try:
        import_module(module)
    except ImportError as error:
        return str(error)
    return None


@functools.cache
def compiled(module: str = NATIVE) -> ModuleType:
    """Return a compiled module, or raise an ImportError that says why it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"unsup_fast's compiled part could not be loaded ({error}); {REMEDY}"
        ) from error


def is_native(module: str = NATIVE) -> bool:
    """Return whether what a compiled module has, and no reference, runs there by default."""
    wanted = os.environ.get(VARIABLE)
    return wanted != "numba" and (wanted == "native" or missing(module) is None)


def describe() -> str:
    """Return the implementation on the CPU in words, and why it is not another one."""
    wanted = os.environ.get(VARIABLE)
    if wanted:
        return f"{wanted} (from {VARIABLE})"
    reason = missing()
    if reason is None:
        return "native"
    return f"numba (the compiled part could not be loaded: {reason}; {REMEDY})"


def choose(
    op: str,
    implementations: Mapping[str, Callable[..., Result]],
    backend: str | None,
    default: str | None = None,
    module: str = NATIVE,
) -> Callable[..., Result]:
    """Pick the implementation of `op`.

    Parameters
    ----------
    op : str
        The operation's word, for the error message.
    implementations : mapping of str to callable
        Implementations of the operation for this kind of array, by backend name. Those of "numba"
        and "triton" import these packages when they are called.
    backend : str or None
        An explicit request; None asks ``UNSUP_FAST_BACKEND``, then takes `default`.
    default : str or None
        "triton" for CUDA tensors; None for the CPU: "native", or without the compiled module the
        portable implementation, with a warning once per process.
    module : str
        The compiled module that "native" needs.

    Raises
    ------
    ValueError
        If the requested backend is unknown or the operation lacks it.
    ImportError
        If "numba" is chosen but cannot be imported.
    """
    wanted = backend or os.environ.get(VARIABLE) or default or automatic(module)
    if wanted == "numba" and not backend and "portable" in implementations:
        return implementations["portable"]
    if wanted not in implementations:
        source = "backend" if backend else VARIABLE
        raise ValueError(
            f"{source}={wanted!r} is not available for '{op}'; "
            f"pass one of {sorted(implementations)}"
        )
    if wanted == "numba":
        reason = missing("numba")
        if reason is not None:
            raise ImportError(
                f"the portable implementation of '{op}' needs Numba, which could not be loaded "
                f"({reason}); run: pip install numba; or {REMEDY}"
            )
    return implementations[wanted]


def automatic(module: str = NATIVE) -> str:
    """Return what runs on the CPU without a request; warn once if that is portable."""
    reason = missing(module)
    if reason is None:
        return "native"
    _warn_once(reason)
    return "numba"


_warned = False


def _warn_once(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"unsup_fast runs without its compiled part, which could not be loaded ({reason}). "
            f"Portable implementations take its place; they are slower. To change that, {REMEDY}; "
            f"{VARIABLE}=numba hides this warning",
            RuntimeWarning,
            stacklevel=4,
        )

"""Numba's compiler as all `numba_.py` use it; nothing else imports this module."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def jit(**options: Any) -> Callable[[F], F]:
    """Return a decorator that compiles a function when it is first called with these types.

    It runs without the interpreter's lock (`kernels._chunks` shares it among threads), divides by
    zero as NumPy does, and is cached on disk, where a folder for that can be written: __pycache__,
    ``NUMBA_CACHE_DIR`` or the user's cache. Functions call only those of their own file, since the
    cache looks at no other one to see whether it is out of date.

    Parameters
    ----------
    **options
        More of `numba.njit`, such as ``fastmath={"contract"}``.
    """

    def decorate(function: F) -> F:
        settings = {"nogil": True, "error_model": "numpy", **options}
        try:
            compiled: F = numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # "no locator available"
            compiled = numba.njit(**settings)(function)
        return compiled

    return decorate

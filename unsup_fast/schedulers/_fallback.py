"""The decision to run diffusers' own step, for options that a table cannot express."""

import functools
import inspect
import reprlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from unsup_fast.kernels.sampler_terms import CLIP
from unsup_fast.solvers.schedules import Array

Result = TypeVar("Result")


@functools.cache
def defaults(kind: type) -> dict[str, Any]:
    """Return the options of a scheduler's class and their defaults."""
    options = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return {option.name: option.default for option in options if option.name != "self"}


def changed(kind: type, config: Any) -> list[str]:
    """Return the options of a configuration that are not at their default, as "name=value"."""
    return [
        f"{name}={reprlib.repr(config[name])}"
        for name, default in defaults(kind).items()
        if isinstance(config[name], np.ndarray) or config[name] != default
    ]


class Fallback:
    """Base that decides whether a table can express a run, and warns once if not."""

    KNOWN: ClassVar[str]  # the options of diffusers' class that the subclass is written for

    config: Any
    _warned: tuple[str, ...] = ()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        """Return the options that a table expresses for some values only, with those values."""
        return {}

    def _unsupported(self) -> list[str]:
        """Return the options that a table cannot express, as "name=value"."""
        config, known = self.config, self.KNOWN.split()
        options = [
            f"{name}={config[name]!r}"
            for name, values in self._allowed().items()
            if config[name] not in values
        ]
        if config.get("thresholding"):
            ratio, largest = config.dynamic_thresholding_ratio, config.sample_max_value
            if not 0 <= ratio <= 1:
                options.append(f"dynamic_thresholding_ratio={ratio!r}")
            if not largest >= 1:
                options.append(f"sample_max_value={largest!r}")
        newer = [
            option for option in changed(type(self), config) if option.split("=")[0] not in known
        ]
        return options + newer

    def _check_options(self) -> bool:
        """Return whether a table can express the options; warn if not."""
        options = self._unsupported()
        if options:
            self._warn(
                f"{type(self).__name__}: diffusers' own step runs, for no table expresses "
                f"{', '.join(options)}"
            )
        return not options

    def _attempt(self, compute: Callable[[], tuple[Result, Array]]) -> Result | None:
        """Return a table, or None and a warning if diffusers' own step has to run.

        Parameters
        ----------
        compute : callable
            Returns the table and its rows, float64 [S, N_TERMS].
        """
        if not self._check_options():
            return None
        try:
            with np.errstate(all="ignore"):
                table, rows = compute()
            if np.isfinite(np.delete(rows, CLIP, axis=1)).all():
                return table
            reason = "a coefficient is not finite"
        except (ValueError, ArithmeticError) as error:
            reason = str(error)
        options = ", ".join(changed(type(self), self.config)) or "all at their defaults"
        self._warn(
            f"{type(self).__name__}: diffusers' own step runs, for the table of its steps fails: "
            f"{reason} (options: {options})"
        )
        return None

    def _warn(self, message: str) -> None:
        """Warn once in the life of this scheduler."""
        if message not in self._warned:
            self._warned = (*self._warned, message)
            warnings.warn(message, UserWarning, stacklevel=4)

"""What scores of generated images are computed from: features, row by row, kept until then."""

import sys
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unsup_fast import _arrays
from unsup_fast.kernels.moments import moments

Array = npt.NDArray[Any]
Extractor = Callable[[Any], Any]


class Estimate(NamedTuple):
    """A score of several parts of the samples."""

    mean: float
    """Over the parts."""
    std: float
    """Over the parts, divided by their number: how far scores of parts of this size spread."""


class FewSamplesWarning(UserWarning):
    """There are so few samples that a score says little about where they come from."""


def warn_of_few(message: str) -> None:
    """Warn the caller of a public function, one of whose helpers calls this."""
    warnings.warn(message, FewSamplesWarning, stacklevel=4)


def features(name: str, value: Any) -> Array:
    """Return features as a C-contiguous array [N, D] of float32 or float64.

    Parameters
    ----------
    name : str
        For the errors.
    value : array-like or tensor of shape (N, D)
        On any device. Half precision becomes float32, whole numbers float64.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If they are no matrix with a column, or not finite.
    """
    rows = matrix(name, value)
    bad = moments(rows).bad if len(rows) else None
    if bad is not None:
        raise ValueError(
            f"{name}[{bad[0]}, {bad[1]}] is {rows[bad]}; features must be finite: look for the "
            "image or the layer that makes them so"
        )
    return rows


def tensor_rows(name: str, value: Any) -> None:
    """Raise unless a tensor is what `features` takes, on whichever device it is."""
    dense = value.layout == sys.modules["torch"].strided and not value.is_complex()
    sound = dense and value.ndim == 2 and value.shape[1] > 0
    if not (sound and (_arrays.compiling() or value.isfinite().all())):
        features(name, value)  # says what is wrong


def matrix(name: str, value: Any) -> Array:
    """Return numbers as `features` does, finite or not."""
    array = np.asarray(_arrays.on_host(value))
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} holds {array.dtype}; pass real numbers")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {array.shape}; pass one row for each sample and at least one column"
        )
    wide = np.float32 if array.dtype in (np.float16, np.float32) else np.float64
    return np.require(array, wide, ["C", "A"])


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`, or raise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
    return int(value)


def check_columns(X: Any, Y: Any, names: tuple[str, str] = ("X", "Y")) -> None:
    """Raise unless both have the same number of columns."""
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"{names[0]} has {X.shape[1]} columns and {names[1]} {Y.shape[1]}; features must come "
            "from the same layer of the same network"
        )


class KeptFeatures:
    """Features of real and of generated samples, in the order in which they came.

    Parameters
    ----------
    extractor : callable, optional
        Is given what `update` is, say a batch of images, and returns features [N, D]. Without
        one, `update` is given features.
    """

    def __init__(self, extractor: Extractor | None = None) -> None:
        self.extractor = extractor
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self._kept: dict[str, list[Array]] = {"real": [], "fake": []}

    def update(self, X: Any, *, real: bool) -> None:
        """Add samples.

        Parameters
        ----------
        X : array-like or tensor of shape (N, D), or what the extractor takes
        real : bool
            Whether they are data; False for generated ones.

        Raises
        ------
        TypeError, ValueError
            If features are no finite real numbers, or their number differs from before.
        """
        found = X if self.extractor is None else self.extractor(X)
        self._keep("real" if real else "fake", "X", found)

    def merge(self, other: Any) -> None:
        """Add the samples of another one, after those of this one.

        Raises
        ------
        TypeError, ValueError
            If it is of another class, or its features are others.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
        self._add(other.state_dict())

    def state_dict(self) -> dict[str, Array]:
        """Return the features as two arrays, which `load_state_dict` takes."""
        return {kind: self._joined(kind) for kind in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the samples of a `state_dict` in place of those of this one.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        self.reset()
        self._add(state)

    def _add(self, state: Mapping[str, Any]) -> None:
        for kind in self._kept:
            if len(state[kind]):
                self._keep(kind, f"state[{kind!r}]", state[kind])

    def _keep(self, kind: str, name: str, found: Any) -> None:
        rows = features(name, found)
        before = self._kept["real"] or self._kept["fake"]
        if before:
            check_columns(before[0], rows, ("an earlier block", name))
        self._kept[kind].append(rows.copy())

    def _joined(self, kind: str) -> Array:
        blocks = self._kept[kind]
        if not blocks:
            return np.empty((0, 0), np.float32)
        if len(blocks) > 1:
            self._kept[kind] = blocks = [np.concatenate(blocks)]
        return blocks[0]

    def _both(self) -> tuple[Array, Array]:
        for kind, blocks in self._kept.items():
            if not blocks:
                raise ValueError(
                    f"there are no {kind} samples yet; call update(X, real={kind == 'real'}) first"
                )
        return self._joined("real"), self._joined("fake")

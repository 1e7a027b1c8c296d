"""Features that scores of generated images are computed from, stored row by row until then."""

import sys
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.kernels.moments import moments

if TYPE_CHECKING:
    from torch import Tensor

Callback = Callable[[int, int], None]
Extractor = Callable[[Any], Any]


class Estimate(NamedTuple):
    """Mean and standard deviation of a score over parts of the samples."""

    mean: float
    """Mean over the parts."""
    std: float
    """Standard deviation over the parts, divided by their number, not by one fewer."""


class FewSamplesWarning(UserWarning):
    """There are so few samples that a score says little about where they come from."""


def warn_of_few(message: str) -> None:
    """Warn the caller of a public function, one of whose helpers calls this."""
    warnings.warn(message, FewSamplesWarning, stacklevel=4)


def features(name: str, value: ArrayLike) -> Array:
    """Return features as a C-contiguous array [N, D] of float32 or float64.

    Parameters
    ----------
    name : str
        What errors call them.
    value : array-like or tensor of shape (N, D)
        On any device. Half precision becomes float32, whole numbers float64.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they are not a matrix with at least one column, or not finite.
    """
    rows = matrix(name, value)
    bad = moments(rows).first_nonfinite if len(rows) else None
    if bad is not None:
        raise ValueError(
            f"{name}[{bad[0]}, {bad[1]}] is {rows[bad]}; features must be finite: look for the "
            "image or the layer that makes them so"
        )
    return rows


def tensor_rows(name: str, value: "Tensor") -> None:
    """Raise unless a tensor is what `features` takes, on whichever device it is."""
    dense = value.layout == sys.modules["torch"].strided and not value.is_complex()
    sound = dense and value.ndim == 2 and value.shape[1] > 0
    if not (sound and (compiling() or value.isfinite().all())):
        features(name, value)  # says what is wrong


def compiling() -> bool:
    """Return whether torch.compile traces the call, so that tensors have no values to read."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def matrix(name: str, value: ArrayLike) -> Array:
    """Return a matrix as `features` does, without a check that it is finite."""
    array = on_host(value)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} holds {array.dtype}; pass real numbers")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {array.shape}; pass one row for each sample and at least one column"
        )
    wide = np.float32 if array.dtype in (np.float16, np.float32) else np.float64
    return np.require(array, wide, ["C", "A"])


def whole(name: str, value: object, least: int = 1) -> int:
    """Return a whole number of at least `least`, or raise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
    return int(value)


def check_columns(
    X: "Array | Tensor", Y: "Array | Tensor", names: tuple[str, str] = ("X", "Y")
) -> None:
    """Raise unless both have the same number of columns."""
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"{names[0]} has {X.shape[1]} columns and {names[1]} {Y.shape[1]}; features must come "
            "from the same layer of the same network"
        )


def samples(n: int, n_columns: int) -> str:
    """Return a size as text."""
    return f"{n:,} x {n_columns:,}"


def summary(accumulator: object, sides: Mapping[str, str]) -> str:
    """Return the repr of an accumulator: its class, and the size of each side."""
    sizes = ", ".join(f"{kind} {size}" for kind, size in sides.items())
    return f"<{type(accumulator).__name__}: {sizes or 'no samples'}>"


class StoredFeatures:
    """Features of real and of generated samples, in the order in which they came.

    Parameters
    ----------
    extractor : callable, optional
        Receives what `update` receives, such as a batch of images, and returns features [N, D].
        Without one, `update` takes features.
    """

    def __init__(self, extractor: Extractor | None = None) -> None:
        self.extractor = extractor
        self.reset()

    def __repr__(self) -> str:
        sides = {
            kind: samples(sum(map(len, blocks)), blocks[0].shape[1])
            for kind, blocks in self._blocks.items()
            if blocks
        }
        return summary(self, sides)

    def reset(self) -> None:
        """Forget all samples."""
        self._blocks: dict[str, list[Array]] = {"real": [], "fake": []}

    def update(self, X: Any, *, real: bool) -> None:
        """Add samples.

        Parameters
        ----------
        X : array-like or tensor of shape (N, D), or what the extractor takes
        real : bool
            True for data, False for generated samples.

        Raises
        ------
        TypeError, ValueError
            If features are not finite real numbers, or have another number of columns than before.
        """
        rows = X if self.extractor is None else self.extractor(X)
        self._keep("real" if real else "fake", "X", rows)

    def merge(self, other: "StoredFeatures") -> None:
        """Append the samples of another accumulator.

        Raises
        ------
        TypeError, ValueError
            If it is of another class, or its features have other columns.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
        self._add(other.state_dict())

    def state_dict(self) -> dict[str, Array]:
        """Return the features as two arrays, which `load_state_dict` takes."""
        return {kind: self._joined(kind) for kind in self._blocks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the samples by those of a `state_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` did not come from `state_dict`.
        """
        self.reset()
        self._add(state)

    def _add(self, state: Mapping[str, Any]) -> None:
        for kind in self._blocks:
            if len(state[kind]):
                self._keep(kind, f"state[{kind!r}]", state[kind])

    def _keep(self, kind: str, name: str, value: ArrayLike) -> None:
        rows = features(name, value)
        before = self._blocks["real"] or self._blocks["fake"]
        if before:
            check_columns(before[0], rows, ("an earlier block", name))
        self._blocks[kind].append(rows.copy())

    def _joined(self, kind: str) -> Array:
        blocks = self._blocks[kind]
        if not blocks:
            return np.empty((0, 0), np.float32)
        if len(blocks) > 1:
            self._blocks[kind] = blocks = [np.concatenate(blocks)]
        return blocks[0]

    def _both(self) -> tuple[Array, Array]:
        for kind, blocks in self._blocks.items():
            if not blocks:
                raise ValueError(
                    f"there are no {kind} samples yet; call update(X, real={kind == 'real'}) first"
                )
        return self._joined("real"), self._joined("fake")

"""`GenerativeModel`: a network with its configuration, to sample from, save and load.

A model in a folder is one safetensors file of weights and settings, and a JSON copy of the latter.
"""

import math
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.kernels.precision import full_precision
from unsup_fast.storage import records, tensors
from unsup_fast.storage.records import DamagedError

WEIGHTS, SETTINGS = tensors.MODEL, "model.json"
CUSTOM = "custom"
"""The name of a network that is the user's own."""
LARGEST_SAMPLE = 1 << 28  # values
SHOWN = 200  # characters of a reason


class ModelConfig(Protocol):
    """What a model's configuration, a frozen dataclass, has at least."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes to condition on; none by default."""

    @property
    def network(self) -> str:
        """Kind of the network, or `CUSTOM`."""


ConfigT = TypeVar("ConfigT", bound=ModelConfig)
Model = TypeVar("Model", bound="GenerativeModel[Any]")


class GenerativeModel(ABC, Generic[ConfigT]):
    """A network with its configuration.

    Parameters
    ----------
    network : torch.nn.Module
    config : dataclass
    """

    kind: ClassVar[str]
    """What its file says that it holds."""
    config_type: ClassVar[type[Any]]
    network: Module
    config: ConfigT

    def __init__(self, network: Module, config: ConfigT) -> None:
        self.network, self.config = network, config

    @staticmethod
    @abstractmethod
    def network_of(config: Any, seed: int) -> Module:
        """Return a new network with weights drawn from a seed.

        Raises
        ------
        ValueError
            If it does not fit the samples, or is the user's own.
        """

    @classmethod
    def build(cls: type[Model], config: Any, *, seed: int = 0) -> Model:
        """Return an untrained model with weights drawn from a seed.

        Raises
        ------
        ValueError
            If the network does not fit the samples, or is "custom".
        """
        return cls(cls.network_of(config, seed), config)

    @property
    def device(self) -> torch.device:
        """Return the device of the network."""
        return next(self.network.parameters()).device

    def labels(self, label: Any, n: int) -> Tensor | None:
        """Return the classes of n samples as int64 [n], or None for any.

        Parameters
        ----------
        label : int, str, or one for each sample, or None
            Classes by number or name.
        n : int

        Raises
        ------
        ValueError
            If a class is unknown, or there is not one for each sample.
        """
        if label is None:
            return None
        names = self.config.classes
        if not names:
            raise ValueError("this model was trained without classes; leave out label")
        each = list(label) if is_many(label) else [label] * n
        if len(each) != n:
            raise ValueError(f"{len(each)} labels are given for {n} samples; pass one for each")
        numbers = []
        for value in each:
            known = isinstance(value, str) and value in names
            number = names.index(value) if known else _whole(value)
            if number is None or not 0 <= number < len(names):
                raise ValueError(
                    f"label={value!r} is unknown; pass a number from 0 to {len(names) - 1} or one "
                    f"of {list(names)}"
                )
            numbers.append(number)
        return torch.tensor(numbers)

    def required_labels(self, label: Any, n: int) -> Tensor | None:
        """Return `labels` on the device, for a model that always needs the class of a sample.

        Raises
        ------
        ValueError
            If a model with classes is called without them, or as for `labels`.
        """
        if label is None and self.config.classes:
            raise ValueError(
                f"this model is conditional on {len(self.config.classes)} classes; pass label, "
                "one for each sample"
            )
        classes = self.labels(label, n)
        return None if classes is None else classes.to(self.device)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `model.safetensors`, and `model.json` for other readers, into a folder.

        Raises
        ------
        OSError
            If a file cannot be written; the previous model is left unchanged.
        ValueError
            If a weight is NaN or infinite.
        """
        weights = self.network.named_parameters()
        wrong = next((name for name, value in weights if not _finite(value)), None)
        if wrong is not None:
            raise ValueError(
                f"cannot save the model: {wrong!r} holds NaN or an infinite number; train with a "
                "lower learning rate"
            )
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        note = {"config": asdict(self.config)}  # type: ignore[call-overload]
        state = self.network.state_dict()
        tensors.write(where / WEIGHTS, state, note, kind=self.kind, what="the model")
        try:
            records.write(where / SETTINGS, note, kind=self.kind, what="the model's settings")
        except BaseException:
            (where / SETTINGS).unlink(missing_ok=True)  # it has the settings of the previous model
            raise

    @classmethod
    def load(
        cls: type[Model],
        folder: str | os.PathLike[str],
        *,
        device: torch.device | str | None = None,
        network: Module | None = None,
    ) -> Model:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : path
            Folder with `model.safetensors`.
        device : optional
            Device of the network; the host by default.
        network : torch.nn.Module, optional
            For `config.network="custom"`: a network of the same shape, which takes the weights.

        Returns
        -------
        GenerativeModel

        Raises
        ------
        ValueError
            If a file is damaged, or holds another kind of model.
        OSError
            If the file of weights cannot be opened.
        """
        path = Path(folder) / WEIGHTS
        weights, note = tensors.read(path, kind=cls.kind, torch=True)
        settings = path.with_name(SETTINGS)
        if settings.exists() and _settings(settings, cls.kind) != note:
            raise DamagedError(
                settings,
                f"it has other settings than {WEIGHTS}; copy both files from one folder, or "
                "remove it",
            )
        config = _config(cls.config_type, path, note)
        if network is None:
            if config.network != CUSTOM:
                _check_weights(_empty(cls, config, path), weights, path)  # before memory is taken
            network = cls.network_of(config, 0)
        model = cls(network, config)
        _check_weights(model.network, weights, path)
        model.network.load_state_dict(weights)
        model.network.eval().requires_grad_(False).to(device or "cpu")
        return model


@contextmanager
def evaluating(network: Module) -> Iterator[None]:
    """Set all of a network's modules to evaluation mode; restore each mode at the end."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def inference_mode(network: Module) -> Iterator[None]:
    """Compute with a network in evaluation mode, in float32 and without gradients."""
    device = next(network.parameters()).device.type
    float32 = torch.autocast(device, enabled=False)
    with torch.no_grad(), evaluating(network), full_precision(), float32:
        yield


def is_many(value: Any) -> bool:
    """Return whether a label or seed is one for each sample."""
    several = isinstance(value, Tensor | np.ndarray) and value.ndim > 0
    return several or (isinstance(value, Sequence) and not isinstance(value, str))


def sample_count(n: int | None, label: Any, seed: Any) -> int:
    """Return the number of samples to draw: n, or one for each label or seed, or one."""
    if n is None:
        n = next((len(many) for many in (label, seed) if is_many(many)), 1)
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    return n


def batches(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` of n samples."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def whole(name: str, value: Any) -> int:
    """Return a setting as a whole number; a ValueError names it if it is not."""
    number = _whole(value)
    if number is None:
        raise ValueError(f"{name}={value!r} must be a whole number")
    return number


def check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError unless a setting is an allowed name."""
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r} must be a name")
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; pass one of {list(allowed)}")


def check_classes(classes: tuple[str, ...]) -> None:
    """Raise a ValueError unless the names of classes are different strings."""
    if not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes={classes} must be names, as strings")
    if len(set(classes)) != len(classes):
        raise ValueError(f"classes={classes} must be different names")


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless a sample of this shape has values, and not too many."""
    if not shape or min(shape) < 1:
        raise ValueError(f"shape={shape} must hold numbers of at least 1, as (3, 32, 32)")
    if math.prod(shape) > LARGEST_SAMPLE:
        raise ValueError(f"shape={shape} has more than {LARGEST_SAMPLE} values")


def _whole(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _empty(cls: type[GenerativeModel[Any]], config: Any, path: Path) -> Module:
    """Return a network without memory for its weights."""
    try:
        with torch.device("meta"):
            return cls.network_of(config, 0)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = str(error).split("\n")[0][:SHOWN]
        raise DamagedError(path, f"its settings are not valid: {reason}") from None


def _check_weights(network: Module, weights: dict[str, Tensor], path: Path) -> None:
    """Raise DamagedError unless weights have the names, shapes and kinds of those of a network."""
    expected = network.state_dict()
    parameters = {name for name, _ in network.named_parameters()}
    wrong = sorted(
        name
        for name in {*weights, *expected}
        if name not in weights
        or name not in expected
        or weights[name].shape != expected[name].shape
        or weights[name].is_floating_point() != expected[name].is_floating_point()
        or (name in parameters and not _finite(weights[name]))
    )
    if wrong:
        name = records.shown(wrong[0])
        raise DamagedError(path, f"{name} is missing, not finite or of another network")


def _settings(path: Path, kind: str) -> dict[str, Any]:
    try:
        return records.read(path, kind=kind)
    except DamagedError as error:
        raise DamagedError(
            path, f"{error.why}; remove it: {WEIGHTS} has the same settings"
        ) from None


def _config(config_type: type[Any], path: Path, note: dict[str, Any]) -> Any:
    known = {field.name for field in fields(config_type)}
    try:
        settings = dict(note["config"])
        for name in ("shape", "classes"):
            if not isinstance(settings[name], list):
                raise TypeError(f"{name} is not a list")
            settings[name] = tuple(settings[name])
        if not settings.keys() <= known:
            raise ValueError(f"{records.shown(sorted(settings.keys() - known))} is unknown")
        return config_type(**settings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = str(error)[:SHOWN]
        raise DamagedError(path, f"its settings are not valid: {reason}") from None


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())

"""A model in a folder: one safetensors file of weights and settings; a JSON copy of the latter."""

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from unsup_fast.models.diffusion.config import CUSTOM, Config, network_of
from unsup_fast.storage import records, tensors
from unsup_fast.storage.records import DamagedError

WEIGHTS, SETTINGS = tensors.MODEL, "model.json"
SHOWN = 200  # characters of a reason


def save(network: Any, config: Config, folder: str | os.PathLike[str]) -> None:
    """Write a model; the previous one stays if that fails.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite.
    """
    wrong = next((name for name, value in network.named_parameters() if not _finite(value)), None)
    if wrong is not None:
        raise ValueError(
            f"cannot save the model: {wrong!r} holds NaN or an infinite number; train with a lower "
            "learning rate"
        )
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    note = {"config": asdict(config)}
    tensors.write(
        where / WEIGHTS, network.state_dict(), note, kind=tensors.DIFFUSION, what="the model"
    )
    try:
        records.write(where / SETTINGS, note, kind=tensors.DIFFUSION, what="the model's settings")
    except BaseException:
        (where / SETTINGS).unlink(missing_ok=True)  # it has the settings of the previous model
        raise


def read(folder: str | os.PathLike[str]) -> tuple[Config, dict[str, Any]]:
    """Return the settings and the tensors in a folder, verified.

    Raises
    ------
    OSError
        If the file of weights cannot be read.
    ValueError
        If it or `model.json` is damaged or of another kind, or they contradict each other.
    """
    path = Path(folder) / WEIGHTS
    weights, note = tensors.read(path, kind=tensors.DIFFUSION, torch=True)
    settings = Path(folder) / SETTINGS
    if settings.exists() and _settings(settings) != note:
        raise DamagedError(
            settings,
            f"it has other settings than {WEIGHTS}; copy both files from one folder, or remove it",
        )
    return _config(path, note), weights


def fill(network: Any, weights: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    """Copy weights into a network.

    Raises
    ------
    ValueError
        If the weights are those of another network.
    """
    check(network, weights, folder)
    network.load_state_dict(weights)


def check(network: Any, weights: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    """Raise ValueError unless weights have the names, shapes and kinds of those of a network."""
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
        raise DamagedError(
            Path(folder) / WEIGHTS, f"{name} is missing, not finite or of another network"
        )


def network_for(config: Config, weights: dict[str, Any], folder: str | os.PathLike[str]) -> Any:
    """Return a new network for weights, which are checked before its memory is allocated.

    Raises
    ------
    ValueError
        If the settings cannot be built, or the weights are of another network.
    """
    if config.network != CUSTOM:
        try:
            with torch.device("meta"):
                empty = network_of(config, 0)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            reason = str(error).split("\n")[0][:SHOWN]
            raise DamagedError(
                Path(folder) / WEIGHTS, f"its settings are not valid: {reason}"
            ) from None
        check(empty, weights, folder)
    return network_of(config, 0)


def _settings(path: Path) -> dict[str, Any]:
    try:
        return records.read(path, kind=tensors.DIFFUSION)
    except DamagedError as error:
        raise DamagedError(
            path, f"{error.why}; remove it: {WEIGHTS} has the same settings"
        ) from None


def _config(path: Path, note: dict[str, Any]) -> Config:
    known = {field.name for field in fields(Config)}
    try:
        settings = dict(note["config"])
        for name in ("shape", "classes"):
            if not isinstance(settings[name], list):
                raise TypeError(f"{name} is not a list")
            settings[name] = tuple(settings[name])
        if not settings.keys() <= known:
            raise ValueError(f"{records.shown(sorted(settings.keys() - known))} is unknown")
        return Config(**settings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = str(error)[:SHOWN]
        raise DamagedError(path, f"its settings are not valid: {reason}") from None


def _finite(value: Any) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())

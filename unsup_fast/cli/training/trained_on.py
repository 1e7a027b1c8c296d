"""The pictures of a command that uses a model: by default those that it was trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unsup_fast.blocks import DataError
from unsup_fast.cli import files, results
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import data
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.options import BUILT_IN, PictureSettings
from unsup_fast.cli.values import parse_sides
from unsup_fast.storage import records
from unsup_fast.storage.records import DamagedError


def check(settings: PictureSettings) -> None:
    """Refuse options of DATA without DATA.

    Raises
    ------
    UserError
        With the first.
    """
    if settings.data is not None or settings.built_in is not None:
        return
    for name, value in (
        ("--key", settings.key),
        ("--labels", settings.labels),
        ("--no-labels", settings.no_labels or None),
    ):
        if value is not None:
            raise UserError(f"{name}: is for DATA; pass DATA too, or leave {name} out")


def inputs(settings: PictureSettings, run: Path) -> list[files.Input]:
    """Return the files or folders that `read` reads."""
    if settings.data is not None or settings.built_in is not None:
        return files.inputs_of(DATA=settings.data)
    return files.inputs_of(DATA=_source(_recorded(run)[0]["file"]))


def read(
    settings: PictureSettings,
    run: Path,
    shape: Sequence[int],
    progress: Silent,
    *,
    latents: bool = False,
) -> Data:
    """Return the pictures that the options name, or those that a run was trained on.

    Parameters
    ----------
    settings : PictureSettings
    run : Path
    shape : sequence of int
        (C, H, W) of the model's pictures, to which DATA are brought.
    progress : Silent
    latents : bool
        Whether the model makes latents, so that DATA must hold such.

    Raises
    ------
    DataError, UserError
        If there are none, or they are not those that the run was trained on and DATA is missing.
    """
    if settings.data is None and settings.built_in is None:
        return _trained_on(run, progress)
    return data.read_for(settings, progress, shape, latents=latents)


def _trained_on(run: Path, progress: Silent) -> Data:
    """Return the pictures that a run was trained on.

    Raises
    ------
    UserError
        If they are missing, or have changed.
    """
    about, parameters = _recorded(run)
    source = _source(about["file"])
    if isinstance(source, Path) and not source.exists():
        raise UserError(f"{run}: was trained on {source}, which does not exist here; pass DATA")
    size = parameters.get("size")
    if isinstance(source, str):
        options: dict[str, Any] = {}
    else:
        options = {name: parameters.get(name) for name in ("channels", "key", "labels")}
        options["size"] = None if size is None else parse_sides("size", size, square=False)
    try:
        dataset = data.read(
            source,
            progress,
            **options,
            no_labels=bool(parameters.get("no_labels")),
            latents=bool(about.get("latents")),
        )
    except DataError as error:
        raise UserError(f"{error}; pass the pictures of {run} as DATA") from None
    if dataset.digest != about.get("sha256"):
        raise UserError(
            f"{run}: was trained on other pictures than {source} holds now (pixels or labels "
            "differ); pass DATA"
        )
    return dataset


def _source(name: str) -> Path | str:
    """Return the path of data, or the name of those that are built in."""
    return name if name in BUILT_IN and not Path(name).exists() else Path(name)


def _recorded(run: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what `summary.json` of a run says of its pictures, and of its options.

    Raises
    ------
    UserError
        If there is none, or it does not name them.
    """
    try:
        summary = records.read(run / files.SUMMARY, kind=results.SUMMARY)
        about, parameters = summary["data"], summary["parameters"]
        if not isinstance(about["file"], str) or not isinstance(parameters, dict):
            raise TypeError
    except (OSError, DamagedError, KeyError, TypeError):
        raise UserError(
            f"{run}: its {files.SUMMARY} does not say what it was trained on, or is missing; pass "
            "DATA"
        ) from None
    return about, parameters

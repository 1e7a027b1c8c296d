"""The pictures that a model is distilled on: by default those that it was trained on."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsup_fast.blocks import DataError
from unsup_fast.cli import files, results
from unsup_fast.cli.diffusion.distill_settings import DistillSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import data
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.options import BUILT_IN
from unsup_fast.cli.values import parse_sides
from unsup_fast.storage import records
from unsup_fast.storage.records import DamagedError

if TYPE_CHECKING:
    from unsup_fast.models.diffusion import Config


def inputs(settings: DistillSettings) -> list[files.Input]:
    """Return the files or folders that `read` reads."""
    if settings.data is not None or settings.built_in is not None:
        return files.inputs_of(DATA=settings.data)
    return files.inputs_of(DATA=_source(_recorded(settings.teacher)[0]["file"]))


def read(settings: DistillSettings, config: "Config", progress: Silent) -> Data:
    """Return pictures that fit the teacher, with its numbers of the classes.

    Parameters
    ----------
    settings : DistillSettings
        Without DATA, the pictures are those that the teacher's run names.
    config : Config
        Of the teacher.
    progress : Silent

    Raises
    ------
    DataError, UserError
        If there are none, or they are not those that the teacher was trained on and DATA is
        missing; or if they do not fit the teacher.
    """
    if settings.data is None and settings.built_in is None:
        dataset = _trained_on(settings.teacher, progress)
    else:
        dataset = data.read_for(settings, progress, config.shape)
    pictures = dataset.found
    if dataset.shape != config.shape:
        raise UserError(
            f"{pictures.name}: holds pictures of shape {dataset.shape}, and the model of "
            f"{settings.teacher} makes {config.shape}"
        )
    if not config.classes:
        return Data(replace(pictures, labels=None, classes=()))
    known = labels_for(dataset, config.classes)
    if known is None:
        raise UserError(
            f"{pictures.name}: its pictures have no classes, or others than the model of "
            f"{settings.teacher}, which knows {', '.join(config.classes)}; pass the pictures that "
            "it was trained on as DATA"
        )
    return Data(replace(pictures, labels=known, classes=config.classes))


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
            source, progress, **options, no_labels=bool(parameters.get("no_labels"))
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

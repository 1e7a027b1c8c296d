"""The pictures or latents that a model is distilled on: by default those that it was trained on."""

from dataclasses import replace
from typing import TYPE_CHECKING

from unsup_fast.cli import files
from unsup_fast.cli.diffusion.distill_settings import DistillSettings
from unsup_fast.cli.diffusion.latents import are_latents
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import trained_on
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data

if TYPE_CHECKING:
    from unsup_fast.models.diffusion import Config


def inputs(settings: DistillSettings) -> list[files.Input]:
    """Return the files or folders that `read` reads."""
    return trained_on.inputs(settings, settings.teacher)


def read(settings: DistillSettings, config: "Config", progress: Silent) -> Data:
    """Return pictures or latents that fit the teacher, with its numbers of the classes.

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
    dataset = trained_on.read(
        settings, settings.teacher, config.shape, progress, latents=are_latents(config)
    )
    pictures = dataset.content
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

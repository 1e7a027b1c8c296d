"""Trained models, read from the directories of their runs, and pictures for them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unsup_fast import _extras
from unsup_fast._types import Array
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data

if TYPE_CHECKING:
    import torch

    from unsup_fast.cli.vae.settings import ModelOnPictures
    from unsup_fast.models.vae import VAE


def check_torch() -> None:
    """Raise an ImportError with the install command if torch is missing."""
    _extras.check("torch", "torch", "a variational autoencoder")


def load(run: Path, device: "torch.device") -> "VAE":
    """Return the model of a run.

    Raises
    ------
    UserError
        If there is none, or its file is damaged or of another kind of model.
    """
    from unsup_fast.models import vae

    RunFolder(run).check_trained()
    try:
        return vae.load(run, device=device)
    except ValueError as error:
        raise UserError(str(error)) from error


def inputs(settings: "ModelOnPictures") -> list[files.Input]:
    """Return the files that a command reads, which its output must not replace."""
    return files.inputs_of(DATA=settings.data) + RunFolder(settings.run_path).inputs()


def classes_of(dataset: Data, model: "VAE") -> Array | None:
    """Return the classes that a model is conditioned on, [N]; None for a model without classes.

    Raises
    ------
    UserError
        If the model needs classes, and the pictures have none or others.
    """
    names = model.config.classes
    if not names:
        return None
    known = labels_for(dataset, names)
    if known is None:
        raise UserError(
            f"{dataset.content.name}: its pictures have no classes, or others than the model, "
            f"which is conditional on {', '.join(names)}; pass pictures of these classes (--labels "
            "names their array)"
        )
    return known


def some(n: int, most: int, seed: int) -> Array:
    """Return `most` of n numbers drawn at random, in order, or all of them if they are fewer."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def at(labels: Array | None, rows: Array | list[int]) -> Array | None:
    """Return the labels of some rows, or None without labels."""
    return None if labels is None else labels[rows]

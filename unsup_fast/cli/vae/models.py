"""Trained models, read from the directories of their runs, and pictures for them."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from unsup_fast import _extras
from unsup_fast._types import Array
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.kinds import AUTOENCODER, FAMILIES, class_of
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data

if TYPE_CHECKING:
    import torch

    from unsup_fast.cli.vae.settings import ModelOnPictures
    from unsup_fast.models.vae import VAE, AutoencoderKL


def check_torch() -> None:
    """Raise an ImportError with the install command if torch is missing."""
    _extras.check("torch", "torch", "a variational autoencoder")


def load(run: Path, device: "torch.device") -> "VAE":
    """Return the model of a run, with a prior and a likelihood.

    Raises
    ------
    UserError
        If there is none, or its file is damaged or of another kind of model.
    """
    if class_of(run) == AUTOENCODER:
        raise UserError(
            f"{run}: holds a KL autoencoder, which has neither prior nor likelihood; use "
            f"unsup-fast {FAMILIES[AUTOENCODER].uses} with it, or a run of --network mlp or conv"
        )
    from unsup_fast.models import vae

    RunFolder(run).check_trained()
    with named():
        return vae.load(run, device=device)


def load_autoencoder(run: Path, device: "torch.device") -> "AutoencoderKL":
    """Return the KL autoencoder of a run; errors as of `load`."""
    from unsup_fast.models import vae

    RunFolder(run).check_trained()
    with named():
        return vae.AutoencoderKL.load(run, device=device)


def start_source(run: Path) -> dict[str, str]:
    """Return the hash of the weights that training begins with, for `Plan.sources`."""
    return {"start": hashlib.sha256((run / files.MODEL).read_bytes()).hexdigest()}


def load_any(run: Path, device: "torch.device") -> "VAE | AutoencoderKL":
    """Return the model of a run of either kind; errors as of `load`."""
    if class_of(run) == AUTOENCODER:
        return load_autoencoder(run, device)
    return load(run, device)


def inputs(settings: "ModelOnPictures") -> list[files.Input]:
    """Return the files that a command reads, which its output must not replace."""
    return files.inputs_of(DATA=settings.data) + RunFolder(settings.run_path).inputs()


def classes_of(dataset: Data, model: "VAE | AutoencoderKL") -> Array | None:
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


def at(labels: Array | None, rows: Array | list[int]) -> Array | None:
    """Return the labels of some rows, or None without labels."""
    return None if labels is None else labels[rows]

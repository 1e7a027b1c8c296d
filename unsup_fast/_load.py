"""`unsup_fast.load`: a model of any class, from its file or its folder."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from unsup_fast.storage import estimators, tensors
from unsup_fast.storage.records import DamagedError

# The package of each class of estimators.
PACKAGES = {
    "KMeans": "cluster",
    "MiniBatchKMeans": "cluster",
    "PCA": "decomposition",
    "IncrementalPCA": "decomposition",
    "GaussianMixture": "mixture",
}
# The package and the class of generative models, by the kind of their files.
FAMILIES = {
    tensors.DIFFUSION: ("diffusion", "Diffusion"),
    tensors.VAE: ("vae", "VAE"),
    tensors.GAN: ("gan", "GAN"),
    tensors.AUTOENCODER: ("vae", "AutoencoderKL"),
}


def load(path: str | os.PathLike[str]) -> Any:
    """Read a fitted model; nothing in the file is executed.

    Parameters
    ----------
    path : path-like
        A file that an estimator's `save` wrote, the folder of a generative model, or the folder of
        a run of `unsup-fast`.

    Returns
    -------
    KMeans, MiniBatchKMeans, PCA, IncrementalPCA, GaussianMixture, Diffusion, VAE, GAN or
    AutoencoderKL

    Raises
    ------
    ValueError
        If the file is damaged, or holds no model of these classes.
    OSError
        If it cannot be opened.
    """
    path = Path(path)
    file = path / tensors.MODEL if path.is_dir() else path
    family = _family_of(file)
    if family is not None:
        package, name = family
        return getattr(import_module(f"unsup_fast.models.{package}"), name).load(file.parent)
    return class_of(file).load(file)


def class_of(file: Path) -> Any:
    """Return the class of the estimator in a file.

    Raises
    ------
    ValueError
        If the file is damaged, or holds something else.
    OSError
        If it cannot be opened.
    """
    name = estimators.class_of(file)
    if name not in PACKAGES:
        raise DamagedError(file, f"it holds a {name}; one of {', '.join(PACKAGES)} is needed")
    return getattr(import_module(f"unsup_fast.{PACKAGES[name]}"), name)


def _family_of(file: Path) -> tuple[str, str] | None:
    """Return package and class of the generative model in a file; None for something else."""
    for kind, family in FAMILIES.items():
        try:
            tensors.read_note(file, kind=kind)
        except DamagedError:
            continue
        return family
    return None

"""The kind of model in a file or a run, read from its header before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from unsup_fast._paths import check_not_special
from unsup_fast.cli.errors import UserError
from unsup_fast.storage import tensors
from unsup_fast.storage.records import DamagedError

AUTOENCODER = "AutoencoderKL"


@dataclass(frozen=True)
class Family:
    """A family of generative models, whose commands have a group of their own."""

    group: str
    """The group of its commands."""
    file_kind: str
    """What a file of such a model says that it holds."""
    noun: str
    """As in "a diffusion model"."""
    uses: str
    """The commands that take a run."""

    @property
    def command(self) -> str:
        """Return the command that trains."""
        return f"{self.group} train"


FAMILIES = {
    "Diffusion": Family(
        group="diffusion",
        file_kind=tensors.DIFFUSION,
        noun="a diffusion model",
        uses="diffusion sample or diffusion eval",
    ),
    "VAE": Family(
        group="vae",
        file_kind=tensors.VAE,
        noun="a variational autoencoder",
        uses="vae encode, vae sample or vae eval",
    ),
    "GAN": Family(
        group="gan",
        file_kind=tensors.GAN,
        noun="a GAN",
        uses="gan sample, gan interpolate or gan eval",
    ),
    AUTOENCODER: Family(
        group="vae",
        file_kind=tensors.AUTOENCODER,
        noun="a KL autoencoder",
        uses="vae encode or vae reconstruct",
    ),
}


@dataclass(frozen=True)
class Kind:
    """The commands that the models of a class support."""

    command: str
    """The command that fits them."""
    predicts: bool
    transforms: bool


KINDS = {
    "KMeans": Kind(command="kmeans", predicts=True, transforms=True),
    "MiniBatchKMeans": Kind(command="kmeans", predicts=True, transforms=True),
    "PCA": Kind(command="pca", predicts=False, transforms=True),
    "IncrementalPCA": Kind(command="pca", predicts=False, transforms=True),
    "GaussianMixture": Kind(command="gmm", predicts=True, transforms=False),
}


def class_of(path: Path) -> str | None:
    """Return the class of the model in a file or run; None if the file does not say so.

    Raises
    ------
    OSError
        If it is a pipe, a socket or a device.
    """
    file = path / tensors.MODEL if path.is_dir() else path
    check_not_special(file)
    names = {family.file_kind: name for name, family in FAMILIES.items()}
    for kind in (tensors.ESTIMATOR, *names):
        try:
            note = tensors.read_note(file, kind=kind)
        except (OSError, DamagedError):
            continue
        name = names.get(kind) or note.get("class")
        return name if isinstance(name, str) else None
    return None


def check_estimator(path: Path, command: str) -> None:
    """Refuse a model that lacks what `predict` or `transform` asks for.

    A missing or damaged file is left to the reader of models, which knows what is wrong with it.

    Raises
    ------
    UserError
        With the command that fits the model.
    """
    name = class_of(path)
    family = FAMILIES.get(name or "")
    if family is not None:
        raise UserError(f"{path}: holds {family.noun}; use unsup-fast {family.uses}")
    kind = KINDS.get(name or "")
    if kind is None or (kind.predicts if command == "predict" else kind.transforms):
        return
    instead = {
        "predict": "it has no labels to give; use unsup-fast transform",
        "transform": "it has no coordinates to give; use unsup-fast predict --proba",
    }
    raise UserError(f"{path}: holds a {name}, and {instead[command]}")


def check_run(path: Path, command: str) -> None:
    """Refuse a run that is not one of the family of a command, such as "diffusion sample".

    Raises
    ------
    UserError
        With the commands that fit the run.
    """
    needed = f"{command.split()[0]} train"
    if not path.is_dir():
        state = "is a file" if path.exists() else "no such directory"
        raise UserError(f"{path}: {state}; name the directory of a run of `{needed}`")
    name = class_of(path)
    family, kind = FAMILIES.get(name or ""), KINDS.get(name or "")
    if family is not None:
        trained, uses = family.command, family.uses
    elif kind is not None:
        trained = kind.command
        fits = {"predict": kind.predicts, "transform": kind.transforms}
        uses = " or ".join(use for use, fit in fits.items() if fit)
    else:
        return
    if trained != needed:
        raise UserError(
            f"{path}: is a run of `unsup-fast {trained}` (it holds a {name}), and {command} needs "
            f"one of `{needed}`; use unsup-fast {uses} with it"
        )

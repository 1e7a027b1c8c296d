"""The kind of model in a file or a run, read from its header before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from unsup_fast._paths import check_not_special
from unsup_fast.cli.errors import UserError
from unsup_fast.storage import tensors
from unsup_fast.storage.records import DamagedError

DIFFUSION = "Diffusion"


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
    DIFFUSION: Kind(command="diffusion train", predicts=False, transforms=False),
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
    for kind in (tensors.ESTIMATOR, tensors.DIFFUSION):
        try:
            note = tensors.read_note(file, kind=kind)
        except (OSError, DamagedError):
            continue
        name = DIFFUSION if kind == tensors.DIFFUSION else note.get("class")
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
    kind = KINDS.get(name or "")
    if kind is None or (kind.predicts if command == "predict" else kind.transforms):
        return
    if name == DIFFUSION:
        raise UserError(
            f"{path}: holds a diffusion model; use unsup-fast diffusion sample or diffusion eval"
        )
    instead = {
        "predict": "it has no labels to give; use unsup-fast transform",
        "transform": "it has no coordinates to give; use unsup-fast predict --proba",
    }
    raise UserError(f"{path}: holds a {name}, and {instead[command]}")


def check_run(path: Path, command: str) -> None:
    """Refuse a run that is not one of `diffusion train`.

    Raises
    ------
    UserError
        With the commands that fit the run.
    """
    if not path.is_dir():
        state = "is a file" if path.exists() else "no such directory"
        raise UserError(f"{path}: {state}; name the directory of a run of `diffusion train`")
    name = class_of(path)
    kind = KINDS.get(name or "")
    if kind is None or name == DIFFUSION:
        return
    uses = [
        use for use, fits in (("predict", kind.predicts), ("transform", kind.transforms)) if fits
    ]
    raise UserError(
        f"{path}: is a run of `unsup-fast {kind.command}` (it holds a {name}), and {command} needs "
        f"one of `diffusion train`; use unsup-fast {' or '.join(uses)} with it"
    )

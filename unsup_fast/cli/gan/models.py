"""Trained GANs, read from the directories of their runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from unsup_fast import _extras
from unsup_fast.cli import files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.training.classes import labels_of

if TYPE_CHECKING:
    import torch

    from unsup_fast.models.gan import GAN
    from unsup_fast.models.networks.stylegan import StyleGenerator


def check_torch() -> None:
    """Raise an ImportError with the install command if torch is missing."""
    _extras.check("torch", "torch", "a GAN")


def load(run: Path, device: "torch.device", *, best: bool = False) -> "GAN":
    """Return the model of a run, with the last weights or the best ones.

    A note tells of a generator that has not grown to the end.

    Raises
    ------
    UserError
        If there is none, or its file is damaged or of another kind of model.
    """
    from unsup_fast.models import gan
    from unsup_fast.models.training.scores import load_best

    RunFolder(run).check_trained()
    with named():
        model = gan.load(run, device=device)
        if best:
            if not (run / files.BEST).is_file():
                raise UserError(
                    f"--best: {run} holds no {files.BEST}, which training with --features writes; "
                    "leave --best out"
                )
            load_best(run, {"generator": model.network})
    if model.grown:
        terminal.note(f"{run}: samples are {model.grown}, and enlarged")
    return model


def styled(model: "GAN") -> "StyleGenerator":
    """Return the part of a generator that has styles.

    Raises
    ------
    UserError
        If it has none.
    """
    from unsup_fast.models.gan.styled import body_of

    body = body_of(model.network)
    if body is None:
        raise UserError(
            f"RUN: its generator ({model.config.network}) has no styles; train one with --family "
            "stylegan2 or stylegan"
        )
    return body


def truncation_of(model: "GAN", value: float | None) -> tuple[float | None, float | None]:
    """Return the limit of latents, or psi of a generator with styles, that --truncation says.

    Raises
    ------
    UserError
        If it is 0 and the generator has no styles.
    """
    from unsup_fast.models.gan.styled import body_of

    if body_of(model.network) is not None:
        return None, value
    if value == 0:
        raise UserError(
            "--truncation 0: is for generators with styles; pass a limit of latents above 0"
        )
    return value, None


def label_of(model: "GAN", name: str | None) -> int | None:
    """Return the number of the class that an option names.

    Raises
    ------
    UserError
        If it names none of the model's, or is missing where the model has classes.
    """
    names = model.config.classes
    if name is None and not names:
        return None
    if name is None:
        raise UserError("--label: the model has classes; name one, by name or number")
    labels = labels_of((name,), names)
    if len(labels) != 1:
        raise UserError(f"--label {name}: a sheet is of one class; name one, by name or number")
    return labels[0]

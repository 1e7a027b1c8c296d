"""Trained GANs, read from the directories of their runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from unsup_fast import _extras
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named

if TYPE_CHECKING:
    import torch

    from unsup_fast.models.gan import GAN


def check_torch() -> None:
    """Raise an ImportError with the install command if torch is missing."""
    _extras.check("torch", "torch", "a GAN")


def load(run: Path, device: "torch.device", *, best: bool = False) -> "GAN":
    """Return the model of a run, with the last weights or the best ones.

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
    return model

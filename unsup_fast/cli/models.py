"""Models of any class, read from their files."""

from pathlib import Path
from typing import Any

from unsup_fast._load import class_of
from unsup_fast._urls import File
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError


def inputs(model: Path, data: File) -> list[files.Input]:
    """Return what a command reads of a model and of data."""
    return files.inputs_of(MODEL=model / files.MODEL if model.is_dir() else model, DATA=data)


def load(path: Path) -> Any:
    """Return the model in a file or in the directory of a run.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        If there is no such file, or it is damaged or no model.
    """
    if path.is_dir():
        path = path / files.MODEL
    try:
        model = class_of(path).load(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such model file") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    return model.set_params(device=None)  # rows of a file are on the host

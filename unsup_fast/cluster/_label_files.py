"""Labels in files: one for each part of the rows, named by its first row."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unsup_fast._urls import file_of
from unsup_fast.kernels._types import Array
from unsup_fast.storage import targets


def write(folder: str, parts: Iterable[tuple[int, Array]]) -> list[str]:
    """Write the labels of parts, each whole or not at all, and return the names of the files.

    Parameters
    ----------
    folder : str
        A folder, which is made if it is missing, or a URL where fsspec is installed.
    parts : iterable of (int, ndarray of shape (M,))
        Number of the first row of a part, and its labels.
    """
    names = []
    target = file_of(folder)
    if isinstance(target, Path):
        target.mkdir(parents=True, exist_ok=True)
    for first, labels in parts:
        content = io.BytesIO()
        np.save(content, labels)
        names.append(f"labels-{first:013d}.npy")
        file = file_of(f"{folder.rstrip('/')}/{names[-1]}")
        targets.write_bytes(file, content.getvalue(), "the labels")
    return names

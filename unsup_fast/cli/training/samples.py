"""Pictures that a trained model makes: room for them in memory, and their files."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.torch_ import free_memory
from unsup_fast.cli.training.classes import columns, spread
from unsup_fast.report.numbers import size

SUFFIXES = (".png", ".npz")
GRID, ROW = 64, 8
MOST_ROWS = 10
PIXEL_BYTES = 9  # of a pixel of all pictures at once: two floats and a byte


def grid(model: Any, seed: int, **options: Any) -> tuple[Any, int]:
    """Return samples, those of a class in a row, and the columns of their grid.

    Parameters
    ----------
    model : GenerativeModel
        With a method `sample`, which takes the options.
    seed : int
    **options
    """
    rows = min(len(model.config.classes), MOST_ROWS)
    n = ROW * rows or GRID
    return model.sample(n, label=spread(range(rows), n), seed=seed, **options), ROW


def check_memory(n: int, shape: Sequence[int], option: str) -> None:
    """Refuse more pictures than memory holds.

    Raises
    ------
    UserError
        With the option to change.
    """
    needed, free = n * math.prod(shape) * PIXEL_BYTES, free_memory()
    if needed > free:
        raise UserError(
            f"{option} {n}: so many pictures need {size(needed)} of memory, {size(free)} are free; "
            f"pass a smaller {option}"
        )


def write(
    path: Path, samples: Array, labels: list[int] | None, classes: tuple[str, ...], n_labels: int
) -> None:
    """Write pictures [n, C, H, W] as one PNG, or as an .npz of samples [n, H, W, C].

    Floats are latents, which an .npz holds as `vae encode` writes them.
    """
    if path.suffix == ".png":
        pictures.save_grid(path, samples, columns=columns(n_labels, len(samples)))
        return
    is_pictures = samples.dtype == np.uint8
    arrays = {"samples": np.moveaxis(samples, 1, -1)} if is_pictures else {"latents": samples}
    if labels is not None:
        arrays |= {"labels": np.array(labels), "classes": np.array(classes)}
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as a compressed .npz, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **dict(arrays))  # type: ignore[arg-type]
    with files.replacing(path) as file:
        file.write(content.getvalue())

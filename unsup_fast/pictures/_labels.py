"""Labels as positions in the names of their classes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.blocks import DataError

Labels = npt.NDArray[np.int64]
Classes = tuple[str, ...]

# Names that labels go by, in the order in which they are looked for.
NAMES = (
    "labels", "label", "y", "classes", "class", "categories", "category", "targets", "target",
)  # fmt: skip


def beside(key: str) -> list[str]:
    """Return names that the labels of an array called `key` may have, the best first."""
    own = []
    if key[:1] in ("x", "X"):
        own = [f"y{key[1:]}", f"Y{key[1:]}"]
    for word in ("images", "image", "data", "pixels"):
        if word in key:
            own += [key.replace(word, name) for name in NAMES]
    return [*own, *NAMES]


def coded(name: str, values: Any) -> tuple[Labels, Classes]:
    """Return labels [N] as positions in their classes, which are sorted.

    Parameters
    ----------
    name : str
        What errors call them.
    values : ndarray of shape (N,)
        Text, integers, or floats that are integers.

    Raises
    ------
    DataError
        If they are something else.
    """
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = values.astype(np.int64)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind not in "iubU":
        raise DataError(f"{name}: holds {values.dtype}; labels are integers or text")
    classes, labels = np.unique(values, return_inverse=True)
    return labels.astype(np.int64), tuple(str(one) for one in classes.tolist())

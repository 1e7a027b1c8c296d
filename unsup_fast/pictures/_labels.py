"""Labels as indices into the names of their classes."""

import numpy as np
import numpy.typing as npt

from unsup_fast._text import natural
from unsup_fast._types import Array
from unsup_fast.blocks import DataError

Labels = npt.NDArray[np.int64]
Classes = tuple[str, ...]

# Names of arrays and columns of labels, in the order in which they are tried.
NAMES = (
    "labels", "label", "y", "classes", "class", "categories", "category", "targets", "target",
)  # fmt: skip


def label_names(key: str) -> list[str]:
    """Return the names that labels of an array called `key` may have, the best first."""
    own = []
    if key[:1] in ("x", "X"):
        own = [f"y{key[1:]}", f"Y{key[1:]}"]
    for word in ("images", "image", "data", "pixels"):
        if word in key:
            own += [key.replace(word, name) for name in NAMES]
    return list(dict.fromkeys([*own, *NAMES]))


def coded(name: str, values: Array) -> tuple[Labels, Classes]:
    """Return labels [N] as indices into their classes, which are in natural order.

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
    if not are_labels(values):
        raise DataError(f"{name}: holds {values.dtype}; labels are integers or text")
    if values.dtype.kind == "f":
        values = values.astype(np.int64)
    elif values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    unique, labels = np.unique(values, return_inverse=True)
    names = [str(one) for one in unique.tolist()]
    order = sorted(range(len(names)), key=lambda i: natural(names[i]))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return rank[labels], tuple(names[i] for i in order)


def are_labels(values: Array) -> bool:
    """Return whether an array holds text, integers, or floats that are integers."""
    if values.dtype.kind == "f":
        return bool(
            np.isfinite(values).all() and (np.abs(values) < 2**53).all() and (values % 1 == 0).all()
        )
    return values.dtype.kind in "iubSU"


def no_labels(what: str) -> str:
    """Return the note on an array or column named like labels that holds no labels."""
    return f"{what} was not taken for labels: it has not one integer or text for each picture."

"""Data files as rows: `.npy`, `.npz`, `.csv` and `.parquet` into one matrix of numbers.

Everything an estimator would later choke on is found here, while the file, row and column can
still be named. Rows and columns are counted from 0, as in the labels that are written.
"""

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.kernels.moments import moments

__all__ = ["DataError", "Rows", "read", "read_vector"]

Array = npt.NDArray[Any]

KINDS = (".npy", ".npz", ".csv", ".parquet")

# Beyond this magnitude float32 no longer holds every integer.
EXACT_IN_FLOAT32 = 1 << 24


class DataError(ValueError):
    """A data file cannot be used; the message names file, row and column."""


@dataclass(frozen=True)
class Rows:
    """The rows of a data file.

    Attributes
    ----------
    array : ndarray of shape (N, D), float32 or float64
        C-contiguous and finite; a read-only memory map where the file allows it.
    kind : {"npy", "npz", "csv", "parquet"}
        What the file was.
    names : tuple of str or None
        Names of the columns that were read, where the file has them: D of them, or the one
        whose lists became all D columns.
    source_dtype : str
        Type of the numbers in the file.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) if the file held images.
    mean, variance : ndarray of shape (D,), float64
        Moments of the columns; the variance divides by N.
    notes : tuple of str
        What was done to the data, in sentences for the user.
    """

    array: Array
    kind: str
    names: tuple[str, ...] | None
    source_dtype: str
    image_shape: tuple[int, ...] | None
    mean: Array
    variance: Array
    notes: tuple[str, ...]


def read(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    key: str | None = None,
    exclude: Sequence[str] = (),
) -> Rows:
    """Read a data file into a matrix.

    float32 and float64 are kept. float16, booleans and integers become float32, or float64 if
    an integer lies beyond 2^24 in magnitude. A CSV's numbers are float64. Images (three or four
    dimensions) are flattened to one row each.

    Parameters
    ----------
    path : str or Path
        A `.npy`, `.npz`, `.csv` or `.parquet` file.
    columns : sequence of str, optional
        Columns of a table to use, in this order; one list column stands for all its values.
        None takes all numeric columns, or the only list column.
    key : str, optional
        Which array of an `.npz` to take; needed if several have two dimensions or more.
    exclude : sequence of str
        Columns of a table not to take when `columns` is None.

    Returns
    -------
    Rows

    Raises
    ------
    DataError
        If the file is missing, unreadable, empty or of another kind, or holds anything but
        finite numbers.
    ImportError
        If a table is read without pyarrow.
    """
    path = Path(path)
    kind = kind_of(path)
    if columns is not None and kind in ("npy", "npz"):
        raise DataError(f"{path}: columns are for .csv and .parquet; an .{kind} has no names")
    if key is not None and kind != "npz":
        raise DataError(f"{path}: a key is for .npz; this is a .{kind} file")
    names: tuple[str, ...] | None = None
    notes: list[str] = []
    if kind in ("csv", "parquet"):
        from unsup_fast import _tables

        table = _tables.csv if kind == "csv" else _tables.parquet
        array, names = table(path, columns, tuple(exclude), notes)
    elif kind == "npz":
        array = _npz(path, key, notes)
    else:
        array = _npy(path)
    return _rows(path, kind, array, names, notes)


def kind_of(path: Path) -> str:
    """Return the kind of a data file by its name, or say why it cannot be one."""
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name one of the files in it")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() not in KINDS:
        raise DataError(f"{path}: is not a {', '.join(KINDS[:-1])} or {KINDS[-1]} file")
    return path.suffix.lower()[1:]


def read_vector(path: str | Path, n_rows: int) -> Array:
    """Read one non-negative number a row from an `.npy` file, as weights need.

    Raises
    ------
    DataError
        If it is not such a vector of length `n_rows`, or all its numbers are zero.
    """
    path = Path(path)
    if kind_of(path) != "npy":
        raise DataError(f"{path}: weights must be an .npy file or the name of a column")
    vector = _npy(path)
    if vector.shape not in ((n_rows,), (n_rows, 1)):
        raise DataError(f"{path}: has shape {vector.shape}; {n_rows} weights are needed")
    return weights_from(path, vector.ravel())


def weights_from(path: Path, vector: Array) -> Array:
    """Return `vector` as weights, or say which of them cannot be one."""
    if vector.dtype.kind not in "fiub":
        raise DataError(f"{path}: holds {vector.dtype}; weights are numbers")
    weights = np.ascontiguousarray(vector, dtype=np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}: the weight of row {row} is {weights[row]}; it must be >= 0")
    if not weights.any():
        raise DataError(f"{path}: all weights are zero; at least one must be above")
    return weights


def _npy(path: Path) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise DataError(_why_not_npy(path, error)) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: is an .npz archive; rename it to end in .npz")
    return array


def _why_not_npy(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        return f"{path}: is empty (0 bytes)"
    if start != b"\x93NUMPY":
        return f"{path}: is not an .npy file (it does not begin like one)"
    reason = str(error)
    if "object" in reason.lower():
        return f"{path}: holds Python objects, which are never unpickled; save an array of numbers"
    if "mmap length" in reason or "EOF" in reason:
        return f"{path}: is truncated (fewer bytes than its header promises)"
    return f"{path}: cannot be read as .npy ({_one_line(reason)})"


def _npz(path: Path, key: str | None, notes: list[str]) -> Array:
    try:
        with zipfile.ZipFile(path) as archive:
            name = _npz_key(path, archive, key, notes)
            with archive.open(f"{name}.npy") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "object" in str(error).lower():
            raise DataError(
                f"{path}: array {name!r} holds Python objects, which are never unpickled"
            ) from error
        raise DataError(f"{path}: is not an .npz archive, or is truncated") from error
    return array


def _npz_key(path: Path, archive: zipfile.ZipFile, key: str | None, notes: list[str]) -> str:
    """Choose the array to take by the headers alone; nothing large is unpacked."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in archive.namelist():
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shapes[name.removesuffix(".npy")] = header(file)[0]
    listed = ", ".join(f"{name} {_shape(shape)}" for name, shape in shapes.items()) or "no arrays"
    if key is not None:
        if key not in shapes:
            raise DataError(f"{path}: has no array {key!r}; it holds {listed}")
        return key
    candidates = [name for name, shape in shapes.items() if len(shape) >= 2]
    if len(candidates) != 1 and len(shapes) != 1:
        raise DataError(f"{path}: holds {listed}; choose one with --key")
    name = candidates[0] if candidates else next(iter(shapes))
    if len(shapes) > 1:
        notes.append(f"Took the array {name!r}, the only one with rows and columns.")
    return name


def _rows(
    path: Path, kind: str, array: Array, names: tuple[str, ...] | None, notes: list[str]
) -> Rows:
    """Make the matrix that the estimators take, and check every value of it."""
    if array.dtype.kind not in "fiub" or array.dtype == np.longdouble:
        raise DataError(f"{path}: holds {array.dtype}; float, integer or bool is needed")
    if array.ndim not in (2, 3, 4):
        raise DataError(f"{path}: has shape {_shape(array.shape)}; rows x columns are needed")
    if math.prod(array.shape) == 0:
        raise DataError(f"{path}: has no values (shape {_shape(array.shape)})")
    source_dtype, image_shape = str(array.dtype), None
    if array.ndim > 2:
        if array.ndim == 3 or array.shape[3] in (1, 3, 4):
            image_shape = array.shape[1:]
        notes.append(f"Each {_shape(array.shape[1:])} image is a row of {array[0].size:,} columns.")
        array = array.reshape(len(array), -1)  # [N, H * W * C]
    wanted = array.dtype.newbyteorder("=")
    if wanted not in (np.float32, np.float64):
        wanted = _float_for(array)
        notes.append(f"Values are {source_dtype} in the file and were converted to {wanted}.")
    array = np.ascontiguousarray(array, dtype=wanted)
    found = moments(array)
    if found.bad is not None:
        row, column = found.bad
        if names is None:
            where = f"column {column}"
        elif len(names) == array.shape[1]:
            where = f"column {names[column]!r}"
        else:
            where = f"column {names[0]!r}, value {column}"
        raise DataError(
            f"{path}: row {row}, {where} is {array[row, column]}; values must be finite"
        )
    return Rows(
        array, kind, names, source_dtype, image_shape, found.mean, found.variance, tuple(notes)
    )


def _float_for(array: Array) -> np.dtype[Any]:
    """Return float32 unless the array holds integers that it would round."""
    wide = array.dtype.kind in "iu" and array.dtype.itemsize > 2
    if wide and (array.max() > EXACT_IN_FLOAT32 or array.min() < -EXACT_IN_FLOAT32):
        return np.dtype(np.float64)
    return np.dtype(np.float32)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) if shape else "of a single value"


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""The one writer and reader of safetensors files: arrays by name, a note, and checksums.

The header's first two entries are the SHA-256 of the length and header with 64 zeros for
that digest, and the SHA-256 of all bytes after the header. So every bit of a file is covered, the
note can be read and verified without the data, and other readers of safetensors are not disturbed.
The library's own writer holds all tensors in memory at once, creates files that only their owner
may read, and does not report a full disk as an OSError.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from unsup_fast._paths import check_not_special
from unsup_fast._types import Array, is_tensor
from unsup_fast.storage import atomic, records
from unsup_fast.storage.records import ZEROS, DamagedError

if TYPE_CHECKING:
    from torch import Tensor

SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of an element of each type that a file may hold."""
# The file of a model in its folder, and the kinds of models that it may hold.
MODEL = "model.safetensors"
ESTIMATOR, DIFFUSION, VAE = "estimator", "diffusion model", "variational autoencoder"
GAN = "generative adversarial network"
AUTOENCODER, DIFFUSERS = "KL autoencoder", "weights for diffusers"
CHUNK = 1 << 24  # bytes that are written and hashed at a time
MOST_DIMENSIONS = 32
_START = b'{"__metadata__": {"sha256": "'
_MIDDLE = b'", "data_sha256": "'
_HEADER_DIGEST = len(_START)
_DATA_DIGEST = _HEADER_DIGEST + 64 + len(_MIDDLE)
_NAMES = {"float": "F", "int": "I", "uint": "U", "bfloat": "BF", "bool": "BOOL"}


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Any],
    note: Mapping[str, Any],
    *,
    kind: str,
    what: str,
) -> None:
    """Write arrays or tensors one after the other, and a note; as a whole or not at all.

    Parameters
    ----------
    path : path-like
        An existing file is replaced once the new one is safely on disk.
    tensors : mapping of str to ndarray or tensor
        On any device, with any strides.
    note : mapping
        What JSON can hold.
    kind : str
        What the file holds; `read` asks for the same.
    what : str
        The same for error messages, such as "the checkpoint".

    Raises
    ------
    OSError
        If the file cannot be written; the one before it stays.
    TypeError
        If the format has no such type.
    ValueError
        If the note holds a number that is not finite.
    """
    # Wide types first, so that each tensor begins at a multiple of its element's size.
    types = {name: _type_of(name, value, what) for name, value in tensors.items()}
    names = sorted(tensors, key=lambda name: (-SIZES[types[name]], name))
    text = records.dumps(records.stamped(kind, note), what)
    head: dict[str, Any] = {
        "__metadata__": {"sha256": ZEROS, "data_sha256": ZEROS, "unsup_fast": text}
    }
    end = 0
    for name in names:
        shape = [int(side) for side in tensors[name].shape]
        begin, end = end, end + math.prod(shape) * SIZES[types[name]]
        head[name] = {"dtype": types[name], "shape": shape, "data_offsets": [begin, end]}
    header = bytearray(records.dumps(head, what).encode())
    header += b" " * (-len(header) % 8)
    length = len(header).to_bytes(8, "little")
    with atomic.replacing(path, what) as file:
        file.write(length + header)
        data = hashlib.sha256()
        for name in names:
            content = _bytes_of(tensors[name]).data
            for start in range(0, len(content), CHUNK):
                part = content[start : start + CHUNK]
                file.write(part)
                data.update(part)
        header[_DATA_DIGEST : _DATA_DIGEST + 64] = data.hexdigest().encode()
        digest = hashlib.sha256(length + header).hexdigest().encode()
        header[_HEADER_DIGEST : _HEADER_DIGEST + 64] = digest
        file.seek(8)
        file.write(header)


def read(
    path: str | os.PathLike[str], *, kind: str, torch: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors, on the host, and the note in a file of `write`.

    Nothing is executed, and no more memory is taken than the file is long.

    Parameters
    ----------
    path : path-like
    kind : str
        As for `write`.
    torch : bool
        Whether to return torch tensors rather than arrays.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedError
        If it was changed in any bit, or is of another kind.
    """
    check_not_special(path)
    with open(path, "rb") as file:
        header, note = _header(path, file, kind)
        data = hashlib.sha256()
        tensors = _data(path, header, file, data.update)
    if data.hexdigest() != header["__metadata__"]["data_sha256"]:
        raise DamagedError(path, "its checksum does not match its content; it is damaged")
    return _views(path, tensors, torch), note


def read_foreign(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the torch tensors, on the host, in a safetensors file of any writer.

    Nothing is executed, and no more memory is taken than the file is long. The format has no
    checksum: damage in the numbers is not noticed.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedError
        If it is no complete file of this format.
    """
    check_not_special(path)
    with open(path, "rb") as file:
        try:
            header = records.loads(bytes(_text(path, file)[1]))
            if not isinstance(header, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            if isinstance(error, DamagedError):
                raise
            raise DamagedError(path, f"its header is not valid ({error})") from None
        return _views(path, _data(path, header, file, lambda _: None), torch=True)


def read_note(path: str | os.PathLike[str], *, kind: str) -> dict[str, Any]:
    """Return the note of a file, verified, without reading the tensors; see `read`."""
    check_not_special(path)
    with open(path, "rb") as file:
        header, note = _header(path, file, kind)
        _layout(path, header, os.fstat(file.fileno()).st_size - file.tell())
    return note


def _header(
    path: str | os.PathLike[str], file: BinaryIO, kind: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the note, verified; the file is then at the data."""
    length, text = _text(path, file)
    if not text.startswith(_START) or text[_HEADER_DIGEST + 64 : _DATA_DIGEST] != _MIDDLE:
        why = "it is a .safetensors file, but not one that unsup_fast saved, or it is damaged"
        raise DamagedError(path, why if text[:1] == b"{" else "it is no complete .safetensors file")
    digest = bytes(text[_HEADER_DIGEST : _HEADER_DIGEST + 64])
    text[_HEADER_DIGEST : _HEADER_DIGEST + 64] = ZEROS.encode()
    if hashlib.sha256(length + text).hexdigest().encode() != digest:
        raise DamagedError(path, "its checksum does not match its header; it is damaged")
    try:
        header = records.loads(bytes(text))
        record = records.loads(header["__metadata__"]["unsup_fast"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(path, f"its header is not valid ({error})") from None
    return header, records.unstamped(path, kind, record)


def _text(path: str | os.PathLike[str], file: BinaryIO) -> tuple[bytes, bytearray]:
    """Return the length and the text of the header; the file is then at the data."""
    length = file.read(8)
    size = int.from_bytes(length, "little")
    whole = os.fstat(file.fileno()).st_size
    if len(length) < 8 or not 2 <= size <= min(records.LARGEST, whole - 8):
        raise DamagedError(path, "it is no complete .safetensors file")
    return length, bytearray(file.read(size))


def _data(
    path: str | os.PathLike[str],
    header: dict[str, Any],
    file: BufferedReader,
    update: Callable[[memoryview], object],
) -> dict[str, tuple[Array, str, tuple[int, ...]]]:
    """Return bytes, type and shape of each tensor; `update` takes all bytes in their order."""
    layout = _layout(path, header, os.fstat(file.fileno()).st_size - file.tell())
    tensors: dict[str, tuple[Array, str, tuple[int, ...]]] = {}
    for name, (dtype, shape, size) in layout.items():
        content = np.empty(size, np.uint8)
        view = content.data
        for start in range(0, size, CHUNK):
            part = view[start : start + CHUNK]
            if file.readinto(part) != len(part):
                raise DamagedError(path, "it ended while it was read")
            update(part)
        tensors[name] = (content, dtype, shape)
    return tensors


def _views(
    path: str | os.PathLike[str],
    tensors: dict[str, tuple[Array, str, tuple[int, ...]]],
    torch: bool,
) -> dict[str, Any]:
    """Return arrays or tensors of the bytes of `_data`."""
    view_of = _tensor if torch else _array
    try:
        return {name: view_of(*parts) for name, parts in tensors.items()}
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DamagedError(path, f"a tensor in it cannot be read ({error})") from None


def _layout(
    path: str | os.PathLike[str], header: dict[str, Any], size: int
) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Return type, shape and bytes of each tensor in the order of the data, which they fill."""
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    layout: dict[str, tuple[str, tuple[int, ...], int]] = {}
    end = 0
    try:
        for name in sorted(entries, key=lambda name: tuple(entries[name]["data_offsets"])):
            dtype, shape = entries[name]["dtype"], entries[name]["shape"]
            begin, stop = entries[name]["data_offsets"]
            whole = all(type(number) is int and number >= 0 for number in (*shape, begin, stop))
            if not whole or len(shape) > MOST_DIMENSIONS or begin != end:
                raise ValueError(f"tensor {records.shown(name)}")
            if stop - begin != math.prod(shape) * SIZES[dtype]:
                raise ValueError(f"tensor {records.shown(name)}")
            layout[name] = (dtype, tuple(shape), stop - begin)
            end = stop
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, f"its header is not valid ({error})") from None
    if end != size:
        raise DamagedError(
            path,
            f"it is no complete .safetensors file: it has {size} bytes of tensors, and its header "
            f"names {records.shown(end)}",
        )
    return layout


def _type_of(name: str, value: "Array | Tensor", what: str) -> str:
    """Return the format's name of the type of an array or tensor."""
    known = getattr(value.dtype, "name", None) or str(value.dtype).removeprefix("torch.")
    letters = known.rstrip("0123456789")
    type_name = _NAMES.get(letters, "") + known[len(letters) :]
    if type_name not in SIZES:
        raise TypeError(f"{name} is of {value.dtype}, which {what} cannot hold")
    if len(value.shape) > MOST_DIMENSIONS:
        raise TypeError(f"{name} has {len(value.shape)} dimensions; at most {MOST_DIMENSIONS}")
    return type_name


def _bytes_of(value: "Array | Tensor") -> Array:
    """Return the bytes of an array or tensor in row-major order, on the host, [bytes]."""
    if is_tensor(value):
        import torch

        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return np.asarray(flat.numpy())
    array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8)


def _array(content: Array, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "BF16":
        raise TypeError("NumPy has no bfloat16")
    kinds = {short: long for long, short in _NAMES.items()}
    letters = dtype.rstrip("0123456789")
    return content.view(kinds[letters] + dtype[len(letters) :]).reshape(shape)


def _tensor(content: Array, dtype: str, shape: tuple[int, ...]) -> "Tensor":
    import torch

    kinds = {short: long for long, short in _NAMES.items()}
    letters = dtype.rstrip("0123456789")
    kind = getattr(torch, kinds[letters] + dtype[len(letters) :])
    if not content.size:
        return torch.empty(shape, dtype=kind)
    return torch.from_numpy(content).view(kind).reshape(shape)

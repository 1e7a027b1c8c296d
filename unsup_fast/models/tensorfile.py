"""Tensors by name in one safetensors file, replaced as a whole or not at all.

safetensors reads it. Its own writer holds all tensors in the host's memory, makes files that their
owner alone may read, and says of a full disk neither that nor that it is an OSError.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch

from unsup_fast import _replacing
from unsup_fast._extras import require

TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
UNKNOWN = "0" * 64  # stands for the digest until all is written
CHUNK = 1 << 22  # bytes


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], note: Mapping[str, Any], what: str
) -> None:
    """Write tensors, one after the other, and a note.

    Parameters
    ----------
    path : path
    tensors : mapping of str to tensor
        On any device, of any strides.
    note : mapping
        What JSON can say.
    what : str
        What the file is, for messages, such as "the checkpoint".

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the file before it stays.
    TypeError
        If safetensors has no such type.
    """
    # Wide types first, so that each tensor begins at a multiple of its item's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    head: dict[str, Any] = {"__metadata__": {"sha256": UNKNOWN, "unsup_fast": json.dumps(note)}}
    end = 0
    for name in names:
        value = tensors[name]
        if value.dtype not in TYPES:
            raise TypeError(f"{name} is of {value.dtype}, which {what} cannot hold")
        begin, end = end, end + value.numel() * value.element_size()
        head[name] = {
            "dtype": TYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)

    def put(file: BinaryIO) -> None:
        digest = hashlib.sha256(text)
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            content = memoryview(_flat(tensors[name]).numpy())
            digest.update(content)
            file.write(content)
        file.seek(8 + text.index(UNKNOWN.encode()))
        file.write(digest.hexdigest().encode())

    _replacing.replace_by(path, put, what)


def read(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors, on the host, and the note of a file of `write`.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is damaged, or not of `write`.
    """
    safetensors = require("safetensors", "torch", f"reading {what}")
    with open(path, "rb"):  # what cannot be read is the system's error, with its name
        pass
    try:
        with safetensors.safe_open(path, "pt") as file:
            kept = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        note = json.loads(kept["unsup_fast"])
        whole = _digest(path, kept["sha256"]) == kept["sha256"]
    except (safetensors.SafetensorError, KeyError, ValueError):
        whole = False
    if not whole or not isinstance(note, dict):
        raise ValueError(
            f"{os.fspath(path)!r} is not {what} of unsup-fast, or is damaged; remove it, or put a "
            "whole one in its place"
        )
    return tensors, note


def _flat(tensor: Any) -> Any:
    """Return a tensor's bytes in row-major order, on the host, [bytes]."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def _digest(path: str | os.PathLike[str], said: str) -> str:
    with open(path, "rb") as file:
        text = file.read(int.from_bytes(file.read(8), "little"))
        digest = hashlib.sha256(text.replace(said.encode(), UNKNOWN.encode(), 1))
        while content := file.read(CHUNK):
            digest.update(content)
    return digest.hexdigest()

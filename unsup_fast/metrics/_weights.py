"""The weights file that FID is defined by: search, download, hash check and reading."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import torch
from torch import Tensor

from unsup_fast._paths import check_not_special
from unsup_fast.storage import atomic

FILE = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # how it begins
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
VARIABLE = "UNSUP_FAST_INCEPTION"
NAMES = (FILE, "weights-inception-2015-12-05-6726825d.pth")  # the same bytes by torch-fidelity
STEP = 1 << 20  # bytes that are received at once


class Source(NamedTuple):
    """What a file of weights must be."""

    file: str
    """Name of the file"""
    sha256: str | None
    """How its hash begins; None takes any file"""
    remedy: str
    """What to do about another file"""


INCEPTION = Source(
    file=FILE,
    sha256=SHA256,
    remedy=f"get {FILE} anew, or pass sha256=None (--features FILE.pth) for weights of your own",
)

Progress = Callable[[int, int | None], None]


def find(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the path of the file: `path`, the environment variable's, or one in torch's cache.

    Raises
    ------
    FileNotFoundError
        If `path` or the variable names a file that does not exist.
    """
    for value, origin in ((path, "weights"), (os.environ.get(VARIABLE), VARIABLE)):
        if value:
            file = Path(value).expanduser()
            check_not_special(file)
            if not file.is_file():
                raise FileNotFoundError(f"{origin}={value}: no such file; {advice()}")
            return file
    return next((file for name in NAMES if (file := cache() / name).is_file()), None)


def cache() -> Path:
    """Return the directory in which torch and the other tools store the file."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def advice() -> str:
    """Return the advice for a missing file."""
    return (
        f"get {URL} (91 MB) and put it into {cache()}, or name it by {VARIABLE} or weights "
        "(--weights), or pass download=True (--download)"
    )


def obtain(
    path: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    sha256: str | None = SHA256,
    progress: Progress | None = None,
) -> Path:
    """Return the path of the file, after fetching it into torch's cache if `download`.

    Raises
    ------
    FileNotFoundError
        If there is no file; the message says where to put it.
    OSError, ValueError
        If it cannot be fetched, or another file was received.
    """
    file = find(path)
    if file is not None:
        return file
    if not download:
        raise FileNotFoundError(f"the weights of the Inception network are not here; {advice()}")
    return fetch(URL, cache() / FILE, sha256, progress)


def fetch(url: str, path: Path, sha256: str | None, progress: Progress | None = None) -> Path:
    """Fetch a file whose hash begins with `sha256`; it is never left incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_drafts(path.parent, path.name)
    try:
        with (
            urlopen(url, timeout=60) as answer,
            atomic.replacing(path, "the weights") as file,
        ):
            total, done = answer.headers.get("Content-Length"), 0
            while part := answer.read(STEP):
                file.write(part)
                done += len(part)
                if progress is not None:
                    progress(done, int(total) if total else None)
            file.flush()
            check(Path(file.name).read_bytes(), url, INCEPTION._replace(sha256=sha256))
    except OSError as error:
        raise OSError(f"{url}: could not be fetched ({error}); {advice()}") from error
    return path


def read(
    path: Path, shapes: dict[str, tuple[int, ...]], source: Source
) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file by their names, and its hash; only tensors are unpickled.

    Parameters
    ----------
    path : Path
    shapes : dict
        Shapes of the tensors that are needed, by name.
    source : Source
        What the file must be.

    Raises
    ------
    ValueError
        If it is another file, not a file of tensors, or if names or shapes differ.
    """
    content = path.read_bytes()  # what is hashed is what is read
    digest = check(content, str(path), source)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        actual = {name: tuple(value.shape) for name, value in state.items()}
    except Exception as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{path}: is not a file of tensors by name ({reason})") from error
    actual = {name: shape for name, shape in actual.items() if not counts_batches(name)}
    for name in sorted(shapes.keys() | actual.keys()):
        if shapes.get(name) != actual.get(name):
            raise ValueError(
                f"{path}: tensor {name} has shape {actual.get(name)}, the network needs "
                f"{shapes.get(name)}; pass weights of the network of {source.file}"
            )
    return {name: state[name] for name in shapes}, digest


def counts_batches(name: str) -> bool:
    """Return whether a tensor is a batch counter of a normalisation, which some files have."""
    return name.endswith("num_batches_tracked")


def check(content: bytes, name: str, source: Source) -> str:
    """Return the hash of a file's content, or raise if it does not begin as it must."""
    digest = hashlib.sha256(content).hexdigest()
    if source.sha256 is not None and not digest.startswith(source.sha256):
        raise ValueError(
            f"{name}: has SHA-256 {digest}, not {source.sha256}...; it is damaged or another "
            f"file: {source.remedy}"
        )
    return digest

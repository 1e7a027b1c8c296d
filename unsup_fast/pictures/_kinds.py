"""Formats of image files: their suffixes and first bytes, and those that Pillow reads."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
# Read where Pillow was built with the codec, or where a plugin such as pillow-heif is registered.
OPTIONAL = {
    ".avif": "AVIF", ".heic": "HEIF", ".heif": "HEIF", ".j2k": "JPEG2000", ".jp2": "JPEG2000",
    ".jpx": "JPEG2000",
}  # fmt: skip
# Images that are counted but never opened: raw photographs, vector graphics, layered files.
UNREAD = (".arw", ".cr2", ".cr3", ".dng", ".eps", ".ico", ".jxl", ".nef", ".psd", ".svg", ".tga")
FORMATS = (
    "AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP",
)  # others may run programs  # fmt: skip
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000"}  # what Pillow's `features` call them

LARGE = 1 << 24  # bytes above which the first few are checked before the rest is read
MOST_BYTES = 1 << 29  # of one file; a larger one is left out


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, with its dot, or ""."""
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""


def readable() -> tuple[str, ...]:
    """Return the suffixes of the image files that the installed Pillow reads."""
    from PIL import Image, features

    Image.init()  # plugins register their formats

    def reads(kind: str) -> bool:
        return bool(features.check(CODECS[kind])) if kind in CODECS else kind in Image.OPEN

    return (*SUFFIXES, *(suffix for suffix, kind in OPTIONAL.items() if reads(kind)))


def is_image(head: bytes) -> bool:
    """Return whether a file that starts with these 12 bytes may be of one of `FORMATS`."""
    starts = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return (
        head.startswith((*starts, b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"))
        or (head[:1] == b"P" and head[1:2] in b"1234567")
        or head[4:8] == b"ftyp"
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    )


def check_size(n_bytes: int) -> None:
    """Raise ValueError if a file has more bytes than a picture may have."""
    if n_bytes > MOST_BYTES:
        raise ValueError(f"has {n_bytes:,} bytes; pictures of up to {MOST_BYTES:,} are read")


def check_head(head: bytes) -> None:
    """Raise ValueError if the first bytes of a file are not those of an image."""
    if not is_image(head):
        raise ValueError("is no picture")


def open_picture(content: bytes) -> "PillowImage":
    """Return a Pillow image that is not decoded yet.

    Raises
    ------
    ValueError
        If it is of none of `FORMATS`, or has more than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    from PIL import Image, UnidentifiedImageError

    Image.init()  # plugins register their formats
    try:
        known = [kind for kind in FORMATS if kind in Image.OPEN]
        return Image.open(io.BytesIO(content), formats=known)
    except UnidentifiedImageError:
        raise ValueError("is no picture") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error

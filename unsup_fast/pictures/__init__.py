"""Reading of pictures from many kinds of files as bytes [N, C, H, W], and grids as PNG."""

from unsup_fast.pictures._grid import grid, save_grid
from unsup_fast.pictures._latents import Latents, holds_latents, load_latents
from unsup_fast.pictures._loading import Pictures, digits, load
from unsup_fast.pictures._pixels import to_bytes
from unsup_fast.pictures._reading import Images, images

__all__ = [
    "Images",
    "Latents",
    "Pictures",
    "digits",
    "grid",
    "holds_latents",
    "images",
    "load",
    "load_latents",
    "save_grid",
    "to_bytes",
]

"""Augmentations of the pictures that a discriminator sees, differentiable in the pictures.

Colours, translation and cutout are those of Zhao et al. 2020 (DiffAugment), on real and generated
pictures alike, so that a small data set is not memorised and no augmentation appears in samples.
Mirrored and turned pictures are of Karras et al. 2020 (ADA, appendix B), which draws a turn from
the whole group, the identity among them.

Each function takes pictures x [B, C, H, W] with values around zero and numbers u in [0, 1) of each
picture; nothing else is drawn. All are linear in x, up to constants, and have gradients of any
order. There are no fractional shifts, scales or rotations, which need interpolation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = (1, 3, 4)
"""Numbers of channels: grey, colours, or colours and opacity, which is no colour that changes."""
BRIGHTNESS, SATURATION, CONTRAST = 0.5, 1.0, 0.5  # most that is added, and changes of factors
SHIFT, CUT = 1 / 8, 1 / 2  # largest translation, and cut-out sides, as parts of a picture's


def brighten(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures with a number from [-0.5, 0.5) added to all colours; u [B, 1]."""
    return _on_colours(x, lambda colours: colours + BRIGHTNESS * (2 * _each(u) - 1))


def saturate(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures with colours at 0 to 2 times their distance from grey; u [B, 1].

    Pictures of one channel are unchanged.
    """
    if x.shape[1] == 1:
        return x
    return _on_colours(x, lambda colours: _scaled(colours, (1,), 1 + SATURATION * (2 * u - 1)))


def contrast(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures with values at 0.5 to 1.5 times their distance from the mean; u [B, 1]."""
    return _on_colours(x, lambda colours: _scaled(colours, (1, 2, 3), 1 + CONTRAST * (2 * u - 1)))


def translate(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures shifted down and right by whole pixels, zeros outside; u [B, 2].

    By -n to n pixels, all as likely, n an eighth of a side, rounded.
    """
    sources: list[Tensor] = []
    for axis in (0, 1):
        side = x.shape[2 + axis]
        most = int(side * SHIFT + 0.5)
        shift = (u[:, axis] * (2 * most + 1)).long() - most  # [B]
        index = torch.arange(side, device=x.device) - shift[:, None]
        sources.append(index.clamp(-1, side) + 1)  # [B, side], in a picture with a border of zeros
    rows, columns = sources
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # [B, H + 2, W + 2, C]
    sample = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[sample, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def cut_out(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures with a rectangle of zeros of half their sides, rounded up; u [B, 2].

    Its middle is any pixel, all as likely; what lies outside of the picture is cut off.
    """
    inside: list[Tensor] = []
    for axis in (0, 1):
        side = x.shape[2 + axis]
        length = int(side * CUT + 0.5)
        first = (u[:, axis] * side).long() - length // 2  # [B]
        offset = torch.arange(side, device=x.device) - first[:, None]
        inside.append((offset >= 0) & (offset < length))  # [B, side]
    rows, columns = inside
    return x.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0.0)


def mirror(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures of which half are mirrored left to right; u [B, 1]."""
    return torch.where(_each(u) < 0.5, x.flip(3), x)


def turn(x: Tensor, u: Tensor) -> Tensor:
    """Return pictures turned left by 0, 90, 180 or 270 degrees, all as likely; u [B, 1].

    Pictures that are not square are unchanged.
    """
    if x.shape[2] != x.shape[3]:
        return x
    quarters, turned = _each((u * 4).floor()), x
    for k in (1, 2, 3):
        turned = torch.where(quarters == k, x.rot90(k, (2, 3)), turned)
    return turned


class Augmentation(NamedTuple):
    """A function of the module, and the numbers that it needs of a picture."""

    apply: Callable[[Tensor, Tensor], Tensor]
    n_draws: int


COLOURS = (Augmentation(brighten, 1), Augmentation(saturate, 1), Augmentation(contrast, 1))
PLACES = (Augmentation(translate, 2), Augmentation(cut_out, 2))
TURNS = (Augmentation(mirror, 1), Augmentation(turn, 1))
AUGMENTATIONS = {
    "none": (),
    "diffaugment": (*COLOURS, *PLACES),
    "ada": (*TURNS, *COLOURS, *PLACES),
}
"""By `Recipe.augment`, in their order."""


def n_draws(augmentations: tuple[Augmentation, ...]) -> int:
    """Return how many numbers `augmented` needs of each picture."""
    return sum(1 + each.n_draws for each in augmentations)


def augmented(
    x: Tensor,
    u: Tensor,
    augmentations: tuple[Augmentation, ...],
    probability: Tensor | None = None,
) -> Tensor:
    """Return pictures [B, C, H, W] to which augmentations are applied, one after the other.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    u : float32 tensor of shape (B, n_draws(augmentations))
        Numbers in [0, 1).
    augmentations : tuple of Augmentation
    probability : tensor of shape (), optional
        Of each augmentation and picture; 1 by default.
    """
    at = 0
    for apply, n in augmentations:
        chosen, numbers = u[:, at], u[:, at + 1 : at + 1 + n]
        changed = apply(x, numbers)
        x = changed if probability is None else torch.where(_each(chosen < probability), changed, x)
        at += 1 + n
    return x


def check_pictures(shape: tuple[int, ...], what: str) -> None:
    """Raise a ValueError if samples of a shape are not pictures of 1, 3 or 4 channels."""
    if len(shape) != 3 or shape[0] not in CHANNELS:
        raise ValueError(
            f"config.shape={shape} must be (C, H, W) with C of 1, 3 or 4 for {what}; pass pictures "
            "of grey, colours, or colours and opacity, or leave it out"
        )


def _each(u: Tensor) -> Tensor:
    """Return numbers [B] or [B, 1] as [B, 1, 1, 1]."""
    return u.view(-1, 1, 1, 1)


def _on_colours(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Return pictures with a function applied to all channels but opacity."""
    if x.shape[1] != 4:
        return function(x)
    return torch.cat([function(x[:, :3]), x[:, 3:]], 1)


def _scaled(x: Tensor, dims: tuple[int, ...], factor: Tensor) -> Tensor:
    """Return x with its differences from a mean over some dimensions multiplied by factors."""
    mean = x.mean(dims, keepdim=True)
    return mean + _each(factor) * (x - mean)

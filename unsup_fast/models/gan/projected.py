"""`ProjectedDiscriminator`: heads on features of a network that was trained on ImageNet.

Sauer et al. 2021 (Projected GAN) and 2022 (StyleGAN-XL), the notes' 4.4.7: the value of the game is

    V(G, D) = sum_l E log D_l(P_l(x)) + E log(1 - D_l(P_l(G(z))))

or that of another loss, where P_l are fixed random projections of the features of
EfficientNet-lite0 at strides 4, 8, 16 and 32 (`networks.projected`). Only the heads D_l learn.

The generator sees the gradient of these features. So a Frechet distance of the same features falls
without better pictures (Kynkaanniemi et al. 2023): judge by others, such as those of lite1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from unsup_fast.models.gan.augment import check_pictures
from unsup_fast.models.networks.projected import Head, Mixing, widths
from unsup_fast.models.networks.resize import resize

if TYPE_CHECKING:
    from unsup_fast.metrics.lite import FeatureMaps

LEAST_SIDE = 64  # pixels that smaller pictures are resized to
SQUARE = 8  # pixels of the board behind pictures with opacity


class ProjectedDiscriminator(nn.Module):
    """Scores [B, M] of pictures [B, C, H, W] of classes [B], those of all heads side by side.

    The network of the features is no module of this one: it is neither trained nor stored in
    checkpoints. The random projections are buffers.

    Parameters
    ----------
    features : unsup_fast.metrics.lite.FeatureMaps
    shape : (int, int, int)
        Of a picture: 1 channel is repeated as 3, and 4 are colours and opacity, which are shown on
        a board of black and white squares. Sides below 64 are resized, bilinearly, to 64 for the
        shorter one.
    size : str
        One of `networks.projected.WIDTHS`.
    n_classes : int
        0 for none.
    conditioning : {"projection", "concat"}

    Attributes
    ----------
    sizes : tuple of int
        Scores of each head, M in all.
    sha256 : str
        The hash of the network's weights.

    Raises
    ------
    ValueError
        If the shape is not that of such pictures.
    """

    def __init__(
        self,
        features: "FeatureMaps",
        shape: tuple[int, ...],
        size: str,
        n_classes: int,
        conditioning: str,
    ) -> None:
        super().__init__()
        check_pictures(shape, 'discriminator="projected"')
        self._features, self.sha256 = features, features.sha256
        self.sides = _sides(*shape[1:])
        outputs = widths(size, len(features.channels))
        self.mixing = Mixing(features.channels, outputs)
        self.heads = nn.ModuleList(
            Head(
                channels,
                (-(-self.sides[0] // stride), -(-self.sides[1] // stride)),
                4 * outputs[0],
                n_classes,
                conditioning,
            )
            for channels, stride in zip(outputs, features.strides, strict=True)
        )
        self.sizes = tuple(cast(Head, head).n_scores for head in self.heads)

    @property
    def frozen(self) -> nn.Module:
        """The network of the features, which is no part of this module and never learns."""
        return self._features.network

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Return scores [B, M]."""
        if x.shape[2:] != self.sides:
            x = resize(x, self.sides)
        maps = self.mixing(self._features(_colours(x)))
        return torch.cat(
            [head(each, label) for head, each in zip(self.heads, maps, strict=True)], 1
        )

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> "ProjectedDiscriminator":
        """Move the network of the features too, as `to` does."""
        self._features.network._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def projected(
    shape: tuple[int, ...], size: str, n_classes: int, conditioning: str
) -> ProjectedDiscriminator:
    """Return a new discriminator, with weights drawn from torch's generator.

    Raises
    ------
    ImportError
        If the package of the features' weights is missing; the message says how to install it.
    ValueError
        If its file is another, or the shape is not that of pictures of 1, 3 or 4 channels.
    """
    from unsup_fast.metrics.lite import FeatureMaps

    return ProjectedDiscriminator(FeatureMaps(), shape, size, n_classes, conditioning)


def head_sizes(discriminator: nn.Module) -> tuple[int, ...] | None:
    """Return the number of scores of each head, or None if a discriminator has one score."""
    return discriminator.sizes if isinstance(discriminator, ProjectedDiscriminator) else None


def fingerprint(discriminator: nn.Module) -> dict[str, str]:
    """Return what a discriminator depends on that no checkpoint has."""
    if not isinstance(discriminator, ProjectedDiscriminator):
        return {}
    return {"discriminator.features": discriminator.sha256}


def _sides(height: int, width: int) -> tuple[int, int]:
    """Return the sides that pictures are resized to."""
    scale = max(1.0, LEAST_SIDE / min(height, width))
    return round(height * scale), round(width * scale)


def _colours(x: Tensor) -> Tensor:
    """Return pictures of 1, 3 or 4 channels as [B, 3, H, W]."""
    if x.shape[1] < 4:
        return x.expand(-1, 3, -1, -1)
    rows, columns = (torch.arange(side, device=x.device) // SQUARE for side in x.shape[2:])
    board = 2.0 * ((rows[:, None] + columns) % 2).to(x.dtype) - 1  # [H, W], -1 or 1
    opacity = (x[:, 3:] + 1) / 2
    return board + opacity * (x[:, :3] - board)

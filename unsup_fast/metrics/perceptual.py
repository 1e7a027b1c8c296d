"""A distance of pictures by what a network sees in them, as a loss for autoencoders.

Zhang, Isola, Efros, Shechtman & Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018, eq. 1, with all weights w equal: here of EfficientNet-lite0, whose
weights a package brings.
"""

import torch
from torch import Tensor

from unsup_fast.metrics._lite_network import LEAST_SIDE, LITE0, load, scales_of

EPS = 1e-10  # under the root, so that features of zero have a gradient


class PerceptualDistance:
    """Distance of pictures by features of EfficientNet-lite0 at strides 4, 8, 16 and 32.

    At each position of a feature map the channels are divided by their length; the distance is
    the squared difference of these directions, averaged over positions and over the four strides:

        d(x, y) = mean_s mean_hw |f_s(x) / |f_s(x)| - f_s(y) / |f_s(y)||^2

    It is 0 for equal pictures and at most 4. It is no module: a network that has it as an attribute
    neither trains its weights nor stores them in a checkpoint.

    Parameters
    ----------
    device : str or torch.device, default="cpu"
    dtype : torch.dtype, default=torch.float32
        Type of the network; directions and their differences are computed in float32 at least.

    Attributes
    ----------
    sha256 : str
        The hash of the weights.
    network : torch.nn.Module
        The network. No parameter requires a gradient.

    Raises
    ------
    ImportError
        If the package of the weights is missing; the message says how to install it.
    ValueError
        If its file is another.

    Notes
    -----
    It is LPIPS without learned weights of channels and with another network, so its values are not
    comparable with those of LPIPS.

    Examples
    --------
    >>> import torch
    >>> from unsup_fast.metrics import PerceptualDistance
    >>> distance = PerceptualDistance()  # doctest: +SKIP
    >>> x = torch.rand(8, 3, 64, 64) * 2 - 1
    >>> distance(x, x.flip(3)).shape  # doctest: +SKIP
    torch.Size([8])
    """

    def __init__(
        self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.network, self.sha256 = load(LITE0)
        self.network = self.network.to(self.device, dtype)

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the distance of each picture to its target.

        Parameters
        ----------
        x : float tensor of shape (N, 3, H, W) or (N, 1, H, W)
            Pictures in [-1, 1], which may go beyond, of at least 32 x 32 pixels. One channel is
            repeated as three.
        target : tensor of the same shape
            It gets no gradient.

        Returns
        -------
        float32 tensor of shape (N,)
            Its gradient with regard to `x` is finite everywhere, also where `x` is `target`.

        Raises
        ------
        ValueError
            If they are not such pictures.
        """
        _check("x", x)
        if x.shape != target.shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and target {tuple(target.shape)}; pass the same"
            )
        _check("target", target)
        with torch.no_grad():
            expected = self.features(target)
        terms = [
            (ours - theirs).square().sum(dim=1).mean(dim=(1, 2))  # [N]
            for ours, theirs in zip(self.features(x), expected, strict=True)
        ]
        return torch.stack(terms).mean(dim=0)  # [N]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return maps [N, C, ceil(H / s), ceil(W / s)] of unit length along C, at each stride s."""
        x = x.to(self.device, torch.float32)
        return [_directions(part.float()) for part in scales_of(self.network, x, self.dtype)]


def _directions(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] divided by its length along C."""
    return x * (x.square().sum(dim=1, keepdim=True) + EPS).rsqrt()


def _check(name: str, x: Tensor) -> None:
    shape = tuple(x.shape)
    if x.ndim != 4 or shape[1] not in (1, 3) or min(shape[2:]) < LEAST_SIDE:
        raise ValueError(
            f"{name} has shape {shape}; pass pictures [N, 3, H, W] or [N, 1, H, W] of at least "
            f"{LEAST_SIDE} x {LEAST_SIDE} pixels (resize or pad smaller ones)"
        )
    if not x.is_floating_point():
        raise ValueError(f"{name} is of type {x.dtype}; pass floats in [-1, 1]")

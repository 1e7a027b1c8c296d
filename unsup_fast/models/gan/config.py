"""`Config`: the configuration of a GAN."""

from dataclasses import dataclass

from torch import Tensor

from unsup_fast.models.base import CUSTOM, check_classes, check_one_of, check_shape, whole
from unsup_fast.models.networks import biggan, dcgan, perceptron, progressive, r3gan, stylegan
from unsup_fast.models.networks.adversaries import CONDITIONINGS

SIZES = {
    "r3gan": tuple(r3gan.SIZES),
    "dcgan": tuple(dcgan.WIDTHS),
    "biggan": tuple(biggan.SIZES),
    "mlp": tuple(perceptron.WIDTHS),
    "progressive": tuple(progressive.SIZES),
    "stylegan2": tuple(stylegan.SIZES),
    "stylegan": tuple(stylegan.SIZES),
}
OF_ROWS = "mlp"
GROWING = "progressive"
MOST_LATENTS = 1 << 16


@dataclass(frozen=True)
class Config:
    """Configuration of a model: all that it takes to build it again.

    Attributes
    ----------
    shape : tuple of int
        Shape of a sample: (C, H, W) for pictures, whose values lie in [-1, 1], (D,) for rows.
    classes : tuple of str
        Names of the classes to condition on; none by default.
    network : {"r3gan", "dcgan", "biggan", "mlp", "progressive", "stylegan2", "stylegan", "custom"}
        "custom" is your own pair of modules, a generator (z [B, latent], label [B] or None) ->
        [B, *shape] and a discriminator (x [B, *shape], label) -> [B].
    size : {"tiny", "small", "base", "large"}
        Size of both networks.
    latent : int
        Number of latents, of which samples are drawn. "biggan" needs one for each resolution.
    conditioning : {"projection", "concat"}
        How the discriminator learns of the class; see `networks.adversaries`.

    Raises
    ------
    ValueError
        If values do not fit each other.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "r3gan"
    size: str = "small"
    latent: int = 64
    conditioning: str = "projection"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(whole("shape", side) for side in self.shape))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "latent", whole("latent", self.latent))
        check_classes(self.classes)
        check_shape(self.shape)
        check_one_of("network", self.network, (*SIZES, CUSTOM))
        check_one_of("size", self.size, SIZES.get(self.network, SIZES["r3gan"]))
        check_one_of("conditioning", self.conditioning, CONDITIONINGS)
        if self.network not in (OF_ROWS, CUSTOM) and len(self.shape) != 3:
            raise ValueError(
                f'shape={self.shape} must be (C, H, W) for network="{self.network}"; pass '
                'network="mlp" for rows'
            )
        if not 1 <= self.latent <= MOST_LATENTS:
            raise ValueError(f"latent={self.latent} must be from 1 to {MOST_LATENTS}")

    @property
    def pictures(self) -> bool:
        """Return whether samples are pictures."""
        return len(self.shape) == 3


def bounded(x: Tensor, config: Config) -> Tensor:
    """Return generated samples, of pictures those in [-1, 1]."""
    return x.clamp(-1, 1) if config.pictures else x

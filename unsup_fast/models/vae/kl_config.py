"""`KLConfig`: the configuration of a KL autoencoder."""

import math
import operator
from dataclasses import dataclass
from typing import Any

from unsup_fast.models.networks.autoencoder_kl import AutoencoderKLNetwork

LARGEST_PICTURE, MOST_LEVELS = 1 << 28, 12


@dataclass(frozen=True)
class KLConfig:
    """Configuration of a KL autoencoder: all that it takes to build it again.

    Names and meanings are diffusers' where it has them; there `shape` is `in_channels` and
    `sample_size`.

    Attributes
    ----------
    shape : tuple of int
        Shape (C, H, W) of the pictures of training; the network takes others of C channels too.
    classes : tuple of str
        Empty: pictures are encoded without a class.
    network : {"kl"}
    latent_channels : int
        Channels Z of the latents.
    block_out_channels : tuple of int
        Channels of each level; each has half the resolution of the one before it.
    layers_per_block : int
        Residual blocks of a level of the encoder; the decoder has one more.
    norm_num_groups : int
        Groups of each group norm; it divides all of `block_out_channels`.
    use_quant_conv, use_post_quant_conv : bool
        Whether a convolution of one pixel follows the encoder and precedes the decoder.
    mid_block_add_attention : bool
        Whether the middles of encoder and decoder have self-attention.
    scaling_factor : float
        Factor of the scaled latents, (z - shift) scaling_factor.
    shift_factor : float or None
        Their shift, of all channels; None is 0.
    latents_mean, latents_std : tuple of float, or None
        Mean and standard deviation of each channel, as training measures them. Scaled latents are
        then (z - mean) / std times `scaling_factor`.

    Raises
    ------
    ValueError
        If a value is out of range, or two of them do not fit each other.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "kl"
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (32, 64, 64)
    layers_per_block: int = 1
    norm_num_groups: int = 8
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True
    scaling_factor: float = 1.0
    shift_factor: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("shape", "block_out_channels"):
            object.__setattr__(self, name, _wholes(name, getattr(self, name)))
        for name in ("latent_channels", "layers_per_block", "norm_num_groups"):
            (value,) = _wholes(name, (getattr(self, name),))
            object.__setattr__(self, name, value)
        for name in ("use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")
        for name in ("scaling_factor", "shift_factor"):
            if getattr(self, name) is not None or name == "scaling_factor":
                (number,) = _numbers(name, (getattr(self, name),))
                object.__setattr__(self, name, number)
        if self.network != "kl":
            raise ValueError(f"network={self.network!r} is unknown; pass 'kl'")
        if tuple(self.classes):
            raise ValueError("classes must be empty: a KL autoencoder has no condition")
        object.__setattr__(self, "classes", ())
        self._check_shape()
        if not self.scaling_factor > 0:
            raise ValueError(f"scaling_factor={self.scaling_factor} must be above 0")
        self._check_statistics()

    @property
    def multiple(self) -> int:
        """Pixels along a side of a picture for each latent; sides are multiples of it."""
        return 1 << (len(self.block_out_channels) - 1)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of the latents of a picture of `shape`."""
        return (
            self.latent_channels,
            self.shape[1] // self.multiple,
            self.shape[2] // self.multiple,
        )

    def build(self) -> AutoencoderKLNetwork:
        """Return a new network."""
        return AutoencoderKLNetwork(
            self.shape[0],
            self.latent_channels,
            self.block_out_channels,
            self.layers_per_block,
            self.norm_num_groups,
            use_quant_conv=self.use_quant_conv,
            use_post_quant_conv=self.use_post_quant_conv,
            mid_block_add_attention=self.mid_block_add_attention,
        )

    def _check_shape(self) -> None:
        if len(self.shape) != 3 or math.prod(self.shape) > LARGEST_PICTURE:
            raise ValueError(
                f"shape={self.shape} must be (C, H, W) with at most {LARGEST_PICTURE} values"
            )
        if not 1 <= len(self.block_out_channels) <= MOST_LEVELS:
            raise ValueError(
                f"block_out_channels={self.block_out_channels} must name 1 to {MOST_LEVELS} levels"
            )
        if any(width % self.norm_num_groups for width in self.block_out_channels):
            raise ValueError(
                f"norm_num_groups={self.norm_num_groups} must divide all of "
                f"block_out_channels={self.block_out_channels}"
            )
        if self.shape[1] % self.multiple or self.shape[2] % self.multiple:
            raise ValueError(
                f"shape={self.shape} does not fit {len(self.block_out_channels)} levels; pass "
                f"sides that are multiples of {self.multiple}, or fewer block_out_channels"
            )

    def _check_statistics(self) -> None:
        if (self.latents_mean is None) != (self.latents_std is None):
            raise ValueError("latents_mean and latents_std go together; pass both or neither")
        if self.latents_mean is None or self.latents_std is None:
            return
        if self.shift_factor is not None:
            raise ValueError("shift_factor and latents_mean are the same shift; pass one of them")
        for name in ("latents_mean", "latents_std"):
            values = _numbers(name, getattr(self, name))
            if len(values) != self.latent_channels:
                raise ValueError(
                    f"{name} has {len(values)} numbers; pass one for each of the "
                    f"{self.latent_channels} latent channels"
                )
            object.__setattr__(self, name, values)
        if min(self.latents_std) <= 0:
            raise ValueError(f"latents_std={self.latents_std} must be above 0")


def _wholes(name: str, values: Any) -> tuple[int, ...]:
    try:
        numbers = tuple(operator.index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name}={values!r} must be whole numbers") from None
    if not numbers or min(numbers) < 1:
        raise ValueError(f"{name}={values!r} must be whole numbers of at least 1")
    return numbers


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={values!r} must be numbers") from None
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name}={values!r} must be finite")
    return numbers

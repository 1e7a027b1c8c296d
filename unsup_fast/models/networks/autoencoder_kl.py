"""`AutoencoderKLNetwork`: the autoencoder of latent diffusion (Rombach et al. 2022, E and D).

An encoder of residual blocks halves the resolution at each level but the last and returns mean and
log variance of latents; a decoder is its mirror image. The middle of both has self-attention. All
names of parameters, and what the layers compute, are those of diffusers' AutoencoderKL.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.models.networks.embeddings import check_images
from unsup_fast.models.networks.layers import attention, norm_scale_shift_silu

__all__ = ["AutoencoderKLNetwork"]

EPS = 1e-6  # of group norms
# With variances of 1, as biases of zero would give, the decoder of a new network sees noise alone.
INITIAL_LOG_VARIANCE = -6.0


class ResnetBlock(nn.Module):
    """Two convolutions, each after group norm and SiLU, around a skip connection."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outputs, EPS)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:  # [B, inputs, H, W] -> [B, outputs, H, W]
        h = self.conv1(norm_scale_shift_silu(self.norm1, x))
        h = self.conv2(norm_scale_shift_silu(self.norm2, h))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """Self-attention between all pixels, with one head."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> same
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)[:, None]  # [B, 1, H W, C]
        h = attention(self.to_q(pixels), self.to_k(pixels), self.to_v(pixels))  # [B, 1, H W, C]
        h = self.to_out[0](h)[:, 0].transpose(1, 2)  # [B, C, H W]
        return x + h.unflatten(2, x.shape[2:])


class Downsample(nn.Module):
    """Halve the resolution; zeros are added on the right and below only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H / 2, W / 2]
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the resolution by repeated pixels and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, 2 H, 2 W]
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class DownBlock(nn.Module):
    """Residual blocks of a level of the encoder, and a downsampler unless it is the last."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, *, last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(inputs, outputs, layers, groups)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class UpBlock(nn.Module):
    """Residual blocks of a level of the decoder, and an upsampler unless it is the last."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, *, last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(inputs, outputs, layers, groups)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class MidBlock(nn.Module):
    """Two residual blocks at the lowest resolution, with or without attention between them."""

    def __init__(self, channels: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, groups)] if attention else [])
        self.resnets = _resnets(channels, channels, 2, groups)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> same
        first, second = self.resnets
        for layer in (first, *self.attentions, second):
            x = layer(x)
        return x


class Encoder(nn.Module):
    """Pictures to mean and log variance, before `quant_conv`."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        widths: tuple[int, ...],
        layers: int,
        groups: int,
        *,
        attention: bool,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        inputs, last = (widths[0], *widths[:-1]), len(widths) - 1
        self.down_blocks = nn.ModuleList(
            DownBlock(inputs[i], widths[i], layers, groups, last=i == last)
            for i in range(len(widths))
        )
        self.mid_block = MidBlock(widths[-1], groups, attention=attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(norm_scale_shift_silu(self.conv_norm_out, self.mid_block(x)))


class Decoder(nn.Module):
    """Latents to pictures, after `post_quant_conv`."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        widths: tuple[int, ...],
        layers: int,
        groups: int,
        *,
        attention: bool,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, widths[-1], 3, padding=1)
        self.mid_block = MidBlock(widths[-1], groups, attention=attention)
        outputs, last = widths[::-1], len(widths) - 1
        entries = (outputs[0], *outputs[:-1])
        self.up_blocks = nn.ModuleList(
            UpBlock(entries[i], outputs[i], layers + 1, groups, last=i == last)
            for i in range(len(widths))
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], EPS)
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(norm_scale_shift_silu(self.conv_norm_out, x))


class AutoencoderKLNetwork(nn.Module):
    """Encoder and decoder of pictures of any size.

    Parameters
    ----------
    channels : int
        Channels C of a picture.
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
        Whether the middles of both have self-attention.
    """

    def __init__(
        self,
        channels: int,
        latent_channels: int,
        block_out_channels: tuple[int, ...],
        layers_per_block: int,
        norm_num_groups: int,
        *,
        use_quant_conv: bool = True,
        use_post_quant_conv: bool = True,
        mid_block_add_attention: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.latent_channels = channels, latent_channels
        self.multiple = 2 ** (len(block_out_channels) - 1)
        moments = 2 * latent_channels
        layers, groups = layers_per_block, norm_num_groups
        self.encoder = Encoder(
            channels,
            moments,
            block_out_channels,
            layers,
            groups,
            attention=mid_block_add_attention,
        )
        self.decoder = Decoder(
            latent_channels,
            channels,
            block_out_channels,
            layers,
            groups,
            attention=mid_block_add_attention,
        )
        self.quant_conv = nn.Conv2d(moments, moments, 1) if use_quant_conv else None
        self.post_quant_conv = (
            nn.Conv2d(latent_channels, latent_channels, 1) if use_post_quant_conv else None
        )
        last = self.encoder.conv_out if self.quant_conv is None else self.quant_conv
        assert last.bias is not None
        nn.init.constant_(last.bias[latent_channels:], INITIAL_LOG_VARIANCE)

    def encode(self, x: Tensor) -> Tensor:
        """Return mean and log variance of the latents of pictures.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
            In [-1, 1].

        Returns
        -------
        tensor of shape (B, 2 Z, H / multiple, W / multiple)

        Raises
        ------
        ValueError
            If C differs from `channels`, or H or W is no multiple of `multiple`.
        """
        check_images(x, self.channels, self.multiple)
        h = self.encoder(_channels_last(x))
        return h if self.quant_conv is None else self.quant_conv(h)

    def decode(self, z: Tensor) -> Tensor:
        """Return the pictures of latents.

        Parameters
        ----------
        z : tensor of shape (B, Z, h, w)

        Returns
        -------
        tensor of shape (B, C, h multiple, w multiple)

        Raises
        ------
        ValueError
            If Z differs from `latent_channels`.
        """
        check_images(z, self.latent_channels, 1)
        z = _channels_last(z)
        return self.decoder(z if self.post_quant_conv is None else self.post_quant_conv(z))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _resnets(inputs: int, outputs: int, layers: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(
        ResnetBlock(inputs if i == 0 else outputs, outputs, groups) for i in range(layers)
    )

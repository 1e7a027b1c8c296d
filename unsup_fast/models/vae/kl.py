"""`AutoencoderKL`: pictures to latents that a diffusion model can learn, and back.

It is the autoencoder of Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion
Models", with the layers, names of tensors and files of diffusers' class of the same name.
"""

import os
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.models.base import GenerativeModel, batches
from unsup_fast.models.networks.autoencoder_kl import AutoencoderKLNetwork
from unsup_fast.models.networks.embeddings import check_images
from unsup_fast.models.training.data import check_pictures, to_float
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.models.vae import kl_files
from unsup_fast.models.vae.kl_config import KLConfig
from unsup_fast.models.vae.kl_tiles import tiled
from unsup_fast.models.vae.posterior import DiagonalGaussian
from unsup_fast.storage import tensors

Pictures = Tensor | npt.NDArray[Any]


class Encoded(NamedTuple):
    """What `AutoencoderKL.encode` returns, named as in diffusers.

    Attributes
    ----------
    latent_dist : DiagonalGaussian
        Of latents [N, Z, h, w], not scaled.
    """

    latent_dist: DiagonalGaussian


class AutoencoderKL(GenerativeModel[KLConfig]):
    """An autoencoder whose latents have a KL penalty.

    Parameters
    ----------
    network : AutoencoderKLNetwork
    config : KLConfig

    Attributes
    ----------
    network, config
        The arguments.
    """

    kind = tensors.AUTOENCODER
    config_type = KLConfig
    network: AutoencoderKLNetwork

    def __repr__(self) -> str:
        shape, latents = (
            " x ".join(map(str, sides)) for sides in (self.config.shape, self.config.latent_shape)
        )
        parameters = sum(each.numel() for each in self.network.parameters())
        return f"<AutoencoderKL: {shape} to {latents}, {parameters:,} parameters on {self.device}>"

    @staticmethod
    def network_of(config: KLConfig, seed: int) -> AutoencoderKLNetwork:
        """Return a new network with weights drawn from a seed; see `GenerativeModel`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = config.build()
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, device: torch.device | str | None = None
    ) -> "AutoencoderKL":
        """Read the folder of a diffusers AutoencoderKL.

        Nothing is downloaded, and no pickle is read. Weights of half precision become float32, as
        some of these networks overflow in it.

        Parameters
        ----------
        folder : path
            Folder with `config.json` and `diffusion_pytorch_model.safetensors`, such as `vae` of a
            pipeline.
        device : optional
            Device of the network; the host by default.

        Raises
        ------
        ValueError
            If a file is damaged, or the configuration has what this class does not support.
        OSError
            If a file cannot be opened.
        """
        config, weights = kl_files.read(folder)
        model = cls(cls.network_of(config, 0), config)
        kl_files.load_weights(model.network, weights, folder)
        model.network.eval().requires_grad_(False).to(device or "cpu")
        return model

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that diffusers' `AutoencoderKL.from_pretrained` reads.

        Raises
        ------
        OSError
            If a file cannot be written.
        """
        kl_files.write(folder, self.config, self.network.state_dict())

    def encode(self, x: Pictures, *, tile: int | None = None) -> Encoded:
        """Return the distribution of the latents of pictures.

        Parameters
        ----------
        x : array or tensor of shape (N, C, H, W)
            uint8, or floats in [-1, 1]. H and W are multiples of `config.multiple`.
        tile : int, optional
            Side in pixels of tiles that are encoded one after the other, to save memory; see
            `decode`.

        Returns
        -------
        Encoded
            With `latent_dist`, of latents [N, Z, H / multiple, W / multiple].

        Raises
        ------
        ValueError
            If the shape does not fit the network.
        """
        pictures = self._floats(x)
        check_images(pictures, self.config.shape[0], self.config.multiple)
        if tile is None:
            moments = self.network.encode(pictures)
        else:
            side = self._units(tile)
            moments = tiled(
                self.network.encode,
                pictures,
                tile=side,
                overlap=side // 4,
                inputs=self.config.multiple,
            )
        return Encoded(latent_dist=DiagonalGaussian.from_moments(moments))

    def decode(self, z: Tensor, *, tile: int | None = None) -> Tensor:
        """Return the pictures of latents.

        Parameters
        ----------
        z : tensor of shape (N, Z, h, w)
            Not scaled.
        tile : int, optional
            Side in pixels of tiles that are decoded one after the other, to save memory. Tiles
            overlap by a quarter and are blended. The result is not that of the whole picture: group
            norms and attention see a tile only. Larger tiles differ less.

        Returns
        -------
        float tensor of shape (N, C, h multiple, w multiple)
            About in [-1, 1].

        Raises
        ------
        ValueError
            If the shape does not fit the network.
        """
        z = z.to(self.device)
        if tile is None:
            return self.network.decode(z)
        side = self._units(tile)
        return tiled(
            self.network.decode,
            z,
            tile=side,
            overlap=side // 4,
            outputs=self.config.multiple,
        )

    def latents(
        self,
        x: Pictures,
        *,
        seed: Seed | None = None,
        batch_size: int = 32,
        tile: int | None = None,
    ) -> Tensor:
        """Return scaled latents, whose standard deviation over the data is about 1.

        They are (z - mean) / std scaling_factor with the channels' `latents_mean` and `latents_std`
        if the configuration has them, else (z - shift_factor) scaling_factor.

        Parameters
        ----------
        x : array or tensor of shape (N, C, H, W)
            As for `encode`.
        seed : int, or one int a picture, optional
            Seed of latents that are drawn; by default they are the distributions' means.
        batch_size : int
            Pictures that are encoded at a time.
        tile : int, optional
            As for `encode`.

        Returns
        -------
        float32 tensor of shape (N, Z, h, w)
            On the network's device, without a graph.
        """
        seeds = None if seed is None else spread_seed(seed, len(x))
        parts = []
        with torch.no_grad():
            for rows in batches(len(x), batch_size):
                part = self._floats(x[rows])
                check_pictures(part)
                q = self.encode(part, tile=tile).latent_dist
                parts.append(self.scale(q.mode() if seeds is None else q.sample(seeds[rows])))
        if not parts:
            raise ValueError("x has no pictures; pass at least one")
        return torch.cat(parts)

    def pictures(self, latents: Tensor, *, batch_size: int = 32, tile: int | None = None) -> Tensor:
        """Return the pictures of scaled latents, the inverse of `latents`.

        Parameters
        ----------
        latents : tensor of shape (N, Z, h, w)
        batch_size : int
            Pictures that are decoded at a time.
        tile : int, optional
            As for `decode`.

        Returns
        -------
        float32 tensor of shape (N, C, H, W)
            In [-1, 1], on the network's device, without a graph.
        """
        with torch.no_grad():
            parts = [
                self.decode(self.unscale(latents[rows].to(self.device)), tile=tile).clamp(-1, 1)
                for rows in batches(len(latents), batch_size)
            ]
        if not parts:
            raise ValueError("latents has no pictures; pass at least one")
        return torch.cat(parts)

    def reconstruct(self, x: Pictures, *, batch_size: int = 32) -> Tensor:
        """Return the pictures of the means of pictures' latents, float32 [N, C, H, W]."""
        return self.pictures(self.latents(x, batch_size=batch_size), batch_size=batch_size)

    def scale(self, z: Tensor) -> Tensor:
        """Return the scaled latents of latents [N, Z, h, w]; see `latents`."""
        shift, factor = self._affine(z)
        return (z - shift) * factor

    def unscale(self, latents: Tensor) -> Tensor:
        """Return the latents of scaled latents [N, Z, h, w], the inverse of `scale`."""
        shift, factor = self._affine(latents)
        return latents / factor + shift

    def measure_scale(self, x: Pictures, *, batch_size: int = 32) -> None:
        """Set `latents_mean` and `latents_std` of the configuration to those of data's latents.

        They are exact for latents that are drawn: the variance of a channel is that of the means
        plus the mean of the variances.

        Parameters
        ----------
        x : array or tensor of shape (N, C, H, W)
            As for `encode`.
        batch_size : int
            Pictures that are encoded at a time.
        """
        n = 0
        sums = torch.zeros(2, self.config.latent_channels, dtype=torch.float64)  # [2, Z]
        with torch.no_grad():
            for rows in batches(len(x), batch_size):
                q = self.encode(x[rows]).latent_dist
                mean, variance = q.mean.double(), q.variance.double()
                axes = (0, 2, 3)
                moments = [mean.sum(axes), (mean.square() + variance).sum(axes)]
                sums += torch.stack(moments).cpu()
                n += mean.numel() // self.config.latent_channels
        if not n:
            raise ValueError("x has no pictures; pass at least one")
        mean, square = sums / n  # [Z] each
        std = (square - mean.square()).clamp_min(np.finfo(np.float32).tiny).sqrt()
        self.config = replace(
            self.config,
            scaling_factor=1.0,
            shift_factor=None,
            latents_mean=tuple(mean.tolist()),
            latents_std=tuple(std.tolist()),
        )

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shift and the factor of scaled latents, [Z, 1, 1] or [1, 1, 1]."""
        config = self.config
        mean = config.latents_mean or (config.shift_factor or 0.0,)
        std = config.latents_std or (1.0,)
        shift, deviation = (
            torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
            for values in (mean, std)
        )
        return shift, config.scaling_factor / deviation

    def _floats(self, x: Pictures) -> Tensor:
        pictures = x if isinstance(x, Tensor) else torch.from_numpy(np.asarray(x))
        if pictures.dtype != torch.uint8 and not pictures.is_floating_point():
            raise TypeError(f"x has type {pictures.dtype}; pass uint8 pictures or floats")
        return to_float(pictures.to(self.device))

    def _units(self, tile: int) -> int:
        """Return the side of a tile in latents."""
        multiple = self.config.multiple
        if tile < 4 * multiple or tile % multiple:
            raise ValueError(
                f"tile={tile} must be a multiple of {multiple} of at least {4 * multiple} pixels"
            )
        return tile // multiple

"""`GAN`: a generator with its configuration, to sample from, save and load."""

import math
import os
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.kernels.randn import randn
from unsup_fast.models.base import (
    CUSTOM,
    GenerativeModel,
    batches,
    inference_mode,
    sample_count,
)
from unsup_fast.models.gan.config import GROWING, Config, bounded
from unsup_fast.models.gan.growing import grown
from unsup_fast.models.gan.players import generator_of
from unsup_fast.models.gan.styled import body_of, generate
from unsup_fast.models.networks.latents import draw_labels, slerp, truncated
from unsup_fast.models.networks.pooling import enlarge
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.storage import tensors

BATCH = 256  # samples in a call of the network


class GAN(GenerativeModel[Config]):
    """The generator of a GAN (Goodfellow et al. 2014), and what it was trained for.

    Parameters
    ----------
    network : torch.nn.Module
        The generator: (z [B, latent], label [B] or None) -> [B, *shape].
    config : Config

    Attributes
    ----------
    network, config
        The arguments.
    """

    kind = tensors.GAN
    config_type = Config

    def __repr__(self) -> str:
        config = self.config
        parameters = sum(each.numel() for each in self.network.parameters())
        size = "" if config.network == CUSTOM else f" {config.size}"
        shape = " x ".join(map(str, config.shape))
        classes = f", {len(config.classes)} classes" if config.classes else ""
        reached = f", {self.grown}" if self.grown else ""
        return (
            f"<GAN: {shape}, {config.network}{size}, {config.latent} latents{classes}{reached}, "
            f"{parameters:,} parameters on {self.device}>"
        )

    @property
    def grown(self) -> str:
        """Return how far the generator has grown, empty if to the end; see `gan.growing.grown`."""
        return grown(self.network)

    @staticmethod
    def network_of(config: Config, seed: int) -> Module:
        """Return a new generator with weights drawn from a seed; see `GenerativeModel`."""
        return generator_of(config, seed)

    def latents(
        self, n: int | None = None, *, seed: Seed = 0, truncation: float | None = None
    ) -> Tensor:
        """Return latents of the prior: float32 (n, Z), on the network's device.

        Parameters
        ----------
        n : int, optional
            Number of latents; by default one for each seed.
        seed : int, or one int a sample
            Latent i of a seed is the same whatever n.
        truncation : float, optional
            Largest absolute value of a latent, as if larger ones were drawn again: samples are
            more typical and more alike the smaller it is (Brock et al. 2019).

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit each other.
        """
        n = sample_count(n, None, seed)
        if truncation is not None and not 0 < truncation < math.inf:
            raise ValueError(f"truncation={truncation} must be above 0 and finite")
        seeds = self.checked_seeds(seed, n)
        z = randn((n, self.config.latent), seed=seeds, device=self.device)  # [n, Z]
        return z if truncation is None else truncated(z, truncation)

    def generate(
        self,
        z: Tensor | npt.NDArray[Any],
        label: Any = None,
        *,
        seed: Seed | None = None,
        psi: float | None = None,
    ) -> Tensor:
        """Return the samples of latents: float32 (n, ...), pictures in [-1, 1].

        Those of a network that still grows are enlarged by nearest neighbours.

        Parameters
        ----------
        z : array or tensor of shape (n, Z)
        label : int, str, or one for each sample, optional
            Classes, which a model with classes needs.
        seed : int, or one int a sample, optional
            Seeds of the noise inputs of a network with styles; by default they get no noise, so
            that a sample is a function of its latents.
        psi : float, optional
            Truncation of the styles of such a network, towards the mean of their class if there
            are classes; see `gan.styles.truncate`.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model.
        """
        z = self.checked_latents(z)
        if (seed is not None or psi is not None) and body_of(self.network) is None:
            raise ValueError(
                f'network="{self.config.network}" has no styles and no noise inputs, which '
                '"stylegan2" and "stylegan" have; leave out seed and psi'
            )
        if psi is not None and not math.isfinite(psi):
            raise ValueError(f"psi={psi} must be finite, such as 0.7")
        classes = self.required_labels(label, len(z))
        seeds = None if seed is None else self.checked_seeds(seed, len(z))
        with inference_mode(self.network):
            parts = [
                generate(
                    self.network,
                    z[rows],
                    None if classes is None else classes[rows],
                    None if seeds is None else seeds[rows],
                    psi,
                ).float()
                for rows in batches(len(z), BATCH)
            ]
        x = torch.cat(parts)  # [n, ...]
        if self.config.network == GROWING:
            x = enlarge(x, self.config.shape[1:])
        return bounded(x, self.config)

    def sample(
        self,
        n: int | None = None,
        *,
        label: Any = None,
        seed: Seed = 0,
        truncation: float | None = None,
    ) -> Tensor:
        """Return samples: float32 (n, ...), pictures in [-1, 1].

        Parameters
        ----------
        n : int, optional
            Number of samples; by default one for each label or seed, or one.
        label : int, str, or one for each sample, optional
            Classes; by default a model with classes draws one for each sample, all as likely.
        seed : int, or one int a sample
            Sample i of a seed is the same, up to rounding, whatever n, with its noise.
        truncation : float, optional
            As for `latents`; for a network with styles psi as for `generate`: 0 gives one picture
            of each class, up to its noise, and 1 changes nothing.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model.
        """
        n = sample_count(n, label, seed)
        styled = body_of(self.network) is not None
        z = self.latents(n, seed=seed, truncation=None if styled else truncation)
        if label is None and self.config.classes:
            label = draw_labels(spread_seed(seed, n), len(self.config.classes))
        if styled:
            return self.generate(z, label, seed=seed, psi=truncation)
        return self.generate(z, label)

    def checked_latents(self, z: Tensor | npt.NDArray[Any]) -> Tensor:
        """Return latents (n, Z) in float32 on the network's device.

        Raises
        ------
        ValueError
            If they have another shape.
        """
        z = torch.as_tensor(z, dtype=torch.float32, device=self.device)
        if z.ndim != 2 or z.shape[1] != self.config.latent or not len(z):
            raise ValueError(
                f"z has shape {tuple(z.shape)}; the model takes (n, {self.config.latent}) "
                "latents, n at least 1"
            )
        return z

    @staticmethod
    def checked_seeds(seed: Seed, n: int) -> Tensor:
        """Return one seed for each of n samples, int64 (n,) on the host.

        Raises
        ------
        TypeError, ValueError
            If there are seeds for another number of samples.
        """
        seeds = spread_seed(seed, n)
        if len(seeds) != n:
            raise ValueError(f"{len(seeds)} seeds do not fit {n} samples; pass one for each")
        return seeds

    def interpolate(
        self,
        a: Tensor,
        b: Tensor,
        steps: int = 8,
        *,
        label: Any = None,
        psi: float | None = None,
    ) -> Tensor:
        """Return samples of latents between two: float32 (steps, ...).

        Parameters
        ----------
        a, b : tensors of shape (Z,)
            As of `latents`. The path is on a great circle.
        steps : int
            Number of samples, those of a and b among them.
        label : int or str, or one for each step, optional
            Classes, which a model with classes needs.
        psi : float, optional
            As for `generate`.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model.
        """
        if steps < 2:
            raise ValueError(f"steps={steps} must be at least 2, a and b")
        ends = [torch.as_tensor(end, dtype=torch.float32, device=self.device) for end in (a, b)]
        for end in ends:
            if end.shape != (self.config.latent,):
                raise ValueError(
                    f"a and b have shapes {tuple(ends[0].shape)} and {tuple(ends[1].shape)}; pass "
                    f"latents of shape ({self.config.latent},), as model.latents(1)[0]"
                )
        fractions = torch.linspace(0, 1, steps, device=self.device)
        return self.generate(slerp(ends[0], ends[1], fractions), label, psi=psi)


def load(
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str | None = None,
    network: Module | None = None,
) -> GAN:
    """Read a model that `GAN.save` wrote; parameters and errors as in `GAN.load`."""
    return GAN.load(folder, device=device, network=network)

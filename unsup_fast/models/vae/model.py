"""`VAE`: a network with its configuration, to encode, decode, sample, judge, save and load."""

import math
import os
from collections.abc import Iterator
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
    whole,
)
from unsup_fast.models.networks.latents import draw_labels, slerp
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.models.training.progress import Report
from unsup_fast.models.vae import inference
from unsup_fast.models.vae.config import Config, Network, checked_samples, network_of
from unsup_fast.models.vae.elbo import Bound
from unsup_fast.models.vae.latents import traversals
from unsup_fast.models.vae.likelihood import LIKELIHOODS, Likelihood
from unsup_fast.models.vae.nll import BitsPerDim, bits_per_dim, by_importance_sampling
from unsup_fast.models.vae.posterior import DiagonalGaussian
from unsup_fast.storage import tensors

BATCH = 256  # samples in a call of the network
Data = Tensor | npt.NDArray[Any]


class VAE(GenerativeModel[Config]):
    """A variational autoencoder (Kingma & Welling 2014).

    Parameters
    ----------
    network : torch.nn.Module
        With methods encode(x [B, ...], label [B] or None) and decode(z [B, Z], label); see
        `Config.network`.
    config : Config

    Attributes
    ----------
    network, config
        The arguments.
    likelihood : Likelihood
        How the decoder's output is read.
    """

    kind = tensors.VAE
    config_type = Config
    network: Network

    def __init__(self, network: Module, config: Config) -> None:
        wrapped = network if isinstance(network, Network) else Network(network, config)
        super().__init__(wrapped, config)
        self.likelihood: Likelihood = LIKELIHOODS[config.likelihood]

    def __repr__(self) -> str:
        config = self.config
        parameters = sum(each.numel() for each in self.network.parameters())
        size = "" if config.network == CUSTOM else f" {config.size}"
        shape = " x ".join(map(str, config.shape))
        classes = f", {len(config.classes)} classes" if config.classes else ""
        return (
            f"<VAE: {shape}, {config.network}{size}, {config.latent} latents, {config.likelihood}"
            f"{classes}, {parameters:,} parameters on {self.device}>"
        )

    @staticmethod
    def network_of(config: Config, seed: int) -> Network:
        """Return a new network with weights drawn from a seed; see `GenerativeModel`."""
        return network_of(config, seed)

    def encode(self, x: Data, label: Any = None, *, seed: Seed = 0) -> DiagonalGaussian:
        """Return the distributions of latents of samples.

        Parameters
        ----------
        x : array or tensor of shape (N, ...)
            uint8 pictures, or floats: pictures in [-1, 1], rows as they were in training.
        label : int, str, or one for each sample, optional
            Classes, which a model with classes needs.
        seed : int, or one int a sample
            Seed of what is drawn of x before it is encoded: black and white pixels with the
            likelihood "bernoulli", dequantising noise of 8-bit values with "gaussian".

        Returns
        -------
        DiagonalGaussian
            Of shape (N, Z), on the network's device.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model.
        """
        with inference_mode(self.network):
            parts = [part.posterior for part in self._encoded(x, label, seed)]
        return DiagonalGaussian(
            mean=torch.cat([part.mean for part in parts]),
            log_variance=torch.cat([part.log_variance for part in parts]),
        )

    def decode(self, z: Data, label: Any = None) -> Tensor:
        """Return the means of p(x | z) for latents (N, Z): float32 (N, ...).

        Pictures lie in [-1, 1], but with the likelihood "gaussian", whose means have no bounds.
        """
        z = torch.as_tensor(z, dtype=torch.float32, device=self.device)
        if z.ndim != 2 or z.shape[1] != self.config.latent or not len(z):
            raise ValueError(
                f"z has shape {tuple(z.shape)}; the model decodes (N, {self.config.latent}) "
                "latents, N at least 1"
            )
        labels = self.required_labels(label, len(z))
        with inference_mode(self.network):
            return torch.cat(
                [
                    self.likelihood.mean(
                        self.network.decode(z[rows], None if labels is None else labels[rows])
                    )
                    for rows in batches(len(z), BATCH)
                ]
            )

    def reconstruct(self, x: Data, label: Any = None, *, seed: Seed = 0) -> Tensor:
        """Return the decoded means of latents of samples x, as `encode` takes them: (N, ...)."""
        return self.decode(self.encode(x, label, seed=seed).mean, label)

    def sample(
        self,
        n: int | None = None,
        *,
        label: Any = None,
        seed: Seed = 0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the means of p(x | z) for latents of the prior: float32 (n, ...).

        Parameters
        ----------
        n : int, optional
            Number of samples; by default one for each label or seed, or one.
        label : int, str, or one for each sample, optional
            Classes; by default a model with classes draws one for each sample, all as likely.
        seed : int, or one int a sample
            Sample i of a seed is the same, up to rounding, whatever n.
        temperature : float
            Standard deviation of the latents; below 1 samples are more typical and more alike.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model.
        """
        n = sample_count(n, label, seed)
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature={temperature} must be at least 0 and finite")
        seeds = spread_seed(seed, n)
        if len(seeds) != n:
            raise ValueError(f"{len(seeds)} seeds do not fit {n} samples; pass one for each")
        if label is None and self.config.classes:
            label = draw_labels(seeds, len(self.config.classes))
        z = randn((n, self.config.latent), seed=seeds, device=self.device)  # [n, Z]
        return self.decode(z.mul_(temperature), label)

    def elbo(self, x: Data, label: Any = None, *, seed: Seed = 0) -> Bound:
        """Return the evidence lower bound of samples, by one draw of the latents of each.

        Parameters are those of `encode`. 8-bit values with the likelihood "gaussian" give
        densities of values in [-1, 1]; see `nll_bits_per_dim`.
        """
        with inference_mode(self.network):
            parts = [
                inference.bound(self.network, self.likelihood, batch)
                for batch in self._encoded(x, label, seed)
            ]
        return Bound(
            reconstruction=torch.cat([part.reconstruction for part in parts]),
            kl=torch.cat([part.kl for part in parts]),
        )

    def nll(
        self,
        x: Data,
        label: Any = None,
        *,
        n_samples: int = 500,
        seed: Seed = 0,
        batch_size: int | None = None,
        progress: bool | Report | None = None,
    ) -> Tensor:
        """Return -log p(x) of samples in nats by importance sampling: float64 (N,).

        The mean is an upper bound, -L_K with K = n_samples (Burda et al. 2016).

        Parameters
        ----------
        x, label, seed
            As for `encode`.
        n_samples : int
            Draws of the latents of each sample.
        batch_size : int, optional
            Latents that are decoded at a time; by default as many as stay in the cache.
        progress : bool or callable (done, total, seconds left), optional
            Whether to show a bar; by default on a terminal and in notebooks.
        """
        with inference_mode(self.network):
            return by_importance_sampling(
                self.network,
                self.likelihood,
                self._encoded(x, label, seed),
                len(x),
                n_samples,
                batch_size,
                progress,
            )

    def nll_bits_per_dim(self, x: Data, label: Any = None, **options: Any) -> BitsPerDim:
        """Return -log2 p(x) for each value of samples; parameters as for `nll`.

        8-bit values count by their probability, as for `diffusion.nll_bits_per_dim`: with the
        likelihood "gaussian" by the density times the width of a bin. Floats with that likelihood
        give bits of a density, which may be negative; "bernoulli" bits of black and white pixels.
        """
        samples = checked_samples(x, self.config)
        width = self.likelihood.bin_width if samples.dtype == torch.uint8 else 1.0
        nats = self.nll(samples, label, **options)
        return bits_per_dim(nats, math.prod(self.config.shape), width)

    def traverse(
        self,
        x: Data,
        label: Any = None,
        *,
        latents: Any = None,
        values: Any = None,
        seed: int = 0,
    ) -> Tensor:
        """Return pictures of one sample while one of its latents at a time takes other values.

        Parameters
        ----------
        x : array or tensor of shape (1, ...)
            As for `encode`.
        latents : sequence of int, optional
            Which; by default the eight with the largest KL for x.
        values : sequence of float, optional
            By default 7 from -3 to 3.

        Returns
        -------
        float32 tensor of shape (len(latents), len(values), ...)
        """
        posterior = self.encode(x, label, seed=seed)
        if len(posterior.mean) != 1:
            raise ValueError(f"x holds {len(posterior.mean)} samples; pass one, as x[:1]")
        if latents is None:
            latents = posterior.kl()[0].argsort(descending=True, stable=True)[:8]
        which = torch.tensor([whole("latents", j) for j in latents], device=self.device)
        if not bool(((which >= 0) & (which < self.config.latent)).all()):
            raise ValueError(f"latents={latents} must be from 0 to {self.config.latent - 1}")
        levels = torch.linspace(-3, 3, 7) if values is None else torch.as_tensor(values)
        z = traversals(posterior.mean[0], which, levels.float().to(self.device))  # [L, V, Z]
        decoded = self.decode(z.flatten(0, 1), self._repeated(label, z.shape[0] * z.shape[1]))
        return decoded.unflatten(0, z.shape[:2])

    def interpolate(
        self, a: Data, b: Data, steps: int = 8, *, label: Any = None, seed: int = 0
    ) -> Tensor:
        """Return decoded latents between those of a and those of b: (steps, ...).

        Parameters
        ----------
        a, b : arrays or tensors of shape (1, ...)
            As for `encode`. Latents are interpolated on a great circle (`vae.slerp`).
        steps : int
            Number of samples, a and b among them.
        label : int or str, optional
            The class of all of them.

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model, or there is not one a and one b.
        """
        if steps < 2:
            raise ValueError(f"steps={steps} must be at least 2, a and b")
        means = [self.encode(x, label, seed=seed).mean for x in (a, b)]
        if any(len(mean) != 1 for mean in means):
            sizes = [len(mean) for mean in means]
            raise ValueError(f"a and b hold {sizes} samples; pass one each, as x[:1]")
        ends = [mean[0] for mean in means]
        fractions = torch.linspace(0, 1, steps, device=self.device)
        z = slerp(ends[0], ends[1], fractions)  # [steps, Z]
        return self.decode(z, self._repeated(label, steps))

    def _repeated(self, label: Any, n: int) -> Tensor | None:
        """Return the class of one sample n times."""
        labels = self.required_labels(label, 1)
        return None if labels is None else labels.repeat(n)

    def _encoded(self, x: Data, label: Any, seed: Seed) -> Iterator[inference.Encoded]:
        """Yield batches of samples with their posteriors."""
        samples = checked_samples(x, self.config)
        labels = self.required_labels(label, len(samples))
        seeds = spread_seed(seed, len(samples))
        for rows in batches(len(samples), BATCH):
            yield inference.encode(
                self.network,
                self.likelihood,
                samples[rows].to(self.device),
                None if labels is None else labels[rows],
                seeds[rows],
            )


def load(
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str | None = None,
    network: Module | None = None,
) -> VAE:
    """Read a model that `VAE.save` wrote; parameters and errors as in `VAE.load`."""
    return VAE.load(folder, device=device, network=network)

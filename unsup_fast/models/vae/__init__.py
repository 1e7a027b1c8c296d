"""Variational autoencoders: train, encode, decode, sample, and bound the likelihood of data.

config = vae.Config(shape=(1, 28, 28), likelihood="bernoulli")
model = vae.train(pictures, "run", config=config, options=TrainConfig(steps=5000))
latents = model.encode(pictures).mean
nats = model.nll(pictures[:100], n_samples=500)

autoencoder = vae.train_autoencoder(pictures, "run2", config=vae.KLConfig(shape=(3, 64, 64)),
                                    options=TrainConfig(steps=5000, batch_size=16))
latents = autoencoder.latents(pictures)  # what a diffusion model can learn
"""

from unsup_fast.models.networks.latents import slerp
from unsup_fast.models.vae.config import Config
from unsup_fast.models.vae.elbo import Bound, importance_weighted_bound, negative_elbo
from unsup_fast.models.vae.kl import AutoencoderKL
from unsup_fast.models.vae.kl_config import KLConfig
from unsup_fast.models.vae.kl_training import train_autoencoder
from unsup_fast.models.vae.likelihood import LIKELIHOODS, Likelihood
from unsup_fast.models.vae.model import VAE, load
from unsup_fast.models.vae.nll import BitsPerDim
from unsup_fast.models.vae.posterior import DiagonalGaussian
from unsup_fast.models.vae.statistics import LatentStatistics, latent_statistics
from unsup_fast.models.vae.training import train

__all__ = [
    "LIKELIHOODS",
    "VAE",
    "AutoencoderKL",
    "BitsPerDim",
    "Bound",
    "Config",
    "DiagonalGaussian",
    "KLConfig",
    "LatentStatistics",
    "Likelihood",
    "importance_weighted_bound",
    "latent_statistics",
    "load",
    "negative_elbo",
    "slerp",
    "train",
    "train_autoencoder",
]

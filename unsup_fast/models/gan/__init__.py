"""Generative adversarial networks: the game, its dynamics, training that says when it fails.

config = gan.Config(shape=(1, 28, 28), classes=tuple("0123456789"))
model = gan.train(pictures, "run", labels=labels, config=config,
                  options=gan.train_config("r3gan", steps=10_000))
samples = model.sample(64)
w = gan.styles.styles(model, model.latents(8))  # of a model of the network "stylegan2"

error = gan.game.best_error(p, q)  # half of one minus the total variation distance
distance = gan.estimates.tv_from_logits(discriminator(real), discriminator(fake))
path = gan.dynamics.play(value, theta, phi, lr=0.1, rule="alternating", steps=200)
"""

from unsup_fast.models.gan import dynamics, estimates, game, styles, wasserstein
from unsup_fast.models.gan.alarm import Alarm, Signal
from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.losses import LOSSES, Loss
from unsup_fast.models.gan.model import GAN, load
from unsup_fast.models.gan.recipes import FAMILIES, NETWORKS, Recipe, train_config
from unsup_fast.models.gan.training import train

__all__ = [
    "FAMILIES",
    "GAN",
    "LOSSES",
    "NETWORKS",
    "Alarm",
    "Config",
    "Loss",
    "Recipe",
    "Signal",
    "dynamics",
    "estimates",
    "game",
    "load",
    "styles",
    "train",
    "train_config",
    "wasserstein",
]

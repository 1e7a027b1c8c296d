"""`unsup-fast vae train`: a variational autoencoder, or a KL autoencoder."""

from unsup_fast.cli.training import run as training
from unsup_fast.cli.vae.autoencoder import AutoencoderFamily
from unsup_fast.cli.vae.family import VAEFamily
from unsup_fast.cli.vae.settings import KL, TrainSettings


def run(settings: TrainSettings) -> int:
    """Run the command and return its exit status; errors are those of `training.run.run`."""
    family = AutoencoderFamily() if settings.network == KL else VAEFamily()
    return training.run(family, settings)

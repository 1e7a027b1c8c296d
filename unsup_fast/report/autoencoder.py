"""The page of a KL autoencoder: its losses, what it keeps of pictures, and its latents."""

from dataclasses import dataclass

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import page, pictures, runs
from unsup_fast.report.numbers import percent
from unsup_fast.report.page import COARSE, Picture

MOST_CHANNELS = 8
RANGE = 3.0
"""Standard deviations at which a scaled latent is drawn black or white."""


@dataclass(frozen=True)
class Run(runs.TrainingRun):
    """The content of a report.

    Attributes
    ----------
    originals, reconstructions : ndarray of shape (n, H, W, C), uint8
    latents : ndarray of shape (n, Z, h, w)
        Scaled latents of the same pictures.
    psnr : float
        Of these reconstructions, in dB.
    """

    originals: Array
    reconstructions: Array
    latents: Array
    psnr: float


def autoencoder(run: Run) -> str:
    """Return the page.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    shape = " x ".join(map(str, run.latents.shape[1:]))
    share = run.latents[0].size / run.originals[0].size
    tiles = [
        *runs.tiles(run, f"equivariance {run.summary['parameters']['equivariance']:g}"),
        ("Latents", shape, f"{percent(share)} as many numbers as a picture"),
        ("PSNR", f"{run.psnr:.1f} dB", f"of {len(run.originals)} pictures of the training"),
    ]
    return page.document(
        "autoencoder.html",
        title=run.title,
        lead=f"A {run.summary['parameters']['model_size']} KL autoencoder with latents {shape}, "
        f"trained on {runs.described(run)}.",
        notes=runs.notes(run),
        tiles=tiles,
        **runs.course(run),
        samples="Rows of pictures, each above that of their reconstructions by averaged weights.",
        strips=_strips(run),
        scaled=f"Channels of the scaled latents from -{RANGE:g} (black) to {RANGE:g} (white).",
        code=(
            "from unsup_fast.models import vae\n"
            f"model = vae.AutoencoderKL.load({run.folder!r})\n"
            f"latents = model.latents(x)  # scaled, [N, {shape.replace(' x', ',')}]\n"
            "images = model.pictures(latents)"
        ),
        usage=f"Or unsup-fast vae encode {run.folder} DATA -o latents.npz, which diffusion train "
        "reads.",
        summary=run.summary,
        data_name=run.data_name,
    )


def _strips(run: Run) -> list[Picture]:
    """Return pictures, their reconstructions, and the channels of their latents."""
    n, n_channels, height, width = run.latents.shape
    strips = [
        runs.strip(run.originals, "pictures", f"{n} pictures"),
        runs.strip(run.reconstructions, "decoded", "The same pictures, reconstructed"),
    ]
    for channel in range(min(n_channels, MOST_CHANNELS)):
        rows = np.ascontiguousarray(run.latents[:, channel]).reshape(n, -1)  # [n, h w]
        uri = pictures.strip(rows, (height, width), -RANGE, RANGE, n)
        name = f"channel {channel}"
        strips.append(Picture(uri, f"Latents, {name}", max(height, width) <= COARSE, name))
    return strips

"""`unsup-fast diffusion eval`: how well a trained model knows pictures."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from unsup_fast import metrics
from unsup_fast.cli import files
from unsup_fast.cli.diffusion import latents, models
from unsup_fast.cli.diffusion.sample import check, draw
from unsup_fast.cli.diffusion.settings import EvalSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import FeatureFunction, extractor
from unsup_fast.cli.training import comparison, data, evaluation
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data
from unsup_fast.report.numbers import counted, real

if TYPE_CHECKING:
    import torch

    from unsup_fast.models.vae import AutoencoderKL

Array = npt.NDArray[Any]
Extractor = tuple[FeatureFunction, dict[str, Any]]

PICTURES = 1000  # by default


def run(settings: EvalSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing.
    """
    models.check_torch()
    read = files.inputs_of(DATA=settings.data, features=settings.features, weights=settings.weights)
    read += RunFolder(settings.run_path).inputs()
    if settings.decoder is not None:
        read += RunFolder(settings.decoder).inputs()
    return evaluation.run(settings, read, partial(_evaluated, settings), _tell)


def _evaluated(settings: EvalSettings, device: "torch.device", progress: Silent) -> dict[str, Any]:
    """Return the scores and what they depend on."""
    model = models.load(settings.run_path, device, settings.steps)
    decoder = _decoder(settings, model)
    levels = model.config.n_timesteps
    if settings.timesteps > levels:
        raise UserError(
            f"--timesteps {settings.timesteps}: the model has {levels} levels; pass {levels} or "
            "less, or 0 for all"
        )
    shape = model.config.shape if decoder is None else decoder.config.shape
    dataset = data.read_for(settings, progress, shape)
    known = labels_for(dataset, model.config.classes)
    features = _features(settings, model, dataset, known)
    bits = {} if decoder is not None else _bits(settings, model, dataset, known, progress)
    fid = {}
    if features is not None:
        fid = _fid(settings, model, dataset, known, features, progress, decoder)
    return {
        **bits,
        **fid,
        "run": str(settings.run_path),
        "data": dataset.about(),
        "conditional": known is not None,
        "parameters": _recorded(settings, model),
    }


def _decoder(settings: EvalSettings, model: Any) -> "AutoencoderKL | None":
    """Return the decoder of a model of latents.

    Raises
    ------
    UserError
        If there is none for such a model, or it does not fit, or the FID is not asked for.
    """
    if settings.decoder is None:
        if latents.are_latents(model.config):
            raise UserError(
                f"{settings.run_path}: its model makes latents; pass --decoder with the run of the "
                "autoencoder, and --features for the FID"
            )
        return None
    decoder = latents.load_decoder(settings.decoder, model)
    if decoder.config.latent_shape != model.config.shape:
        raise UserError(
            f"--decoder {settings.decoder}: decodes latents of shape {decoder.config.latent_shape},"
            f" the model makes {model.config.shape}; name the run whose latents it was trained on"
        )
    if settings.features is None:
        raise UserError(
            "--decoder: the model has no bits per dimension of pictures; pass --features for the "
            "FID"
        )
    if settings.n is not None:
        raise UserError(
            f"-n {settings.n}: is for bits per dimension, which a model of latents has "
            "none of; leave it out"
        )
    return decoder


def _recorded(settings: EvalSettings, model: Any) -> dict[str, Any]:
    """Return what the result says of the options; the sampler is the model's own by default."""
    recorded: dict[str, Any] = {"timesteps": settings.timesteps or None, "seed": settings.seed}
    if settings.decoder is not None:
        recorded = {"decoder": str(settings.decoder), "seed": settings.seed}
    if settings.features is None:
        return recorded
    return recorded | {
        "sampler": settings.sampler or model.config.sampler,
        "steps": settings.steps or model.config.steps,
        "guidance": settings.guidance,
        "guidance_interval": settings.guidance_interval,
        "precision": settings.precision,
    }


def _features(
    settings: EvalSettings, model: Any, dataset: Data, known: Array | None
) -> Extractor | None:
    """Return what the FID is computed by, if it is asked for; all that it needs is there then."""
    chosen = settings.on(str(model.device))
    if chosen is None:
        return None
    steps = settings.steps or model.config.steps
    check(model, steps, _n_samples(settings, dataset), "--samples")
    if settings.guidance is not None and known is None:
        raise UserError("--guidance: needs pictures whose classes the model knows; leave it out")
    return extractor(chosen, "features")


def _n_samples(settings: EvalSettings, dataset: Data) -> int:
    return settings.samples or min(comparison.SAMPLES, len(dataset.pixels))


def _bits(
    settings: EvalSettings, model: Any, dataset: Data, known: Array | None, progress: Silent
) -> dict[str, Any]:
    """Return the bits per dimension of some of the pictures."""
    from unsup_fast.models import diffusion

    n = min(settings.n or PICTURES, len(dataset.pixels))
    chosen = np.sort(np.random.default_rng(settings.seed).permutation(len(dataset.pixels))[:n])
    progress.begin("Bounding the likelihood")
    likelihood = diffusion.nll_bits_per_dim(
        model,
        dataset.pixels[chosen],
        labels=None if known is None else known[chosen],
        n_timesteps=settings.timesteps or None,
        seed=settings.seed,
        batch_size=settings.batch_size or comparison.BATCH,
        progress=lambda done, total: progress.part(done, total, "seen"),
    )
    return {
        "bits_per_dim": float(likelihood.bits_per_dim),
        "standard_error": _finite(likelihood.standard_error),
        "parts": {
            name: float(np.mean(getattr(likelihood, name)))
            for name in ("prior", "reconstruction", "consistency")
        },
        "pictures": n,
    }


def _fid(
    settings: EvalSettings,
    model: Any,
    dataset: Data,
    known: Array | None,
    features: Extractor,
    progress: Silent,
    decoder: "AutoencoderKL | None",
) -> dict[str, Any]:
    """Return the distance between generated pictures, decoded ones of latents, and the data."""
    function, about = features
    n = _n_samples(settings, dataset)
    labels = comparison.frequent(known, n, settings.seed)
    generated = draw(model, settings, n, labels, progress, decoder)
    distance = metrics.FrechetDistance()
    for pixels, is_real in ((dataset.pixels, True), (generated, False)):
        comparison.add([distance], function, pixels, real=is_real, progress=progress)
    progress.begin("Computing the distance")
    return {"fid": float(distance.compute()), "samples": n, "features": about}


def _tell(summary: dict[str, Any], console: Console) -> None:
    if "bits_per_dim" in summary:
        error = summary["standard_error"]
        around = "" if error is None else f" (standard error {real(error)})"
        labelled = "their classes told" if summary["conditional"] else "no classes told"
        console.print(
            f"[bold]{real(summary['bits_per_dim'])} bits per dimension[/]{around}, at most; "
            f"{counted(summary['pictures'], 'picture')}, {labelled}"
        )
    if "fid" in summary:
        n = summary["data"]["shape"][0]
        console.print(
            f"[bold]fid {real(summary['fid'])}[/]  ({counted(summary['samples'], 'sample')} and "
            f"{counted(n, 'picture')})"
        )


def _finite(value: float) -> float | None:
    """Return a number, or None for what JSON has no word for."""
    return float(value) if np.isfinite(value) else None

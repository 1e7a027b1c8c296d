"""`unsup-fast diffusion eval`: how well a trained model knows pictures."""

import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from unsup_fast import metrics
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.diffusion import latents, models
from unsup_fast.cli.diffusion.sample import check, draw
from unsup_fast.cli.diffusion.settings import EvalSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import FeatureSettings
from unsup_fast.cli.info import version
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import extractor, named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.data import Data
from unsup_fast.report.numbers import counted, real, seconds

Array = npt.NDArray[Any]
Extractor = tuple[Callable[[Any], Any], dict[str, Any]]

PICTURES, SAMPLES = 1000, 2000  # by default
BATCH = 64


def run(settings: EvalSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing.
    """
    console = terminal.console(quiet=settings.quiet, stderr=settings.json)
    models.check_torch()
    if settings.out is not None:
        read = files.inputs_of(
            DATA=settings.data,
            features=settings.features,
            weights=settings.weights,
        )
        read += RunFolder(settings.run_path).inputs()
        files.check_file(settings.out, "-o", (".json",), settings.overwrite, read)
    with Interrupts() as interrupts:
        try:
            summary = _evaluated(settings, console)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is kept.")
            return interrupts.status
    text = results.as_json(summary)
    if settings.out is not None:
        results.write_text(settings.out, text)
    if settings.json:
        sys.stdout.write(text)
        return 0
    _tell(summary, console)
    return 0


def _evaluated(settings: EvalSettings, console: Console) -> dict[str, Any]:
    """Return the scores and everything that they depend on."""
    begun = perf_counter()
    device = device_of(settings.device)
    model = models.load(settings.run_path, device, settings.steps)
    latents.refuse(settings.run_path, model.config, "diffusion eval")
    levels = model.config.n_timesteps
    if settings.timesteps > levels:
        raise UserError(
            f"--timesteps {settings.timesteps}: the model has {levels} levels; pass {levels} or "
            "less, or 0 for all"
        )
    silent = settings.quiet or (settings.json and not console.is_terminal)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with showing(console, silent) as progress, named():
            dataset = data.read_for(settings, progress, model.config.shape)
            known = labels_for(dataset, model.config.classes)
            features = _features(settings, model, dataset, known)
            bits = _bits(settings, model, dataset, known, progress)
            fid = {}
            if features is not None:
                fid = _fid(settings, model, dataset, known, features, progress)
    messages = [" ".join(str(warning.message).split()) for warning in caught]
    for line in dict.fromkeys(messages):
        terminal.warn(line)
    machine = results.machine(None) | {"device": str(device)}
    return {
        "command": "diffusion eval",
        **bits,
        **fid,
        "run": str(settings.run_path),
        "data": dataset.about(),
        "conditional": known is not None,
        "parameters": _recorded(settings, model),
        "warnings": messages,
        "seconds": round(perf_counter() - begun, 4),
        "machine": machine,
        "versions": results.versions() | {"torch": version("torch")},
    }


def _recorded(settings: EvalSettings, model: Any) -> dict[str, Any]:
    """Return what the result says of the options; the sampler is the model's own by default."""
    recorded = {"timesteps": settings.timesteps or None, "seed": settings.seed}
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
    if settings.features is None:
        return None
    steps = settings.steps or model.config.steps
    check(model, steps, _n_samples(settings, dataset), "--samples")
    if settings.guidance is not None and known is None:
        raise UserError("--guidance: needs pictures whose classes the model knows; leave it out")
    return extractor(
        FeatureSettings(
            features=settings.features,
            weights=settings.weights,
            resize=settings.resize,
            device=str(model.device),
        ),
        "features",
    )


def _n_samples(settings: EvalSettings, dataset: Data) -> int:
    return settings.samples or min(SAMPLES, len(dataset.pixels))


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
        batch_size=settings.batch_size or BATCH,
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
) -> dict[str, Any]:
    """Return the distance between generated pictures and all of the data."""
    function, about = features
    n = _n_samples(settings, dataset)
    labels = None
    if known is not None:  # as frequent as among the pictures
        labels = np.random.default_rng(settings.seed).choice(known, n).tolist()
    generated = draw(model, settings, n, labels, progress)
    distance = metrics.FrechetDistance()
    for pixels, is_real, what in ((dataset.pixels, True, "data"), (generated, False, "samples")):
        progress.begin(f"Features of the {what}")
        for start in range(0, len(pixels), BATCH):
            some = pixels[start : start + BATCH]  # [b, C, H, W]
            some = some[:, 0] if some.shape[1] == 1 else np.moveaxis(some, 1, -1)
            distance.update(function(some), real=is_real)
            progress.part(start + len(some), len(pixels), "seen")
    progress.begin("Computing the distance")
    return {"fid": float(distance.compute()), "samples": n, "features": about}


def _tell(summary: dict[str, Any], console: Console) -> None:
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
    console.print(seconds(summary["seconds"]), style="dim")


def _finite(value: float) -> float | None:
    """Return a number, or None for what JSON has no word for."""
    return float(value) if np.isfinite(value) else None

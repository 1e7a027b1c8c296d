"""The report of a training: samples are drawn for it here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, results
from unsup_fast.cli.diffusion import latents
from unsup_fast.cli.training import folder
from unsup_fast.report.diffusion import Run, Unfolding, diffusion

SAMPLER, STEPS = "dpm++2m", 20
UNFOLDED, PHASES = 8, 10
SEED = 1  # another one than that of the grids


def write_report(run: Path, model: Any, summary: Mapping[str, Any], title: str | None) -> None:
    """Write `report.html`."""
    name = Path(summary["data"]["file"]).name
    page = diffusion(
        Run(
            title=title or f"A diffusion model of {name}",
            data_name=name,
            folder=str(run),
            summary=summary,
            metrics=run / files.METRICS,
            grids=folder.grids(run),
            unfolding=unfolding(model),
        )
    )
    results.write_text(run / files.REPORT, page)


def unfolding(model: Any) -> Unfolding:
    """Return samples at several steps between noise and picture."""
    classes = model.config.classes[:UNFOLDED]
    n = len(classes) or UNFOLDED // 2
    seen: list[Any] = []
    model.sample(
        n,
        sampler=SAMPLER,
        steps=min(STEPS, model.config.n_timesteps),
        label=list(range(n)) if classes else None,
        seed=SEED,
        batch_size=n,
        progress=False,
        callback=lambda _, x: seen.append(
            np.asarray(pictures.to_bytes(latents.shown(model.config, x)))
        ),
    )
    chosen = np.unique(np.linspace(0, len(seen) - 1, PHASES).astype(int))
    phases = np.stack([seen[row] for row in chosen], axis=1)  # [n, P, C, H, W]
    return Unfolding(
        phases=np.moveaxis(phases, 2, -1),
        names=classes or tuple(f"sample {i + 1}" for i in range(n)),
        steps=tuple(int(row) + 1 for row in chosen),
        sampler=SAMPLER,
    )

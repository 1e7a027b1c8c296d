"""`unsup-fast fid`, `inception-score`, `kid` and `prdc`: from pictures or features to a number."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from unsup_fast import metrics
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.samples import (
    FeatureFunction,
    Features,
    Samples,
    check_statistics,
    extractor,
    features_name,
    named,
    open_samples,
    rows,
)
from unsup_fast.cli.scores.settings import (
    FidSettings,
    InceptionScoreSettings,
    KidSettings,
    PrdcSettings,
    ScoreSettings,
)
from unsup_fast.cli.torch_ import torch_threads
from unsup_fast.cli.values import INCEPTION, LITES, NONE
from unsup_fast.report.numbers import count, counted, real, seconds

Scores = dict[str, Any]


class Accumulator(Protocol):
    """A score of two sides that takes their features a block at a time."""

    def update(self, X: Features, *, real: bool) -> object:
        """Take features of the data, or of generated samples."""


@dataclass(frozen=True, kw_only=True)
class ScoreJob:
    """Samples that are open, and what their pictures go through."""

    settings: ScoreSettings
    sides: tuple[Samples, ...]
    function: FeatureFunction
    features: str | None
    """Name of what pictures become; None without pictures."""
    progress: Silent

    def rows(self, side: Samples) -> Iterator[Features]:
        """Yield the features of a side."""
        return rows(side, self.function, self.settings.batch_size, self.progress)

    def update(self, accumulator: Accumulator) -> None:
        """Hand the features of both sides to an accumulator."""
        for side, is_real in zip(self.sides, (True, False), strict=True):
            if side.kind != "statistics":
                for block in self.rows(side):
                    with named(side.path):
                        accumulator.update(block, real=is_real)


def fid(settings: FidSettings) -> int:
    """Run `unsup-fast fid` and return its exit status."""
    sides, save = (settings.real, settings.fake), settings.save_statistics

    def compute(job: ScoreJob) -> Scores:
        distance = metrics.FrechetDistance(n_threads=settings.threads)
        for side, is_real in zip(job.sides, (True, False), strict=True):
            if isinstance(side.data, metrics.Statistics):
                with named(side.path):
                    distance.set_statistics(*side.data, real=is_real)
        job.update(distance)
        job.progress.begin("Computing the distance")
        value = distance.compute()
        if save is not None:
            side = job.sides[0]
            name = job.features if side.kind == "images" else side.features
            metrics.save_statistics(save, *distance.statistics(real=True), features=name)
        return {"fid": value}

    if save is not None:
        read = _inputs(settings, sides)
        files.check_file(save, "--save-statistics", (".npz",), settings.overwrite, read)
    return _run(settings, sides, compute, ("images", "features", "statistics"))


def inception_score(settings: InceptionScoreSettings) -> int:
    """Run `unsup-fast inception-score` and return its exit status."""

    def compute(job: ScoreJob) -> Scores:
        score = metrics.InceptionScore(splits=settings.splits)
        for block in job.rows(job.sides[0]):
            with named(settings.fake):
                score.update(block)
            _check_count("--splits", settings.splits, job.sides, settings.splits)
        result = score.compute()
        return {"is_mean": result.mean, "is_std": result.std}

    if settings.features == NONE:
        raise UserError("--features none: the Inception Score needs a classifier of pictures")
    if settings.features in LITES:
        raise UserError(
            f"--features {settings.features}: the Inception Score is that of --features {INCEPTION}"
        )
    return _run(settings, (settings.fake,), compute, ("images", "features"))


def kid(settings: KidSettings) -> int:
    """Run `unsup-fast kid` and return its exit status."""

    def compute(job: ScoreJob) -> Scores:
        if settings.subsets:
            _check_count("--subset-size", settings.subset_size, job.sides, settings.subset_size)
        distance = metrics.KernelInceptionDistance(
            n_threads=settings.threads, **settings.recorded()
        )
        job.update(distance)
        job.progress.begin("Computing the distance")
        result = distance.compute(callback=_showing(job.progress))
        return {"kid_mean": result.mean, "kid_std": result.std}

    return _run(settings, (settings.real, settings.fake), compute, ("images", "features"))


def prdc(settings: PrdcSettings) -> int:
    """Run `unsup-fast prdc` and return its exit status."""

    def compute(job: ScoreJob) -> Scores:
        _check_count("-k", settings.k, job.sides, settings.k + 1)
        manifolds = metrics.PRDC(k=settings.k, n_threads=settings.threads)
        job.update(manifolds)
        job.progress.begin("Finding neighbours")
        return manifolds.compute(callback=_showing(job.progress))._asdict()

    return _run(settings, (settings.real, settings.fake), compute, ("images", "features"))


def _inputs(settings: ScoreSettings, paths: tuple[Path, ...]) -> list[files.Input]:
    """Return what a command reads; the last path is FAKE, one before it REAL."""
    names = ("REAL", "FAKE")[-len(paths) :]
    return files.inputs_of(
        weights=settings.weights, features=settings.features, **dict(zip(names, paths, strict=True))
    )


def _check_count(option: str, value: int, sides: tuple[Samples, ...], least: int) -> None:
    """Refuse an option that asks for more samples than a side has."""
    for side in sides:
        if side.n is not None and side.n < least:
            raise UserError(
                f"{option} {value}: needs {counted(least, 'sample')}, and {side.path} has "
                f"{count(side.n)}; pass {option} {side.n - (least - value)} or less"
            )


def _showing(progress: Silent) -> Callable[[int, int], None]:
    return lambda done, total: progress.part(done, total, "compared")


def _run(
    settings: ScoreSettings,
    paths: tuple[Path, ...],
    compute: Callable[[ScoreJob], Scores],
    kinds: tuple[str, ...],
) -> int:
    console = terminal.console(quiet=settings.quiet, stderr=settings.json)
    if settings.out is not None:
        read = _inputs(settings, paths)
        files.check_file(settings.out, "-o", (".json",), settings.overwrite, read)
    with Interrupts() as interrupts:
        try:
            start = perf_counter()
            sides = tuple(open_samples(path, settings.key, settings.size) for path in paths)
            for side in sides:
                if side.kind not in kinds:
                    raise UserError(
                        f"{side.path}: holds {side.kind}; `{settings.command}` takes pictures or "
                        "features"
                    )
            function, about = _function(settings, sides)
            check_statistics(sides, about)
            silent = settings.quiet or (settings.json and not console.is_terminal)
            with (
                terminal.showing_warnings() as messages,
                torch_threads(settings.threads),
                showing(console, silent) as progress,
                named(),
            ):
                job = ScoreJob(
                    settings=settings,
                    sides=sides,
                    function=function,
                    features=features_name(about),
                    progress=progress,
                )
                scores = compute(job)
            summary = {
                "command": settings.command,
                **scores,
                "samples": [side.about() for side in sides],
                "features": about,
                "parameters": settings.recorded(),
                "warnings": messages,
                "seconds": round(perf_counter() - start, 4),
                "machine": results.machine(settings.threads),
                "versions": results.versions(),
            }
            _tell(settings, console, scores, sides, summary)
            return 0
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is kept.")
            return interrupts.status


def _function(
    settings: ScoreSettings, sides: tuple[Samples, ...]
) -> tuple[FeatureFunction, dict[str, Any] | None]:
    """Return what pictures go through, and a description; None if there are no pictures."""
    if all(side.kind != "images" for side in sides):
        return np.asarray, None
    scored = isinstance(settings, InceptionScoreSettings)
    return extractor(settings, "probabilities" if scored else "features")


def _tell(
    settings: ScoreSettings,
    console: Console,
    scores: Scores,
    sides: tuple[Samples, ...],
    summary: dict[str, Any],
) -> None:
    text = results.as_json(summary)
    if settings.out is not None:
        results.write_text(settings.out, text)
    if settings.json:
        sys.stdout.write(text)
        return
    figures = "  ".join(f"[bold]{name} {real(value)}[/]" for name, value in scores.items())
    seen = " and ".join(
        "statistics" if side.n is None else counted(side.about()["n"], "sample") for side in sides
    )
    console.print(f"{figures}  ({seen}, {seconds(summary['seconds'])})")

"""`unsup-fast pca`: from a data file to coordinates, a model and a report."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from unsup_fast import report
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.cli import engines, files, matrices, results, terminal
from unsup_fast.cli.checkpoint import fingerprint
from unsup_fast.cli.data import (
    image_shape,
    open_source,
)
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.job import FitJob
from unsup_fast.cli.pca.settings import IN_BLOCKS, PcaSettings
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.decomposition import PCA
from unsup_fast.kernels.covariance import RangeError
from unsup_fast.report.numbers import count, counted, percent, real, seconds

# A mapped file above this size is read in blocks, so that it can be watched and stopped.
WATCHED = 1 << 30


@dataclass(frozen=True, kw_only=True)
class PcaJob(FitJob):
    """All that a run needs, checked."""

    settings: PcaSettings


def run(settings: PcaSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If a package that the report needs is missing; raised before the rows are read.
    """
    console = terminal.console(quiet=settings.quiet)
    if settings.report:
        report.check()
    folder, read = RunFolder(settings.out), files.inputs_of(DATA=settings.data)
    with (
        Interrupts() as interrupts,
        folder.open(overwrite=settings.overwrite, inputs=read),
    ):
        try:
            job = prepare(settings)
            job.show_opening(console, _wanted(settings.n_components))
            folder.check_space(_needed(job))
            model, took = _fit(job, console)
            return _finish(job, model, took, folder, console, interrupts)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is kept.")
            return interrupts.status


def prepare(settings: PcaSettings) -> PcaJob:
    """Open the data and check what can be checked before they are read."""
    source = open_source(settings)
    n_rows, n_columns = source.shape
    wanted, most = settings.n_components, min(n_rows, n_columns)
    if n_rows < 2:
        raise UserError(f"{settings.data}: has one row, and so no variance; two are needed")
    if isinstance(wanted, int):
        most -= settings.solver == "arpack"
        if wanted > most:
            raise UserError(
                f"-n {wanted}: {settings.data} has {counted(n_rows, 'row')} of "
                f"{counted(n_columns, 'column')}; pass -n {most} or less"
            )
    elif settings.solver in ("arpack", "randomized"):
        raise UserError(f"-n {wanted}: --solver {settings.solver} needs a number of axes")
    if wanted == "mle" and n_rows < n_columns:
        raise UserError(
            f"-n mle: {settings.data} has {counted(n_rows, 'row')}, fewer than its "
            f"{counted(n_columns, 'column')}; pass a number or a share"
        )
    if settings.engine is not None:
        if settings.solver not in IN_BLOCKS:
            raise UserError(
                f"--solver {settings.solver} and --engine {settings.engine} exclude each other: "
                "it reads all rows into memory; give no --solver, or no --engine"
            )
        if n_rows < n_columns:
            raise UserError(
                f"--engine {settings.engine}: {settings.data} has {counted(n_rows, 'row')}, fewer "
                f"than its {counted(n_columns, 'column')}; give no --engine"
            )
    return PcaJob(
        settings=settings,
        source=source,
        image_shape=image_shape(source, settings.images),
        fingerprints={"data": fingerprint(settings.data, source)},
    )


def _fit(job: PcaJob, console: Console) -> tuple[PCA, float]:
    """Return the fitted model and the seconds that it took."""
    settings, source = job.settings, job.source
    model = PCA(
        settings.n_components,
        whiten=settings.whiten,
        svd_solver="covariance_eigh" if settings.solver in IN_BLOCKS else settings.solver,
        random_state=settings.seed,
        standardize=settings.standardize,
        n_threads=settings.threads,
    )
    start = perf_counter()
    with (
        terminal.showing_warnings(),
        showing(console, settings.quiet) as progress,
        engines.opened(settings.engine) as engine,
    ):
        progress.begin("Reading the rows")

        def show(done: int, total: int | None) -> None:
            progress.part(done, source.n_rows, "read")
            if done == source.n_rows:
                progress.begin("Finding the axes")

        try:
            model.fit(_rows(settings, source), engine=engine, callback=show)
        except RangeError as error:
            reason = str(error).replace(" X", " the rows")
            raise UserError(f"{settings.data}: {reason}") from error
    job.warn_of_dominant()
    return model, perf_counter() - start


def _rows(settings: PcaSettings, source: Source) -> Source | Array:
    """Return the rows as the engine or the solver takes them."""
    if settings.engine is not None:
        return source
    if settings.solver not in IN_BLOCKS or source.n_rows < source.n_columns:
        return source.to_array()  # wide rows take less memory than their covariance
    if source.array is not None and source.array.nbytes > WATCHED:
        return source.map_rows(lambda rows, first: rows)
    return source


def _finish(
    job: PcaJob,
    model: PCA,
    took: float,
    folder: RunFolder,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write the results, tell what came of the run, and return the exit status."""
    settings, source = job.settings, job.source
    model.__dict__.pop("feature_names_in_", None)
    name = files.COORDINATES[job.is_table]
    names = list(model.get_feature_names_out())
    summary = summarise(job, model, took)
    coordinates = matrices.computed(source, model.transform, len(names))
    matrices.write(settings.out / name, coordinates, source.n_rows_of_data, names)

    def page() -> str:
        what = f"along {_axes(int(model.n_components_))}"
        return report.pca(job.content(what, model, summary, files.COORDINATES))

    written, complete = folder.write(
        lambda: [name, *results.write_model(settings.out, model, source, summary)],
        page if settings.report else None,
        interrupts,
    )
    result = summary["result"]
    console.print(
        f"[bold]{_axes(result['axes'])}[/] in {seconds(took)}: "
        f"{percent(result['explained'])} of the variance."
    )
    console.print(f"mean squared distance left out {real(result['reconstruction_error'])}")
    console.print(results.closing(settings.out, written))
    if not complete:
        console.print("The report was left out.")
    return 0 if complete else interrupts.status


def summarise(job: PcaJob, model: PCA, took: float) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    n_rows, n_columns = job.source.shape
    shares = model.explained_variance_ratio_.astype(np.float64)
    left = float(model.noise_variance_) * (min(n_rows, n_columns) - model.n_components_)
    figures = {
        "axes": int(model.n_components_),
        "explained": float(min(round(shares.sum(), 9), 1.0)),
        "explained_variance": model.explained_variance_.astype(np.float64).tolist(),
        "explained_variance_ratio": shares.tolist(),
        "noise_variance": float(model.noise_variance_),
        "reconstruction_error": left * (n_rows - 1) / n_rows,
        "seconds": round(took, 4),
    }
    return job.summary("pca", figures)


def _wanted(n_components: int | float | str) -> str:
    if isinstance(n_components, int):
        return _axes(n_components)
    if n_components == "mle":
        return "axes by Minka's estimate"
    return f"axes for {percent(float(n_components))} of the variance"


def _axes(n_axes: int) -> str:
    return f"{count(n_axes)} {'axis' if n_axes == 1 else 'axes'}"


def _needed(job: PcaJob) -> int:
    """Bytes of all results, as far as they are known: one axis of a share or an estimate."""
    n_rows, n_columns = job.source.shape
    wanted = job.settings.n_components
    least = wanted if isinstance(wanted, int) else 1
    return int(least * (n_rows + n_columns) * job.source.dtype.itemsize + (8 << 20))

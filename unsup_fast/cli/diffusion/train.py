"""`unsup-fast diffusion train`: from pictures to a model, grids of samples and a report."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from unsup_fast import report
from unsup_fast.cli import checkpoint, files, results, terminal
from unsup_fast.cli.diffusion import models, runs
from unsup_fast.cli.diffusion.following import Following, draw
from unsup_fast.cli.diffusion.job import Job, Settings, check, prepare
from unsup_fast.cli.diffusion.pages import write_report
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import torch_threads
from unsup_fast.report.numbers import count, counted, real, seconds


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    model: Any
    step: int
    seconds: float
    reason: str
    interrupted: bool


def run(settings: Settings, arguments: Sequence[str] | None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    settings : Settings
    arguments : sequence of str or None
        The command line, to be repeated in the hint on how to resume; None for no hint.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable; raised before the training begins.
    ImportError
        If a package is missing; raised before the training too.
    """
    console = terminal.console(quiet=settings.quiet)
    check()
    if settings.report:
        report.check()
    if settings.resume:
        _check_resumable(settings.out)
    read = files.inputs_of(DATA=None if isinstance(settings.data, str) else settings.data)
    with (
        Interrupts() as interrupts,
        RunFolder(settings.out).open(
            overwrite=settings.overwrite, resume=settings.resume, inputs=read
        ),
    ):
        before = runs.read_summary(settings.out) if settings.resume else None
        try:
            job = prepare(settings, console)
            trained = None if before is None else _check_before(job, before)
            for line in _opening(job):
                console.print(line)
            if trained is None:
                _begin(job)
                with _kept_if_begun(settings), torch_threads(settings.threads):
                    trained = _train(job, console, interrupts)
        except KeyboardInterrupt:
            if (settings.out / files.CHECKPOINT).exists():
                console.print("[bold]Interrupted[/]: the last checkpoint is kept.")
                _hint(arguments, console)
            else:
                console.print("[bold]Interrupted[/] before a step was finished: nothing is kept.")
            return interrupts.status
        return _finish(job, trained, arguments, console, interrupts)


def _begin(job: Job) -> None:
    """Make room in the directory, and write down what is trained there."""
    out = job.settings.out
    RunFolder(out).check_space(_needed(job))
    if job.settings.overwrite:
        runs.clear(out)
    if job.settings.resume:
        runs.keep_grids(out, runs.position(out)[0])
    runs.write_summary(out, job.summary(None))


@contextmanager
def _kept_if_begun(settings: Settings) -> Iterator[None]:
    """Remove what the block left if it fails before there is a checkpoint or a model."""
    try:
        yield
    except BaseException:
        if not any((settings.out / name).exists() for name in (files.CHECKPOINT, files.MODEL)):
            runs.clear(settings.out)
        raise


def _check_resumable(out: Path) -> None:
    """Refuse to resume a run that was stopped before its first checkpoint."""
    if (out / files.SUMMARY).exists() and not (out / files.CHECKPOINT).exists():
        runs.read_summary(out)
        raise UserError(
            f"{out}: its run was stopped before its first checkpoint, there is nothing to go on "
            "from; pass --overwrite instead of --resume to begin anew"
        )


def _check_before(job: Job, before: dict[str, Any]) -> Trained | None:
    """Refuse to resume another run; return one that is done and lacks its results, else None.

    Raises
    ------
    UserError
        If the run is another one, or has done all it may and lacks nothing.
    """
    settings = job.settings
    runs.check_same(settings.out, before, job.summary(None))
    step, took = runs.position(settings.out)
    if step >= settings.steps:
        reason, more = f"reached --steps {settings.steps}", "--steps"
        done = f"{counted(step, 'step')} are done already"
    elif settings.minutes is not None and took >= 60 * settings.minutes:
        reason, more = f"reached --minutes {settings.minutes}", "--minutes"
        done = f"{seconds(took)} of training are over already"
    else:
        return None
    without_report = settings.report and not (settings.out / files.REPORT).exists()
    if before.get("result") is not None and not without_report:
        raise UserError(f"{settings.out}: {done}; pass a larger {more} to go on")
    runs.check_files(settings.out)
    runs.keep_grids(settings.out, step)
    model = models.load(settings.out, job.device)
    return Trained(model, step, took, reason, interrupted=False)


def _train(job: Job, console: Console, interrupts: Interrupts) -> Trained:
    """Train until an end or an interrupt.

    Raises
    ------
    KeyboardInterrupt
        If it came before there was a checkpoint.
    """
    from unsup_fast.models import diffusion

    settings, out = job.settings, job.settings.out
    reason, interrupted = f"reached --steps {settings.steps}", False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with showing(console, settings.quiet) as progress, named():
            progress.begin("Going on" if settings.resume else "Beginning to train")
            follow = Following(
                out,
                settings.steps,
                settings.minutes,
                settings.batch_size,
                settings.seed,
                progress,
            )
            try:
                model = diffusion.train(
                    job.data.pixels,
                    out,
                    config=job.config,
                    options=job.options,
                    labels=job.data.labels,
                    label_dropout=settings.label_dropout,
                    flip=settings.flip,
                    precision=settings.precision,
                    device=job.device,
                    progress=follow.step,
                    on_sample=follow.show,
                )
            except FloatingPointError as error:
                raise UserError(f"{out}: {error}") from error
            except KeyboardInterrupt as signalled:
                interrupts.number = next(iter(signalled.args), interrupts.number)
                if not all((out / name).exists() for name in (files.CHECKPOINT, files.MODEL)):
                    raise
                model = diffusion.load(out, device=job.device)
                if runs.position(out)[0] < settings.steps:  # else it came in the last moment
                    interrupted, reason = True, "interrupted"
            else:
                if runs.position(out)[0] < settings.steps:
                    reason = f"reached --minutes {settings.minutes}"
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        terminal.warn(text)
    return Trained(model, *runs.position(out), reason, interrupted)


def _finish(
    job: Job,
    trained: Trained,
    arguments: Sequence[str] | None,
    console: Console,
    interrupts: Interrupts,
) -> int:
    """Write summary and report, tell what came of the run, and return the exit status."""
    settings, out = job.settings, job.settings.out
    if trained.interrupted:
        message = f"Interrupted; keeping step {count(trained.step)}"
        console.print(f"[bold]{message}[/] (Ctrl-C again leaves out the report).")
    summary = job.summary(
        {
            "steps": trained.step,
            "seconds": round(trained.seconds, 3),
            "loss": runs.last_loss(out),
            "weights": job.n_weights,
            "stopped": trained.reason,
        }
    )
    complete = True
    try:
        with interrupts.shield():
            runs.write_summary(out, summary)
        interrupts.check()
        if settings.report:
            with showing(console, settings.quiet) as progress:
                progress.begin("Drawing the report")
                if not runs.grid_path(out, trained.step).exists():
                    draw(out, trained.model, trained.step, settings.seed)
                write_report(out, trained.model, summary, settings.title)
    except KeyboardInterrupt:
        complete = False
        (out / files.REPORT).unlink(missing_ok=True)  # of a shorter training
    _tell(job, trained, summary["result"], console)
    if not complete:
        console.print("The report was left out.")
    if trained.interrupted:
        _hint(arguments, console)
        return interrupts.status
    longer = "--minutes" if trained.reason.startswith("reached --minutes") else "--steps"
    if arguments is not None:
        console.print(f"To go on, give a larger {longer} with --resume.", style="dim")
    return 0 if complete else interrupts.status


def _hint(arguments: Sequence[str] | None, console: Console) -> None:
    """Print the command that resumes the run."""
    if arguments is not None:
        console.print("To go on:", style="dim")
        terminal.emit(checkpoint.command(arguments, resume=True))


def _tell(job: Job, trained: Trained, result: dict[str, Any], console: Console) -> None:
    out = job.settings.out
    console.print(
        f"[bold]Stopped[/] after {counted(trained.step, 'step')} in {seconds(trained.seconds)}: "
        f"{trained.reason}."
    )
    if result["loss"] is not None:
        console.print(f"loss {real(result['loss'])} (mean of the last tenth)")
    names = (files.MODEL, files.CONFIG, files.CHECKPOINT, files.METRICS, files.SUMMARY)
    written = [name for name in (*names, files.REPORT) if (out / name).exists()]
    if runs.grids(out):
        written.append(f"{runs.SAMPLES}/")
    console.print(results.closing(out, written))
    sampling = ("unsup-fast", "diffusion", "sample", str(out), "-n", "64", "-o", "grid.png")
    console.print(terminal.plain(terminal.shell(sampling), "dim"))


def _opening(job: Job) -> list[str | Text]:
    settings = job.settings
    name = Path(job.data.found.name).name
    lines: list[str | Text] = [
        terminal.bold(name, f"  {job.data.told()}"),
        f"{settings.network} {settings.model_size}, {count(job.n_weights)} weights, "
        f"{settings.objective}, on {job.device}",
    ]
    if settings.resume:
        step, took = runs.position(settings.out)
        lines.append(f"Going on after {counted(step, 'step')} and {seconds(took)} of training.")
    return lines


def _needed(job: Job) -> int:
    """Bytes of two checkpoints, each with four numbers for each weight, a model and a report.

    Less those of the files that they replace.
    """
    there = [job.settings.out / name for name in (files.CHECKPOINT, files.MODEL)]
    replaced = sum(path.stat().st_size for path in there if path.exists())
    return max(0, 9 * 4 * job.n_weights - replaced) + (8 << 20)

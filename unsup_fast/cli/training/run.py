"""A command that trains: from pictures to a model, grids of samples and a report."""

import io
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from unsup_fast import report
from unsup_fast.cli import checkpoint, files, results, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.settings import in_options
from unsup_fast.cli.torch_ import torch_threads
from unsup_fast.cli.training import folder, processes
from unsup_fast.cli.training.family import Family, Job
from unsup_fast.cli.training.job import check, prepare
from unsup_fast.cli.training.options import LoopSettings
from unsup_fast.cli.training.progress import TrainingProgress, draw
from unsup_fast.report.numbers import count, counted, real, seconds


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    model: Any
    step: int
    seconds: float
    reason: str
    interrupted: bool


def run(family: Family, settings: LoopSettings) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    family : Family
    settings : LoopSettings
        Without `arguments`, hints on how to resume are left out.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable; raised before the training begins.
    ImportError
        If a package is missing; raised before the training too.
    """
    check(family)
    if settings.report:
        report.check()
    try:
        with processes.joined(settings.device) as group:
            if not group.is_main:
                return _assist(family, settings, group)
            return _lead(family, settings, group)
    except processes.AbandonedError:
        return 2


def _lead(family: Family, settings: LoopSettings, group: processes.Group) -> int:
    """Run the command in the main process, and return the exit status."""
    console = terminal.console(quiet=settings.quiet)
    with Interrupts() as interrupts, ExitStack() as opened:
        try:
            with group.agreeing():
                settings = processes.restarted(settings, family.command)
                if settings.resume:
                    _check_resumable(family, settings.out)
                read = files.inputs_of(DATA=settings.data)
                opened.enter_context(
                    RunFolder(settings.out).open(
                        overwrite=settings.overwrite, resume=settings.resume, inputs=read
                    )
                )
                resumed = settings.resume
                before = folder.read_summary(settings.out, family.command) if resumed else None
                settings = family.resolved(settings, before)
                job = prepare(family, settings, console)
                trained = None if before is None else _check_before(job, before)
                for line in _opening(job, group):
                    console.print(line)
                if trained is None:
                    _begin(job)
            if group.from_main(trained is None):
                with _kept_if_begun(settings), torch_threads(settings.threads):
                    trained = _train(job, console, interrupts)
        except KeyboardInterrupt:
            if (settings.out / files.CHECKPOINT).exists():
                console.print("[bold]Interrupted[/]: the last checkpoint is kept.")
                _hint(settings, console)
            else:
                console.print("[bold]Interrupted[/] before a step was finished: nothing is kept.")
            return interrupts.status
        assert trained is not None
        return _finish(job, trained, console, interrupts)


def _assist(family: Family, settings: LoopSettings, group: processes.Group) -> int:
    """Train in another process than the main one, without a word; return the exit status."""
    quiet = replace(settings, quiet=True)
    with Interrupts() as interrupts:
        try:
            with group.agreeing(), redirect_stderr(io.StringIO()):
                resumed = settings.resume
                before = folder.read_summary(settings.out, family.command) if resumed else None
                quiet = family.resolved(quiet, before)
                job = prepare(family, quiet, terminal.console(quiet=True))
            if group.from_main(True):
                with torch_threads(settings.threads), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    family.train(job, progress=lambda *_: False, on_sample=lambda *_: None)
        except FloatingPointError:
            return 2
        except KeyboardInterrupt as signalled:
            interrupts.number = next(iter(signalled.args), interrupts.number)
            return interrupts.status
    return 0


def _begin(job: Job) -> None:
    """Make room in the directory, and write down what is trained there."""
    out = job.settings.out
    RunFolder(out).check_space(_needed(job))
    if job.settings.overwrite:
        folder.clear(out)
    if job.settings.resume:
        folder.keep_grids(out, folder.position(out)[0])
        (out / files.COMPARISON).unlink(missing_ok=True)  # of a shorter training
    folder.write_summary(out, job.summary(None))


@contextmanager
def _kept_if_begun(settings: LoopSettings) -> Iterator[None]:
    """Remove what the block left if it fails before there is a checkpoint or a model."""
    try:
        yield
    except BaseException:
        if not any((settings.out / name).exists() for name in (files.CHECKPOINT, files.MODEL)):
            folder.clear(settings.out)
        raise


def _check_resumable(family: Family, out: Path) -> None:
    """Refuse to resume a run that was stopped before its first checkpoint."""
    if (out / files.SUMMARY).exists() and not (out / files.CHECKPOINT).exists():
        folder.read_summary(out, family.command)
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
    folder.check_same(settings.out, before, job.summary(None), settings)
    step, took = folder.position(settings.out)
    if step >= settings.n_steps:
        reason, more = _reached(settings), settings.steps_option if settings.extendable else ""
        done = f"{counted(step, 'step')} are done already"
    elif settings.minutes is not None and took >= 60 * settings.minutes:
        reason, more = f"reached --minutes {settings.minutes}", "--minutes"
        done = f"{seconds(took)} of training are over already"
    else:
        return None
    without_report = settings.report and not (settings.out / files.REPORT).exists()
    if before.get("result") is not None and not without_report and not job.family.lacks(job):
        advice = f"pass a larger {more} to go on" if more else "pass --overwrite to begin anew"
        raise UserError(f"{settings.out}: {done}; {advice}")
    folder.check_files(settings.out)
    folder.keep_grids(settings.out, step)
    model = job.family.load(settings.out, job.device)
    return Trained(model, step, took, reason, interrupted=False)


def _train(job: Job, console: Console, interrupts: Interrupts) -> Trained:
    """Train until an end or an interrupt.

    Raises
    ------
    KeyboardInterrupt
        If it came before there was a checkpoint.
    """
    settings, out = job.settings, job.settings.out
    reason, interrupted = _reached(settings), False
    spoken = partial(in_options, settings=type(settings))
    with showing(console, settings.quiet) as progress, named(), terminal.warning_at_once(spoken):
        progress.begin("Going on" if settings.resume else "Beginning to train")
        follow = TrainingProgress(job, progress)
        try:
            model = job.family.train(job, progress=follow.step, on_sample=follow.sample)
        except FloatingPointError as error:
            raise UserError(f"{out}: {error}") from error
        except KeyboardInterrupt as signalled:
            interrupts.number = next(iter(signalled.args), interrupts.number)
            if not all((out / name).exists() for name in (files.CHECKPOINT, files.MODEL)):
                raise
            model = job.family.load(out, job.device)
            if folder.position(out)[0] < settings.n_steps:  # else it came in the last moment
                interrupted, reason = True, "interrupted"
        else:
            if folder.position(out)[0] < settings.n_steps:
                reason = f"reached --minutes {settings.minutes}"
    return Trained(model, *folder.position(out), reason, interrupted)


def _finish(
    job: Job,
    trained: Trained,
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
            "loss": folder.last_loss(out),
            "weights": job.n_weights,
            "stopped": trained.reason,
        }
    )
    complete = True
    try:
        with interrupts.shield():
            folder.write_summary(out, summary)
        interrupts.check()
        if not trained.interrupted and job.family.lacks(job):
            with showing(console, settings.quiet) as progress, named():
                job.family.complete(job, progress)
        if settings.report:
            with showing(console, settings.quiet) as progress:
                progress.begin("Drawing the report")
                if not folder.grid_path(out, trained.step).exists():
                    draw(job.family, out, trained.model, trained.step, settings.seed)
                job.family.write_report(job, trained.model, summary)
    except KeyboardInterrupt:
        complete = False
        (out / files.REPORT).unlink(missing_ok=True)  # of a shorter training
    _tell(job, trained, summary["result"], console)
    lacks = "" if complete else job.family.lacks(job)
    left_out = [lacks] if lacks else []
    left_out += ["the report"] if settings.report and not complete else []
    if left_out:
        verb = "was" if len(left_out) == 1 else "were"
        console.print(f"{' and '.join(left_out).capitalize()} {verb} left out.")
    if trained.interrupted or lacks:
        _hint(settings, console)
        return interrupts.status
    timed = trained.reason.startswith("reached --minutes")
    if settings.arguments and (timed or settings.extendable):
        longer = "--minutes" if timed else settings.steps_option
        console.print(f"To go on, give a larger {longer} with --resume.", style="dim")
    return 0 if complete else interrupts.status


def _reached(settings: LoopSettings) -> str:
    return f"reached {settings.steps_option} {settings.n_steps}"


def _hint(settings: LoopSettings, console: Console) -> None:
    """Print the command that resumes the run."""
    if settings.arguments:
        console.print("To go on:", style="dim")
        terminal.emit(checkpoint.command(settings.arguments, resume=True))


def _tell(job: Job, trained: Trained, result: dict[str, Any], console: Console) -> None:
    out = job.settings.out
    console.print(
        f"[bold]Stopped[/] after {counted(trained.step, 'step')} in {seconds(trained.seconds)}: "
        f"{trained.reason}."
    )
    if result["loss"] is not None:
        console.print(f"loss {real(result['loss'])} (mean of the last tenth)")
    best = folder.best(out)
    if best is not None:
        console.print(terminal.plain(best))
    shared = (files.MODEL, files.CONFIG, files.CHECKPOINT, files.METRICS, files.SUMMARY)
    names = (*shared, files.SCORES, files.BEST, files.COMPARISON, files.REPORT)
    written = [name for name in names if (out / name).exists()]
    if folder.grids(out):
        written.append(f"{folder.SAMPLES}/")
    if RunFolder(out).students():
        written.append(f"{files.STUDENTS}/")
    console.print(results.closing(out, written))
    sampling = job.family.sampling_command(job.settings)
    console.print(terminal.plain(terminal.shell(sampling), "dim"))


def _opening(job: Job, group: processes.Group) -> list[str | Text]:
    settings = job.settings
    name = Path(job.data.content.name).name
    together = "" if group.size == 1 else f", {group.size} processes"
    lines: list[str | Text] = [
        terminal.bold(name, f"  {job.data.told()}"),
        f"{job.plan.about}, {count(job.n_weights)} weights, on {job.device}{together}",
    ]
    if settings.resume:
        step, took = folder.position(settings.out)
        lines.append(f"Going on after {counted(step, 'step')} and {seconds(took)} of training.")
    return lines


def _needed(job: Job) -> int:
    """Bytes of two checkpoints, each with four numbers for each weight, a model and a report.

    Less those of the files that they replace.
    """
    there = [job.settings.out / name for name in (files.CHECKPOINT, files.MODEL)]
    replaced = sum(path.stat().st_size for path in there if path.exists())
    return max(0, 9 * 4 * job.n_weights - replaced) + (8 << 20)

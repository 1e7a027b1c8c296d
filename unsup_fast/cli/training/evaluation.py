"""A command that scores a trained model: from pictures to numbers, printed or as JSON."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.info import version
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.report.numbers import seconds

if TYPE_CHECKING:
    import torch

Scores = dict[str, Any]


class Settings(Protocol):
    """The options that all such commands have."""

    @property
    def command(self) -> str:
        """As in "vae eval"."""

    @property
    def device(self) -> str | None:
        """Name of the device."""

    @property
    def out(self) -> Path | None:
        """The file of the result."""

    @property
    def json(self) -> bool:
        """Whether the result is printed as JSON."""

    @property
    def overwrite(self) -> bool:
        """Whether the file is replaced."""

    @property
    def quiet(self) -> bool:
        """Whether progress is left out."""


def run(
    settings: Settings,
    inputs: Sequence[files.Input],
    score: Callable[["torch.device", Silent], Scores],
    show: Callable[[Scores, Console], None],
) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    settings : Settings
    inputs : sequence of Input
        Files that the command reads, which its output must not replace.
    score : callable (device, progress) -> dict
        Computes the scores, and what they depend on.
    show : callable (scores, console)
        Prints them.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    """
    console = terminal.console(quiet=settings.quiet, stderr=settings.json)
    if settings.out is not None:
        files.check_file(settings.out, "-o", (".json",), settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            summary = _evaluated(settings, console, score)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    text = results.as_json(summary)
    if settings.out is not None:
        results.write_text(settings.out, text)
    if settings.json:
        sys.stdout.write(text)
        return 0
    show(summary, console)
    console.print(seconds(summary["seconds"]), style="dim")
    return 0


def _evaluated(
    settings: Settings, console: Console, score: Callable[["torch.device", Silent], Scores]
) -> Scores:
    """Return the scores and everything that they depend on."""
    begun = perf_counter()
    device = device_of(settings.device)
    silent = settings.quiet or (settings.json and not console.is_terminal)
    with terminal.showing_warnings() as lines, showing(console, silent) as progress, named():
        scores = score(device, progress)
    return {
        "command": settings.command,
        **scores,
        "warnings": lines,
        "seconds": round(perf_counter() - begun, 4),
        "machine": results.machine(None) | {"device": str(device)},
        "versions": results.versions() | {"torch": version("torch")},
    }

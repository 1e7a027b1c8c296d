"""The job of a command that fits a model: its settings, with the rows and all else they name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from unsup_fast import report
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.cli import results, terminal
from unsup_fast.cli.data import TABLES, dominant_column
from unsup_fast.cli.options import FitSettings
from unsup_fast.report.lines import Lines


@dataclass(frozen=True, kw_only=True)
class FitJob:
    """All that a run needs, checked.

    Attributes
    ----------
    settings : FitSettings
    source : Source of shape (N, D)
    weights : ndarray of shape (N,) or None
    image_shape : tuple of int or None
        Shape of the picture in a row.
    lines : Lines or None
        The text of each row.
    fingerprints : dict
        Of each file that is read, by what it is.
    """

    settings: FitSettings
    source: Source
    weights: Array | None = None
    image_shape: tuple[int, ...] | None
    lines: Lines | None = None
    fingerprints: dict[str, Any]

    @property
    def is_table(self) -> bool:
        """Whether the rows are those of a table, and so the results are tables too."""
        return self.source.kind in TABLES

    def dominant(self) -> str | None:
        """Return a warning if the fit follows one column alone, or None."""
        return None if self.settings.standardize else dominant_column(self.source)

    def warn_of_dominant(self) -> None:
        """Print the warning, if there is one."""
        warning = self.dominant()
        if warning is not None:
            terminal.warn(warning)

    def show_opening(self, console: Console, what: str) -> None:
        """Print lines that describe the data, and what is to be done with them."""
        for line in results.opening(self.settings.data, self.source, what):
            console.print(line)

    def summary(self, command: str, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `summary.json` holds."""
        settings, data = self.settings, self.fingerprints["data"]
        return {
            "command": command,
            "data": results.about(settings.data, self.source, data, self.dominant()),
            "parameters": settings.recorded_of(self.source),
            "result": dict(figures),
            "machine": results.machine(settings.threads),
            "versions": results.versions(),
        }

    def content(
        self, what: str, model: Any, summary: dict[str, Any], names: tuple[str, str]
    ) -> report.Content:
        """Return the content of the report.

        Parameters
        ----------
        what : str
            Follows the name of the data in the title, unless the settings have a title.
        model : estimator
        summary : dict
        names : tuple of str
            Names of the file with a result for each row: of arrays, and of tables.
        """
        data = self.settings.data
        return report.Content(
            title=self.settings.title or f"{data.name} {what}",
            data_name=data.name,
            X=self.source,
            model=model,
            summary=summary,
            labels_name=names[self.is_table],
            lines=self.lines,
            image_shape=self.image_shape,
        )

"""`unsup-fast predict`: the clusters or components of new rows by a saved model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.cli import centers, matrices, models, terminal
from unsup_fast.cli.data import for_model
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.predict.settings import PredictSettings
from unsup_fast.cli.results import NO_LABEL, write_labels
from unsup_fast.report.numbers import counted


def run(settings: PredictSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    """
    outputs = [settings.out]
    more = "distances" if settings.distances else "probabilities" if settings.proba else ""
    if more and settings.out.suffix == ".npy":
        outputs.append(settings.out.with_suffix(f".{more}.npy"))
    matrices.check_outputs(
        outputs, settings.overwrite, models.inputs(settings.model, settings.data)
    )
    model = models.load(settings.model)
    _check_kind(model, settings.distances, settings.proba)
    source = for_model(model, settings)
    model.set_params(n_threads=settings.threads)
    with matrices.zero_rows(settings.data, source):
        own = model.predict(source)
        labels = source.spread(own, NO_LABEL)
        if not more:
            write_labels(settings.out, labels)
        else:
            _write(outputs, labels, _figures(source, own, model, settings.proba))
    if not settings.quiet:
        console = terminal.console()
        for note in source.notes:
            console.print(terminal.plain(note, "dim"))
        written = " and ".join(map(str, outputs))
        console.print(
            terminal.plain(
                f"{counted(len(labels), 'label')} of {settings.data.name} written to {written}"
            )
        )
    return 0


def _check_kind(model: Any, distances: bool, proba: bool) -> None:
    """Refuse what the model has not."""
    name = type(model).__name__
    if distances and not hasattr(model, "cluster_centers_"):
        raise UserError(f"--distances: a {name} has no centroids; pass --proba")
    if proba and not hasattr(model, "predict_proba"):
        raise UserError(f"--proba: a {name} has no probabilities; pass --distances")


def _figures(
    source: Source, labels: Array, model: Any, proba: bool
) -> tuple[tuple[str, ...], Iterator[Array]]:
    """Return the names of the columns next to the labels, and their blocks."""
    if proba:
        width = model.n_components
        names = tuple(f"p{k}" for k in range(width))
        return names, matrices.computed(source, model.predict_proba, width)
    width = source.n_columns
    return ("distance",), matrices.computed(source, centers.distances(labels, model), width)


def _write(
    outputs: list[Path], labels: Array, figures: tuple[tuple[str, ...], Iterator[Array]]
) -> None:
    names, blocks = figures
    if len(outputs) == 2:
        matrices.write(outputs[1], blocks, len(labels), names)
        write_labels(outputs[0], labels)
        return

    def table() -> Iterator[list[Array]]:
        row = 0
        for block in blocks:
            columns = [block] if block.ndim == 1 else list(np.ascontiguousarray(block.T))
            yield [labels[row : row + len(block)], *columns]
            row += len(block)

    matrices.write(outputs[0], table(), len(labels), ("label", *names))

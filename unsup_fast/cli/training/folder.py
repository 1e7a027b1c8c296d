"""The directory of a training run: its settings, how far it is, and its grids of samples."""

import csv
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unsup_fast._paths import check_not_special
from unsup_fast._text import valid
from unsup_fast.cli import files, results
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.settings import CommandSettings, options
from unsup_fast.report.numbers import counted, real
from unsup_fast.storage import atomic, records
from unsup_fast.storage.records import DamagedError

SAMPLES = files.SAMPLES


def grid_path(run: Path, step: int) -> Path:
    """Return where the samples of a step are."""
    return run / SAMPLES / f"{step:06d}.png"


def grids(run: Path) -> list[tuple[int, Path]]:
    """Return the steps of which there are samples, in order, each with its file."""
    paths = [path for path in (run / SAMPLES).glob("*.png") if path.stem.isdecimal()]
    return sorted((int(path.stem), path) for path in paths)


def clear(run: Path) -> None:
    """Remove all that a run left, which would belie one that begins."""
    RunFolder(run).remove_drafts()
    RunFolder(run).remove_others(())
    keep_grids(run, -1)
    with suppress(OSError):  # not there, or holds files of others
        (run / SAMPLES).rmdir()


def keep_grids(run: Path, step: int) -> None:
    """Remove the samples of later steps, and what killed runs had begun to write of others."""
    for at, path in grids(run):
        if at > step:
            path.unlink()
    atomic.remove_drafts(run / SAMPLES)


def write_summary(run: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`."""
    results.write_summary(run / files.SUMMARY, summary)


def read_summary(run: Path, command: str) -> dict[str, Any]:
    """Return what `summary.json` of a command such as "diffusion train" holds.

    Raises
    ------
    UserError
        If there is none of this command.
    """
    path = run / files.SUMMARY
    check_not_special(path)
    try:
        summary = records.read(path, kind=results.SUMMARY)
    except (OSError, DamagedError) as error:
        why = error.why if isinstance(error, DamagedError) else error
        raise UserError(f"{path}: {why}; restore it, or pass --overwrite to begin anew") from None
    if summary.get("command") != command:
        raise UserError(f"{run}: holds no run of `{command}`; name another directory")
    if not all(isinstance(summary.get(part), dict) for part in ("parameters", "data")):
        raise UserError(f"{path}: lacks parameters or data; pass --overwrite to begin anew")
    return summary


def check_same(
    run: Path, before: Mapping[str, Any], now: Mapping[str, Any], settings: CommandSettings
) -> None:
    """Refuse to resume with other settings or pictures.

    Raises
    ------
    UserError
        With the first that differs.
    """
    for name, value in valid(now["parameters"]).items():
        past, option = before["parameters"].get(name), options(type(settings))[name]
        if option.resolved_role == "course" and past != value:
            raise UserError(
                f"{run}: was trained with {option.name} = {_shown(past)}, not {_shown(value)}; "
                "resume with the same, or pass --overwrite to begin anew"
            )
    for name, digest in now.get("sources", {}).items():
        if before.get("sources", {}).get(name) != digest:
            raise UserError(
                f"{run}: cannot be resumed, the {name} is another one; resume with the same, or "
                "pass --overwrite to begin anew"
            )
    for name in ("shape", "classes", "sha256"):
        past, value = before["data"].get(name), valid(now["data"][name])
        if past != value:
            what = {
                "shape": f"their shape was {_shown(past)} and is {value}",
                "classes": "their classes are others",
                "sha256": "pixels or labels differ",
            }[name]
            raise UserError(
                f"{run}: cannot be resumed, the pictures are others ({what}); pass --overwrite to "
                "begin anew"
            )


def position(run: Path) -> tuple[int, float]:
    """Return the steps and the seconds of training that the checkpoint is at.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    from unsup_fast.models.training import checkpoint

    path = run / files.CHECKPOINT
    check_not_special(path)
    try:
        return checkpoint.position(path)
    except (OSError, DamagedError) as error:
        why = error.why if isinstance(error, DamagedError) else error
        raise UserError(
            f"{path}: is not a checkpoint, or is damaged ({why}); pass --overwrite to begin anew"
        ) from None


def check_files(run: Path) -> None:
    """Raise UserError if the checkpoint is damaged, or the metrics are not those it counts."""
    from unsup_fast.models.training import checkpoint, metrics_log

    path = run / files.METRICS
    try:
        mark = checkpoint.log_marks(run / files.CHECKPOINT).get(files.METRICS)
        if mark is not None and path.exists():
            metrics_log.read(path, mark)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from None


def last_loss(run: Path) -> float | None:
    """Return the mean loss of the last tenth of the metrics; None if there are none."""
    try:
        check_not_special(run / files.METRICS)
        with (run / files.METRICS).open(newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    except OSError:
        return None
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last) if last else None


def best(run: Path) -> str | None:
    """Return a line on the scores of the best weights; None if there are none."""
    from unsup_fast.models.training import scores
    from unsup_fast.storage import tensors

    try:
        note = tensors.read_note(run / files.BEST, kind=scores.KIND)
        named = [f"{name} {real(value)}" for name, value in note["scores"].items()]
        step = counted(note["step"], "step")
    except (OSError, DamagedError, KeyError, TypeError):
        return None
    return f"best {', '.join(named)}, after {step}"


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)[: records.SHOWN]

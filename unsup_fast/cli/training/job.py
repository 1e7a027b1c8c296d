"""The job of a training: its options, checked, with the pictures and the plan of the model."""

import math
from importlib import import_module

from rich.console import Console

from unsup_fast import _extras
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training.family import PACKAGES, Family, Job
from unsup_fast.cli.training.options import LoopSettings
from unsup_fast.report.numbers import size

BYTES_PER_VALUE = 4096  # of all that a small network computes from a value of a picture
RETAINED = 0.25  # share of what a network computes that is in memory at once for certain


def check(family: Family) -> None:
    """Raise what training would raise for a missing package.

    Raises
    ------
    ImportError
        With the install command.
    """
    for package in (*PACKAGES, "PIL"):
        _extras.check(package, "train", f"training {family.noun}")


def prepare(family: Family, settings: LoopSettings, console: Console) -> Job:
    """Read and check everything that the settings name."""
    device = device_of(settings.device)
    with showing(console, settings.quiet) as progress:
        dataset = family.read(settings, progress)
        progress.begin("Loading torch")
        import_module("unsup_fast.models.training")

    with named():
        plan = family.plan(settings, dataset)
        config = family.train_config(settings)
    job = Job(
        family=family, settings=settings, data=dataset, plan=plan, config=config, device=device
    )
    _check_memory(job)
    return job


def _check_memory(job: Job) -> None:
    """Refuse a step that memory cannot hold; a small one is not counted.

    Raises
    ------
    UserError
        With what it needs.
    """
    from unsup_fast.models.training.memory import free

    batch_size, shape = job.settings.batch_size, job.data.shape
    available = free(job.device)
    if batch_size * math.prod(shape) * BYTES_PER_VALUE <= available:
        return
    needed = int(RETAINED * batch_size * job.family.step_bytes(job.plan, shape))
    if needed > available:
        pixels = "x".join(map(str, shape[1:]))
        raise UserError(
            f"--batch-size {batch_size}: a step with so many pictures of {pixels} needs "
            f"{size(needed)} of memory, {size(available)} are free; pass a smaller --batch-size "
            "or --size"
        )

"""The processes of one training, which torchrun, accelerate or mpirun started.

The main process does what a single one does; the others compute their part of each batch, and
neither write files nor print.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from unsup_fast.cli import files
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.options import LoopSettings

SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables in which launchers write the number of processes, as accelerate reads them."""
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
"""Variable in which torchrun counts how often it has started the processes again."""


class AbandonedError(Exception):
    """Another process has reported an error, and this one ends without a message."""


@dataclass(frozen=True)
class Group:
    """The processes of a training, or this one alone.

    Attributes
    ----------
    index, size : int
        Number of this process, from 0, and of all.
    """

    index: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.index == 0

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Run a block in all processes, and leave it once all have done so.

        Raises
        ------
        AbandonedError
            If the block failed in another process. Of several errors only the first process's one
            is raised.
        """
        if self.size == 1:
            yield
            return
        try:
            yield
        except BaseException:
            if self._first_failure(failed=True) < self.index:
                raise AbandonedError from None
            raise
        if self._first_failure(failed=False) < self.size:
            raise AbandonedError

    def from_main(self, value: bool) -> bool:
        """Return the main process's value in all processes."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values: list[bool] = broadcast_object_list([value])
        return values[0]

    def _first_failure(self, *, failed: bool) -> int:
        """Return the number of the first process that failed, or how many there are."""
        from accelerate.utils import gather_object

        failures: list[bool] = gather_object([failed])
        return [*failures, True].index(True)


def launched() -> int:
    """Return how many processes a launcher started, or 1."""
    return max(int(os.environ.get(name, 1)) for name in SIZES)


@contextmanager
def joined(device: str | None) -> Iterator[Group]:
    """Join the processes that a launcher started, if it did."""
    if launched() == 1:
        yield Group()
        return
    import accelerate
    import torch

    state = accelerate.PartialState(cpu=device_of(device).type == "cpu")
    yield Group(index=state.process_index, size=state.num_processes)
    torch.distributed.destroy_process_group()


def restarted(settings: LoopSettings, command: str) -> LoopSettings:
    """Return settings that go on with an unfinished run, if torchrun started the processes again.

    Without a checkpoint it begins anew, as it has nothing to lose.
    """
    out = settings.out
    if os.environ.get(RESTARTS, "0") == "0" or not (out / files.SUMMARY).exists():
        return settings
    if folder.read_summary(out, command).get("result") is not None:
        return settings
    begun = (out / files.CHECKPOINT).exists()
    return replace(settings, resume=begun, overwrite=not begun)

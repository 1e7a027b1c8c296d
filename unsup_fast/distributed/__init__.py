"""Estimators over many processes: each has some of the rows, results are those of one machine."""

from unsup_fast.distributed._engine import Engine, HolderLost, NoWorkerLeft
from unsup_fast.distributed._local import local

__all__ = ["Engine", "HolderLost", "NoWorkerLeft", "local"]

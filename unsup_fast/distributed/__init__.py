"""Estimators over many processes: each has some of the rows, results are those of one machine."""

from unsup_fast.distributed._dask import dask
from unsup_fast.distributed._engine import Engine, EngineError, HolderLost, NoWorkerLeft
from unsup_fast.distributed._local import local
from unsup_fast.distributed._map import Assign
from unsup_fast.distributed._ray import ray

__all__ = ["Assign", "Engine", "EngineError", "HolderLost", "NoWorkerLeft", "dask", "local", "ray"]

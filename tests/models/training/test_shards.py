"""Shards: the same bits on any number of processes, and what they refuse."""

import math

import pytest

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from unsup_fast.models import training  # noqa: E402
from unsup_fast.models.training import StepContext, TrainConfig, parallel, shards  # noqa: E402
from unsup_fast.storage import tensors as files  # noqa: E402

from .runs import case, ended, log, play, port, same  # noqa: E402

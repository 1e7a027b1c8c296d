"""The training loop that all models share, with its state, checkpoints and metrics."""

from unsup_fast.models.training.draws import batch_indices, fold_in
from unsup_fast.models.training.loop import train
from unsup_fast.models.training.state import State, TrainConfig, init_state
from unsup_fast.models.training.step import StepContext

__all__ = [
    "State",
    "StepContext",
    "TrainConfig",
    "batch_indices",
    "fold_in",
    "init_state",
    "train",
]

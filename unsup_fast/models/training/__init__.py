"""The training loop that all models share, with its state, checkpoints and metrics."""

from unsup_fast.models.training.draws import number, order
from unsup_fast.models.training.loop import train
from unsup_fast.models.training.state import Options, State, StepContext, begin

__all__ = ["Options", "State", "StepContext", "begin", "number", "order", "train"]

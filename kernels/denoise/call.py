"""The arguments of `denoise`, and the check of a row when it runs."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    CLIP,
    N_HISTORY,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_NOISE,
)


class Call(NamedTuple):
    """Arguments of `denoise`, without the outputs."""

    x: Tensor
    output: Tensor
    row: Tensor
    uncond: Tensor | None
    history: Sequence[Tensor]
    anchor: Tensor | None
    seed: int | None  # signed
    seeds: Tensor | None
    stream: int  # signed
    noise: Tensor | None
    threshold: Sequence[float] | None  # (quantile, greatest)
    n_threads: int | None
    backend: str | None

    @property
    def noisy(self) -> bool:
        """Return whether there is noise, passed in or drawn."""
        return self.noise is not None or self.seed is not None or self.seeds is not None


def check_row(call: Call) -> None:
    """Raise if a coefficient is not a number, or is for a tensor that is not there."""
    values = call.row.tolist()
    clip = values[CLIP]
    if not clip >= 0:
        raise ValueError(f"row[CLIP]={clip} must be 0 or more; infinity clips nothing")
    if not all(map(math.isfinite, values[:CLIP] + values[CLIP + 1 :])):
        raise ValueError(f"row must be finite but for an infinite CLIP, got {values}")
    if not call.noisy:
        _check_absent(values, NEXT_NOISE, "NEXT_NOISE", "seed or noise")
    if call.anchor is None:
        _check_absent(values, NEXT_ANCHOR, "NEXT_ANCHOR", "anchor")
        _check_absent(values, ANCHOR_ANCHOR, "ANCHOR_ANCHOR", "anchor")
    for first, name in ((NEXT_HISTORY, "NEXT_HISTORY"), (ANCHOR_HISTORY, "ANCHOR_HISTORY")):
        known = len(call.history)
        if any(values[first + known : first + N_HISTORY]):
            for j in range(known, N_HISTORY):
                _check_absent(values, first + j, f"{name} + {j}", f"{j + 1} tensors of history")


def _check_absent(values: list[float], term: int, name: str, tensor: str) -> None:
    if values[term] != 0:
        raise ValueError(f"row[{name}]={values[term]} needs {tensor}; pass it, or 0 in row")

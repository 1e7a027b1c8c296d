"""Reference for `denoise`: the formulas in float64, rounded once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    CLIP,
    GUIDANCE,
    KEEP_X,
    KEEP_X0,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)


def denoise(
    x: Tensor,
    output: Tensor,
    row: Tensor,
    uncond: Tensor | None,
    history: Sequence[Tensor],
    anchor: Tensor | None,
    z: Tensor | None,
    threshold: Sequence[float] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the next x, the state that the solver keeps, and the next anchor, [B, ...] each."""
    dtype = x.dtype
    x, model = x.double(), output.double()
    if uncond is not None and row[GUIDANCE] != 1:
        model = uncond + row[GUIDANCE] * (model - uncond)
    x0 = row[X0_X] * x + row[X0_OUTPUT] * model
    if threshold is None:
        x0 = torch.clamp(x0, -row[CLIP], row[CLIP])
    else:
        quantile, greatest = threshold
        s = _quantile(x0.abs().reshape(len(x), -1), quantile).clamp(1, greatest)
        s = s.view(-1, *[1] * (x.ndim - 1))
        x0 = torch.clamp(x0, -s, s) / s
    keep = row[KEEP_X] * x + row[KEEP_X0] * x0
    next_x = row[NEXT_X] * x + row[NEXT_KEEP] * keep
    next_anchor = row[ANCHOR_X] * x + row[ANCHOR_KEEP] * keep
    terms = [(NEXT_ANCHOR, ANCHOR_ANCHOR, anchor)]
    terms += [(NEXT_HISTORY + j, ANCHOR_HISTORY + j, past) for j, past in enumerate(history)]
    for of_next, of_anchor, tensor in terms:
        if tensor is not None and row[of_next] != 0:
            next_x = next_x + row[of_next] * tensor.double()
        if tensor is not None and row[of_anchor] != 0:
            next_anchor = next_anchor + row[of_anchor] * tensor.double()
    if z is not None and row[NEXT_NOISE] != 0:
        next_x = next_x + row[NEXT_NOISE] * z.double()
    return next_x.to(dtype), keep.to(dtype), next_anchor.to(dtype)


def _quantile(sizes: Tensor, quantile: float) -> Tensor:
    """Return the quantile of each row, NaN if there is a NaN in it."""
    ordered = sizes.sort(dim=1).values  # [B, N]
    rank = quantile * (sizes.shape[1] - 1)
    below, above = ordered[:, math.floor(rank)], ordered[:, math.ceil(rank)]
    weight = rank - math.floor(rank)
    quantiles = torch.where(below == above, below, (1 - weight) * below + weight * above)
    return torch.where(ordered[:, -1].isnan(), torch.nan, quantiles)

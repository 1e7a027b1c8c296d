"""Terms of a divergence in torch, which saves only p and q for the gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.information._kl_math import slopes, value


class Terms(torch.autograd.Function):
    """`kl_terms` with derivatives of any order, backwards and forwards."""

    generate_vmap_rule = True

    @staticmethod
    def forward(p: Tensor, q: Tensor, difference: Tensor | None, log: bool) -> Tensor:
        """Return the terms."""
        return value(p, q, difference, log)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep p and q."""
        p, q, _, ctx.log = inputs
        ctx.save_for_backward(p, q)
        ctx.save_for_forward(p, q)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients by p and q."""
        p, q = ctx.saved_tensors
        by_p, by_q = slopes(p, q, ctx.log)
        return grads[0] * by_p, grads[0] * by_q, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """Return the derivative along two tangents, either of which may be None."""
        p, q = ctx.saved_tensors
        parts = zip(tangents[:2], slopes(p, q, ctx.log), strict=True)
        along: Tensor = sum(tangent * slope for tangent, slope in parts if tangent is not None)
        return along

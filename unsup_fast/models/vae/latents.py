"""Paths along latents, one at a time."""

from torch import Tensor


def traversals(z: Tensor, which: Tensor, values: Tensor) -> Tensor:
    """Return copies of latents z [Z] with one latent at a time replaced by values: [L, V, Z]."""
    many = z.repeat(len(which), len(values), 1)
    index = which[:, None, None].expand(-1, len(values), 1)  # [L, V, 1]
    return many.scatter_(2, index, values[None, :, None].expand(len(which), -1, 1))

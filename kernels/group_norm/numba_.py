"""The portable `group_norm`, and its gradient: samples in float64, activations by torch."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _chunks
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.group_norm.channels import Channels, arithmetic, computed, gradients

LAST = torch.channels_last


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> Tensor:
    """Return [B, C, H, W] of the type of x, channels-last."""
    if not x.numel():
        return torch.empty_like(x, memory_format=LAST)
    values = computed((weight, bias, scale, shift), x)
    v = _normalised(_images(x), groups, values, eps, _batch.threads_for(x, n_threads))[0]
    if silu:
        for one in v:  # torch rounds the last values of a call unlike the others
            torch.nn.functional.silu(one, inplace=True)
    return v.to(x.dtype)


def gradient(
    of_out: Tensor,
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> tuple[Any, Any, Any, Any, Any]:
    """Return the gradients with respect to x, weight, bias, scale and shift; None for None."""
    of_gain, of_shift = (torch.zeros(x.shape[:2], dtype=arithmetic(x)) for _ in range(2))
    channels = (weight, bias, scale, shift)
    values = computed(channels, x)
    of_x = torch.empty_like(x, dtype=arithmetic(x), memory_format=LAST)
    if x.numel():
        images, workers = _images(x), _batch.threads_for(x, n_threads)
        v, mean, spread, gain = _normalised(images, groups, values, eps, workers)
        of_v = of_out.to(v.dtype).contiguous(memory_format=LAST)
        if silu:
            of_activation, of_v = of_v, torch.empty_like(v)
            for of_one, one, out in zip(of_activation, v, of_v, strict=True):
                torch.ops.aten.silu_backward.grad_input(of_one, one, grad_input=out)
        arrays = [_positions(one) for one in (of_v, images, of_x)]  # [B, P, C]
        arrays += [mean, spread, gain, of_gain.numpy(), of_shift.numpy()]  # [B, C]

        def work(b: int) -> None:
            of_v, x, of_x, mean, spread, gain, of_gain, of_shift = (one[b] for one in arrays)
            _gradient(of_v, x, of_x, groups, mean, spread, gain, of_gain, of_shift)

        _chunks.run(work, len(x), workers)
    grads = gradients(channels, values, of_gain, of_shift)
    return of_x.to(x.dtype), grads[0], grads[1], grads[2], grads[3]


def _images(x: Tensor) -> Tensor:
    return x.detach().to(arithmetic(x)).contiguous(memory_format=LAST)


def _positions(x: Tensor) -> Array:
    """Return channels-last images as an array [B, P, C]."""
    array: Array = x.permute(0, 2, 3, 1).flatten(1, 2).numpy()
    return array


def _normalised(
    images: Tensor, groups: int, values: Channels, eps: float, n_threads: int
) -> tuple[Tensor, Array, Array, Array]:
    """Return v [B, C, H, W], and of each channel the mean, the spread and the gain [B, C].

    The gain is what u is multiplied by.
    """
    shape = tuple(images.shape[:2])
    weight, bias, scale, shift = (
        np.full(shape, empty) if one is None else np.broadcast_to(one.double().numpy(), shape)
        for one, empty in zip(values, (1.0, 0.0, 0.0, 0.0), strict=True)
    )
    gain, offset = weight * (1 + scale), bias * (1 + scale) + shift  # [B, C]
    mean, spread = np.empty(shape), np.empty(shape)
    v = torch.empty_like(images)
    x, out = _positions(images), _positions(v)  # [B, P, C]

    def work(b: int) -> None:
        _forward(x[b], groups, eps, gain[b], offset[b], mean[b], spread[b], out[b])

    _chunks.run(work, len(x), n_threads)
    return v, mean, spread, gain


@jit()
def _forward(
    x: Array,
    groups: int,
    eps: float,
    gain: Array,
    offset: Array,
    mean: Array,
    spread: Array,
    out: Array,
) -> None:
    """Fill out [P, C] with u gain + offset, and the mean and the spread [C] of the groups."""
    n_positions, n_channels = x.shape
    mean[:] = 0.0
    for p in range(n_positions):
        for c in range(n_channels):
            mean[c] += x[p, c]
    _average(mean, groups, n_positions)
    spread[:] = 0.0
    for p in range(n_positions):
        for c in range(n_channels):
            deviation = x[p, c] - mean[c]
            spread[c] += deviation * deviation
    _average(spread, groups, n_positions)
    factor = np.empty(n_channels)
    for c in range(n_channels):
        spread[c] = np.sqrt(spread[c] + eps)
        factor[c] = gain[c] / spread[c]
    for p in range(n_positions):
        for c in range(n_channels):
            out[p, c] = (x[p, c] - mean[c]) * factor[c] + offset[c]


@jit()
def _gradient(
    of_v: Array,
    x: Array,
    of_x: Array,
    groups: int,
    mean: Array,
    spread: Array,
    gain: Array,
    of_gain: Array,
    of_shift: Array,
) -> None:
    """Fill of_x [P, C], and of_gain and of_shift [C]: the sums of of_v u and of of_v."""
    n_positions, n_channels = x.shape
    tilt, level = np.zeros(n_channels), np.zeros(n_channels)
    for p in range(n_positions):
        for c in range(n_channels):
            tilt[c] += of_v[p, c] * (x[p, c] - mean[c])
            level[c] += of_v[p, c]
    for c in range(n_channels):
        tilt[c] /= spread[c]
        of_gain[c], of_shift[c] = tilt[c], level[c]
        tilt[c] *= gain[c]
        level[c] *= gain[c]
    _average(tilt, groups, n_positions)  # of the gradient of u, times u
    _average(level, groups, n_positions)
    for p in range(n_positions):
        for c in range(n_channels):
            u = (x[p, c] - mean[c]) / spread[c]
            of_x[p, c] = (of_v[p, c] * gain[c] - level[c] - u * tilt[c]) / spread[c]


@jit()
def _average(sums: Array, groups: int, n_positions: int) -> None:
    """Replace sums [C] of channels by the mean over their group."""
    size = len(sums) // groups
    for group in range(groups):
        total = 0.0
        for c in range(group * size, (group + 1) * size):
            total += sums[c]
        for c in range(group * size, (group + 1) * size):
            sums[c] = total / (size * n_positions)

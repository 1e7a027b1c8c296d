"""`randn` of tensors: an operator that torch can compile."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _check, _memory, _tracing, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.randn import HOST, _seeds, _whole

TYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


def randn(
    shape: tuple[int, ...],
    seed: Any,
    stream: int,
    first: int,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    out: Tensor | None,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return a tensor of standard normal numbers; see `unsup_fast.kernels.randn`."""
    if out is None:
        if dtype is not None and dtype not in TYPES:
            raise TypeError(f"dtype={dtype} is not one of torch's {', '.join(TYPES.values())}")
        filled = torch.empty(shape, dtype=dtype or torch.float32, device=device)
    else:
        _check_out(out, shape, dtype, device)
        filled = out
    number, numbers = _one_or_each(seed, shape, filled.device)
    plain = _tracing.direct((filled,))
    if plain and out is None:
        _memory.use_huge_pages(filled)
    run = _fill if plain else randn_
    run(filled, number, numbers, _signed(stream), first, n_threads, backend)
    if plain and out is not None:
        torch.autograd.graph.increment_version(out)
    return filled


def _fill(
    out: Tensor,
    seed: int,
    seeds: Tensor | None,
    stream: int,
    first: int,
    n_threads: int | None,
    backend: str | None,
) -> None:
    on_gpu = out.device.type != "cpu"
    known: dict[str, Any] = {"ref": HOST["ref"], "triton": _triton} if on_gpu else HOST
    run = choose("randn", known, backend, "triton" if on_gpu else None)
    if run is _triton:
        _triton(out, seed, seeds, stream, first)
        return
    dtype, memory = TYPES[out.dtype], out.detach().cpu()
    array = (memory.view(torch.int16) if dtype == "bfloat16" else memory).numpy()
    seed_array = np.array([seed], np.int64) if seeds is None else seeds.cpu().numpy()
    run(
        array,
        dtype,
        seed_array.view(np.uint64),
        stream % (1 << 64),
        first,
        threads.effective(n_threads),
    )
    if on_gpu:
        out.copy_(memory)


def _triton(out: Tensor, seed: int, seeds: Tensor | None, stream: int, first: int) -> None:
    from unsup_fast.kernels.randn import triton_

    triton_.fill(out, seed, seeds, stream, first)


# Functional for the tracer, which may have to copy a tensor before it is filled.
@operator("randn_", mutates=("out",))
def randn_(
    out: Tensor,
    seed: int,
    seeds: Tensor | None,
    stream: int,
    first: int,
    n_threads: int | None,
    backend: str | None,
) -> None:
    """Fill `out`; seed and stream are the signed numbers of the same bits."""
    _fill(out, seed, seeds, stream, first, n_threads, backend)


@randn_.register_fake
def _(*_: Any) -> None:
    return None


def _one_or_each(
    seed: Any, shape: tuple[int, ...], device: torch.device
) -> tuple[int, Tensor | None]:
    """Return a seed as a signed number, and seeds [shape[0]] on the device or None."""
    if isinstance(seed, int):
        _whole("seed", seed, 64)
        return _signed(seed), None
    if not _check.is_tensor(seed):
        seeds = _seeds(seed, shape)
        if seeds.ndim == 1 and not isinstance(seed, np.integer):
            return 0, torch.from_numpy(seeds.view(np.int64)).to(device)
        return _signed(int(seeds[0])), None
    if seed.dtype != torch.int64:
        raise TypeError(f"seed is a tensor of {seed.dtype}; pass seed.to(torch.int64)")
    if len(shape) == 0 or seed.shape != shape[:1]:
        samples = f"one for each of {shape[0]} samples" if shape else "no more"
        raise ValueError(f"seed has shape {tuple(seed.shape)}; pass an integer or {samples}")
    return 0, seed.to(device).contiguous()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _check_out(
    out: object,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> None:
    if not _check.is_tensor(out):
        raise TypeError(f"out must be a tensor, got {type(out).__name__}; pass no dtype or device")
    if out.dtype not in TYPES:
        raise TypeError(f"out is {out.dtype}; it must be one of {', '.join(TYPES.values())}")
    if dtype is not None and out.dtype != dtype:
        raise TypeError(f"out is {out.dtype} but dtype={dtype}; pass out alone")
    if device is not None and out.device != torch.empty(0, device=device).device:
        raise ValueError(f"out is on {out.device} but device={device}; pass out alone")
    if tuple(out.shape) != shape:
        raise ValueError(f"out has shape {tuple(out.shape)}; it must be {shape} like shape")
    if out.requires_grad and torch.is_grad_enabled():
        raise ValueError("out takes no gradient; pass out.detach()")

"""`denoise` of tensors that fit: what is looked at when it runs, and by which implementation."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from unsup_fast.kernels import _samples
from unsup_fast.kernels._dispatch import choose, native
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

    x: Any
    output: Any
    row: Any
    uncond: Any
    history: Sequence[Any]
    anchor: Any
    seed: int | None  # signed
    seeds: Any
    stream: int  # signed
    noise: Any
    threshold: Any  # (quantile, greatest) or None
    n_threads: int | None
    backend: str | None

    @property
    def noisy(self) -> bool:
        """Return whether there is noise, passed in or drawn."""
        return self.noise is not None or self.seed is not None or self.seeds is not None


def run(call: Call, out: Any, keep: Any, anchor_out: Any) -> None:
    """Fill `out`, and `keep` and `anchor_out` unless they are None."""
    x = call.x
    if x.is_cpu:
        fill = choose("denoise", HOST, call.backend)
    else:
        fill = choose("denoise", DEVICE, call.backend, "triton")
    shape = _samples.shape_of(x)
    n = shape[1] * shape[2]
    copies: list[Any] = []
    past = (*call.history, *(None,) * (N_HISTORY - len(call.history)))
    tensors = (x, call.output, call.uncond, call.anchor, *past, call.noise)
    ins = [
        None if tensor is None else _samples.input_layout(tensor, n, copies) for tensor in tensors
    ]
    to = (out, keep, anchor_out)
    outs, into = _samples.output_layouts(OUTS, to, n)
    _samples.check_overlap(INS, ins, OUTS, outs, shape, x.itemsize)
    fill(call, shape, ins, outs, into)
    _samples.written(to, into)


INS = ("x", "output", "uncond", "anchor", *(f"history[{j}]" for j in range(N_HISTORY)), "noise")
OUTS = ("out", "keep", "anchor_out")


def _check_row(call: Call) -> None:
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


def _native(
    call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any
) -> None:
    fits = native().denoise(
        _samples.TYPES.index(call.x.dtype),
        shape,
        call.row.data_ptr(),
        ins,
        call.seed,
        0 if call.seeds is None else call.seeds.data_ptr(),
        call.stream,
        call.threshold,
        outs,
        _samples.threads_for(call.x, call.n_threads),
    )
    if not fits:
        _check_row(call)


def _ref(call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any) -> None:
    from unsup_fast.kernels.denoise import ref

    _check_row(call)
    z = call.noise
    if z is None and call.noisy:
        z = _samples.reference_normals(call.x, call.seed, call.seeds, call.stream)
    results = ref.denoise(*call[:6], z, call.threshold)
    for tensor, value in zip(to, results, strict=True):
        if tensor is not None:
            tensor.copy_(value)


def _triton(
    call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any
) -> None:
    _samples.on_gpu("x", call.x)
    if call.row.is_cpu:
        _check_row(call)
    from unsup_fast.kernels.denoise import triton_

    triton_.denoise(call, shape, to)


HOST = {"native": _native, "ref": _ref, "triton": _triton}
DEVICE = {"ref": _ref, "triton": _triton}

"""`denoise` of tensors that fit: what is looked at when it runs, and by which implementation."""

from collections.abc import Sequence

from torch import Tensor

from unsup_fast.kernels import _batch, _layout, _seeds, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._layout import Layouts
from unsup_fast.kernels.denoise import native, ref
from unsup_fast.kernels.denoise.call import Call, check_row
from unsup_fast.kernels.sampler_terms import N_HISTORY


def run(call: Call, out: Tensor, keep: Tensor | None, anchor_out: Tensor | None) -> None:
    """Fill `out`, and `keep` and `anchor_out` unless they are None."""
    x = call.x
    if x.is_cpu:
        fill = choose("denoise", HOST, call.backend)
    else:
        fill = choose("denoise", DEVICE, call.backend, "triton")
    shape = _layout.shape_of(x)
    n = shape[1] * shape[2]
    copies: list[Tensor] = []
    past = (*call.history, *(None,) * (N_HISTORY - len(call.history)))
    tensors = (x, call.output, call.uncond, call.anchor, *past, call.noise)
    ins = [
        None if tensor is None else _layout.input_layout(tensor, n, copies) for tensor in tensors
    ]
    to = (out, keep, anchor_out)
    outs, into = _layout.output_layouts(OUTS, to, n)
    _layout.check_overlap(INS, ins, OUTS, outs, shape, x.itemsize)
    fill(call, shape, ins, outs, into)
    _tracing.written(to, into)


INS = ("x", "output", "uncond", "anchor", *(f"history[{j}]" for j in range(N_HISTORY)), "noise")
OUTS = ("out", "keep", "anchor_out")


def _ref(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    check_row(call)
    z = call.noise
    if z is None and call.noisy:
        z = _seeds.reference_normals(call.x, call.seed, call.seeds, call.stream)
    results = ref.denoise(*call[:6], z, call.threshold)
    for tensor, value in zip(to, results, strict=True):
        if tensor is not None:
            tensor.copy_(value)


def _triton(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    _batch.on_gpu("x", call.x)
    if call.row.is_cpu:
        check_row(call)
    from unsup_fast.kernels.denoise import triton_

    triton_.denoise(call, shape, to)


def _numba(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    from unsup_fast.kernels.denoise import numba_

    numba_.denoise(call, to)


HOST = {"native": native.denoise, "numba": _numba, "ref": _ref, "triton": _triton}
DEVICE = {"ref": _ref, "triton": _triton}

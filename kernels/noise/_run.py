"""`noise` of tensors that fit, by one of its implementations."""

from collections.abc import Sequence

from torch import Tensor

from unsup_fast.kernels import _batch, _layout, _seeds, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._layout import Layouts
from unsup_fast.kernels.noise import native, ref
from unsup_fast.kernels.noise.call import Call


def run(call: Call, out: Tensor, out_target: Tensor | None) -> None:
    """Fill `out`, and `out_target` unless it is None."""
    x0 = call.x0
    if x0.is_cpu:
        fill = choose("noise", HOST, call.backend)
    else:
        fill = choose("noise", DEVICE, call.backend, "triton")
    shape = _layout.shape_of(x0)
    n = shape[1] * shape[2]
    copies: list[Tensor] = []
    ins = [_layout.input_layout(x0, n, copies), None]
    if call.eps is not None:
        ins[1] = _layout.input_layout(call.eps, n, copies)
    to = (out, out_target)
    outs, into = _layout.output_layouts(OUTS, to, n)
    _layout.check_overlap(INS, ins, OUTS, outs, shape, x0.itemsize)
    fill(call, shape, ins, outs, into)
    _tracing.written(to, into)


INS, OUTS = ("x0", "eps"), ("out", "out_target")


def _ref(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    eps = call.eps
    if eps is None:
        eps = _seeds.reference_normals(call.x0, call.seed, call.seeds, call.stream)
    results = ref.noise(call.x0, call.signal, call.sigma, eps, call.target)
    for tensor, value in zip(to, results, strict=True):
        if tensor is not None and value is not None:
            tensor.copy_(value)


def _triton(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    _batch.on_gpu("x0", call.x0)
    from unsup_fast.kernels.noise import triton_

    triton_.noise(call, shape, to)


def _numba(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    from unsup_fast.kernels.noise import numba_

    numba_.noise(call, to)


HOST = {"native": native.noise, "numba": _numba, "ref": _ref, "triton": _triton}
DEVICE = {"ref": _ref, "triton": _triton}

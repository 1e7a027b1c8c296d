"""`noise` of tensors that fit, by one of its implementations."""

from typing import Any, NamedTuple

from unsup_fast.kernels import _samples
from unsup_fast.kernels._dispatch import choose, native

TARGETS = (None, "epsilon", "v_prediction", "flow_prediction")


class Call(NamedTuple):
    """Arguments of `noise`, without the outputs."""

    x0: Any
    signal: Any  # float64 [B]
    sigma: Any  # float64 [B]
    eps: Any
    seed: int | None  # signed
    seeds: Any
    stream: int  # signed
    target: str | None
    n_threads: int | None
    backend: str | None


def run(call: Call, out: Any, out_target: Any) -> None:
    """Fill `out`, and `out_target` unless it is None."""
    x0 = call.x0
    if x0.is_cpu:
        fill = choose("noise", HOST, call.backend)
    else:
        fill = choose("noise", DEVICE, call.backend, "triton")
    shape = _samples.shape_of(x0)
    n = shape[1] * shape[2]
    copies: list[Any] = []
    ins = [_samples.input_layout(x0, n, copies), None]
    if call.eps is not None:
        ins[1] = _samples.input_layout(call.eps, n, copies)
    to = (out, out_target)
    outs, into = _samples.output_layouts(OUTS, to, n)
    _samples.check_overlap(INS, ins, OUTS, outs, shape, x0.itemsize)
    fill(call, shape, ins, outs, into)
    _samples.written(to, into)


INS, OUTS = ("x0", "eps"), ("out", "out_target")


def _native(
    call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any
) -> None:
    native().noise(
        _samples.TYPES.index(call.x0.dtype),
        shape,
        ins,
        call.signal.data_ptr(),
        call.sigma.data_ptr(),
        call.seed,
        0 if call.seeds is None else call.seeds.data_ptr(),
        call.stream,
        TARGETS.index(call.target),
        outs,
        _samples.threads_for(call.x0, call.n_threads),
    )


def _ref(call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any) -> None:
    from unsup_fast.kernels.noise import ref

    eps = call.eps
    if eps is None:
        eps = _samples.reference_normals(call.x0, call.seed, call.seeds, call.stream)
    results = ref.noise(call.x0, call.signal, call.sigma, eps, call.target)
    for tensor, value in zip(to, results, strict=True):
        if tensor is not None:
            tensor.copy_(value)


def _triton(
    call: Call, shape: tuple[int, int, int], ins: list[Any], outs: list[Any], to: Any
) -> None:
    _samples.on_gpu("x0", call.x0)
    from unsup_fast.kernels.noise import triton_

    triton_.noise(call, shape, to)


HOST = {"native": _native, "ref": _ref, "triton": _triton}
DEVICE = {"ref": _ref, "triton": _triton}

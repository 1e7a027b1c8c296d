"""Checks and layouts that operations on a batch of samples, a tensor [B, ...], share."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import native

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
LARGE = 4 << 20  # bytes from which the first touch of memory counts


def batch(name: str, value: Any) -> None:
    """Raise unless `value` is a tensor [B, ...] of a type the operations know."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.dtype not in TYPES:
        raise TypeError(
            f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}; "
            f"pass {name}.float()"
        )
    if value.ndim == 0:
        raise ValueError(f"{name} has no dimension; it must have shape (B, ...): one row a sample")


def like(name: str, value: Any, x: Any, x_name: str) -> None:
    """Raise unless `value` is a tensor of the shape, type and device of `x`."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor like {x_name}, got {type(value).__name__}")
    if value.shape != x.shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; it must be {tuple(x.shape)} like {x_name}"
        )
    if value.dtype != x.dtype:
        raise TypeError(f"{name} must be {x.dtype} like {x_name}, got {value.dtype}")
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device}; it must be on {x.device} like {x_name}")


def seeds(seed: Any, x: Any) -> tuple[int | None, Any]:
    """Return one seed for all samples, as a signed 64-bit number, or int64 seeds [B]."""
    if seed is None:
        return None, None
    if type(seed) is int or (isinstance(seed, Integral) and not isinstance(seed, bool)):
        if not 0 <= int(seed) < 1 << 64:
            raise ValueError(f"seed={seed} must be between 0 and 2**64 - 1")
        return _signed(int(seed)), None
    if not isinstance(seed, torch.Tensor):
        seed = _listed(seed)
    if seed.dtype != torch.int64:
        raise TypeError(f"seed must be an int or int64, one a sample; got {seed.dtype}")
    if seed.shape != x.shape[:1]:
        raise ValueError(
            f"seed has shape {tuple(seed.shape)}; pass an int or one for each of {len(x)} samples"
        )
    return None, seed.to(x.device).contiguous()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _listed(seed: Any) -> Any:
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
        raise TypeError(f"seed must be an int or one int a sample, got {type(seed).__name__}")
    for value in seed:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"seed must hold integers, got {value!r}")
        if not 0 <= int(value) < 1 << 64:
            raise ValueError(f"seed={value} must be between 0 and 2**64 - 1")
    return torch.tensor([_signed(int(value)) for value in seed], dtype=torch.int64)


def stream(value: Any) -> int:
    """Return a stream's number as a signed 64-bit number, or raise."""
    if type(value) is not int and (not isinstance(value, Integral) or isinstance(value, bool)):
        raise TypeError(f"stream={value!r} must be an integer between 0 and 2**64 - 1")
    if not 0 <= int(value) < 1 << 64:
        raise ValueError(f"stream={value} must be between 0 and 2**64 - 1")
    return _signed(int(value))


def direct(tensors: Any) -> bool:
    """Return whether an operation may run now: not traced, transformed or recording gradients."""
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    if forward_ad._current_level >= 0:
        _refuse_tangents(tensors)
    if torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack():
        return False
    if tensors[0].is_meta:
        return False
    grad = torch.is_grad_enabled()
    for value in tensors:
        if value is not None:
            if type(value) is not torch.Tensor and type(value) is not torch.nn.Parameter:
                return False
            if grad and value.requires_grad:
                return False
    return True


def _refuse_tangents(tensors: Any) -> None:
    if _have_tangents(tensors):
        raise NotImplementedError("noise and denoise have no forward-mode gradient; use backward()")


def transformed(tensors: Any) -> bool:
    """Return whether torch.func transforms the tensors, or they have forward-mode gradients."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or (
        forward_ad._current_level >= 0 and _have_tangents(tensors)
    )


def _have_tangents(tensors: Any) -> bool:
    return any(
        value is not None and forward_ad.unpack_dual(value).tangent is not None for value in tensors
    )


def threads_for(x: Any, n_threads: int | None) -> int:
    """Return the threads to run; one for a tensor that is done before others have started."""
    if n_threads is None and x.numel() <= 8192:
        return 1
    return threads.effective(n_threads)


def new_like(x: Any) -> Any:
    """Return a tensor like x to be filled."""
    out = empty_like(x)
    if out.is_cpu and out.nbytes >= LARGE:
        bytes_ = torch.as_strided(out, (out.numel(),), (1,)).view(torch.uint8)
        native().use_huge_pages(bytes_.numpy())
    return out


# Address, elements from one sample to the next, whether channels are last: csrc/samples.hpp.
TensorLayout = tuple[int, int, bool]


def shape_of(x: Any) -> tuple[int, int, int]:
    """Return the numbers of samples, channels and positions of a batch."""
    shape = x.shape
    if len(shape) < 3:
        return shape[0], 1, math.prod(shape[1:])
    return shape[0], shape[1], math.prod(shape[2:])


def tensor_layout(x: Any, n: int) -> TensorLayout | None:
    """Return the layout of x [B, ...] of n elements a sample; None if samples are not dense."""
    if x.is_contiguous():
        return x.data_ptr(), n, False
    strides = layout(x, n)
    return None if strides is None else (x.data_ptr(), *strides)


def layout(x: Any, n: int) -> tuple[int, bool] | None:
    """Return the step between samples and whether channels are last; None if not dense."""
    shape, stride = x.shape, x.stride()
    step = stride[0] if shape[0] > 1 else n
    orders: list[tuple[bool, Sequence[int]]] = [(False, range(x.ndim - 1, 0, -1))]
    if x.ndim > 2:
        orders.append((True, (1, *range(x.ndim - 1, 1, -1))))
    for last, dims in orders:
        expected = 1
        for dim in dims:
            if shape[dim] != 1 and stride[dim] != expected:
                break
            expected *= shape[dim]
        else:
            return step, last
    return None


def empty_like(x: Any) -> Any:
    """Return a tensor for an output, in the format of x if that is one of the two."""
    out = torch.empty_like(x)
    if out.is_contiguous() or layout(out, math.prod(x.shape[1:])) is not None:
        return out
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def input_layout(x: Any, n: int, copies: list[Any]) -> TensorLayout | None:
    """Return the layout of x, or of a copy of it that is appended to `copies`."""
    negative = n == 1 and x.is_neg()  # of more elements a sample is not dense
    its_layout = None if negative else tensor_layout(x, n)
    if its_layout is None:
        copies.append(x.resolve_neg().contiguous())
        its_layout = tensor_layout(copies[-1], n)
    return its_layout


def output_layouts(names: Any, to: Any, n: int) -> tuple[list[TensorLayout | None], list[Any]]:
    """Return the layouts to write to, and their tensors: the outputs, or buffers for them."""
    layouts: list[TensorLayout | None] = []
    into = list(to)
    for i, x in enumerate(to):
        its_layout = None if x is None else tensor_layout(x, n)
        if x is not None and (its_layout is None or (its_layout[1] < n and x.shape[0] > 1)):
            if its_layout is not None or 0 in x.stride():
                raise ValueError(
                    f"{names[i]} has strides {x.stride()}, so that elements share memory; pass "
                    "torch.empty_like(x)"
                )
            into[i] = torch.empty(x.shape, dtype=x.dtype, device=x.device)
            its_layout = tensor_layout(into[i], n)
        layouts.append(its_layout)
    return layouts, into


def check_overlap(
    in_names: Any, ins: Any, out_names: Any, outs: Any, shape: tuple[int, int, int], itemsize: int
) -> None:
    """Raise if an output shares memory with another tensor without being that input."""
    n = shape[1] * shape[2]
    for i, at in enumerate(outs):
        if at is None:
            continue
        for j, its in enumerate((*ins, *outs[:i])):
            if its is None or not _shared(at, its, n, shape[0], itemsize):
                continue
            if j < len(ins) and at == its:
                continue
            other = (*in_names, *out_names)[j]
            raise ValueError(
                f"{out_names[i]} shares memory with {other}; pass an input itself or memory of "
                "its own"
            )


def _shared(a: TensorLayout, b: TensorLayout, n: int, samples: int, itemsize: int) -> bool:
    (start, step, _), (its_start, its_step, _) = a, b
    distance, dense = its_start - start, n * itemsize
    if distance >= (samples - 1) * step * itemsize + dense:
        return False
    if -distance >= (samples - 1) * its_step * itemsize + dense:
        return False
    if step != its_step or samples == 1:
        return True
    between = distance % (step * itemsize)  # samples of the two may lie in turn
    return between < dense or step * itemsize - between < dense


def dense(x: Any, n: int) -> tuple[Any, bool]:
    """Return x, or a row-major copy if it is not dense, and whether its channels are last."""
    its_layout = tensor_layout(x, n)
    if its_layout is not None and its_layout[1] == n:
        return x, its_layout[2]
    return x.contiguous(), False


def dense_out(x: Any, n: int) -> tuple[Any, bool]:
    """Return x, or a buffer to copy into it, and whether its channels are last."""
    its_layout = tensor_layout(x, n)
    if its_layout is not None and its_layout[1] == n:
        return x, its_layout[2]
    return torch.empty(x.shape, dtype=x.dtype, device=x.device), False


def copy_back(pairs: Any, to: Any) -> None:
    """Copy the buffers of `dense_out` to their tensors."""
    for pair, tensor in zip(pairs, to, strict=True):
        if pair is not None and pair[0] is not tensor:
            tensor.copy_(pair[0])


def foreign(tensors: Any, last: bool) -> int:
    """Return bits of the tensors that are not in the format `last`."""
    return sum((its_last != last) << i for i, (_, its_last) in enumerate(tensors))


def written(to: Any, into: Any) -> None:
    """Copy buffers to their outputs, and mark outputs written in place for autograd."""
    for out, buffer in zip(to, into, strict=True):
        if out is not buffer:
            out.copy_(buffer)
        elif out is not None:
            torch.autograd.graph.increment_version(out)


def on_gpu(name: str, x: Any) -> None:
    """Raise unless x is where Triton's kernels run."""
    from triton import knobs

    if x.device.type != "cuda" and not knobs.runtime.interpret:
        raise TypeError(
            f"backend='triton' needs CUDA tensors; {name} is on '{x.device}': pass {name}.cuda()"
        )


def reference_normals(x: Any, seed: int | None, seeds: Any, stream: int) -> Any:
    """Return the normals that an operation draws for x, not yet rounded to a half type."""
    from unsup_fast.kernels.randn import randn

    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    number = seeds if seed is None else seed % (1 << 64)
    return randn(
        tuple(x.shape), seed=number, stream=stream % (1 << 64), dtype=dtype, device=x.device
    )

"""How a batch [B, ...] lies in memory: row-major or channels-last, and what to do with the rest."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unsup_fast.kernels import _memory

# Address, elements from one sample to the next, whether channels are last: csrc/samples.
TensorLayout = tuple[int, int, bool]
Layouts = Sequence[TensorLayout | None]


def shape_of(x: Tensor) -> tuple[int, int, int]:
    """Return the numbers of samples, channels and positions of a batch."""
    shape = x.shape
    if len(shape) < 3:
        return shape[0], 1, math.prod(shape[1:])
    return shape[0], shape[1], math.prod(shape[2:])


def tensor_layout(x: Tensor, n: int) -> TensorLayout | None:
    """Return the layout of x [B, ...] of n elements a sample; None if samples are not dense."""
    if x.is_contiguous():
        return x.data_ptr(), n, False
    strides = layout(x, n)
    return None if strides is None else (x.data_ptr(), *strides)


def layout(x: Tensor, n: int) -> tuple[int, bool] | None:
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


def empty_like(x: Tensor) -> Tensor:
    """Return a tensor for an output, in the format of x if that is one of the two."""
    out = torch.empty_like(x)
    if out.is_contiguous() or layout(out, math.prod(x.shape[1:])) is not None:
        return out
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def new_like(x: Tensor) -> Tensor:
    """Return a tensor like x to be filled."""
    out = empty_like(x)
    _memory.use_huge_pages(out)
    return out


def input_layout(x: Tensor, n: int, copies: list[Tensor]) -> TensorLayout | None:
    """Return the layout of x, or of a copy of it that is appended to `copies`."""
    negative = n == 1 and x.is_neg()  # of more elements a sample is not dense
    its_layout = None if negative else tensor_layout(x, n)
    if its_layout is None:
        copies.append(x.resolve_neg().contiguous())
        its_layout = tensor_layout(copies[-1], n)
    return its_layout


def output_layouts(
    names: Sequence[str], to: Sequence[Tensor | None], n: int
) -> tuple[list[TensorLayout | None], list[Tensor | None]]:
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
            buffer = torch.empty(x.shape, dtype=x.dtype, device=x.device)
            into[i], its_layout = buffer, tensor_layout(buffer, n)
        layouts.append(its_layout)
    return layouts, into


def check_overlap(
    in_names: Sequence[str],
    ins: Layouts,
    out_names: Sequence[str],
    outs: Layouts,
    shape: tuple[int, int, int],
    itemsize: int,
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


def dense(x: Tensor, n: int) -> tuple[Tensor, bool]:
    """Return x, or a row-major copy if it is not dense, and whether its channels are last."""
    its_layout = tensor_layout(x, n)
    if its_layout is not None and its_layout[1] == n:
        return x, its_layout[2]
    return x.contiguous(), False


def dense_out(x: Tensor, n: int) -> tuple[Tensor, bool]:
    """Return x, or a buffer to copy into it, and whether its channels are last."""
    its_layout = tensor_layout(x, n)
    if its_layout is not None and its_layout[1] == n:
        return x, its_layout[2]
    return torch.empty(x.shape, dtype=x.dtype, device=x.device), False


def copy_back(pairs: Sequence[tuple[Tensor, bool] | None], to: Sequence[Tensor | None]) -> None:
    """Copy the buffers of `dense_out` to their tensors."""
    for pair, tensor in zip(pairs, to, strict=True):
        if pair is not None and tensor is not None and pair[0] is not tensor:
            tensor.copy_(pair[0])


def foreign(tensors: Sequence[tuple[Tensor | None, bool]], last: bool) -> int:
    """Return bits of the tensors that are not in the format `last`."""
    return sum((its_last != last) << i for i, (_, its_last) in enumerate(tensors))

"""`randn`: standard normal numbers, each a function of a seed, a stream and its own index.

Philox 4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
and Box & Muller (1958). The key is (low, high) of the seed, the counter (low, high) of the group's
number and (low, high) of the stream's. Number i of float32 is number i % 4 of group i // 4, whose
words w make two pairs::

    u1 = (w0 + 1/2) / 2^32, u2 = (w1 + 1/2) / 2^32           w2 and w3 likewise
    sqrt(-2 log u1) cos(2 pi u2), sqrt(-2 log u1) sin(2 pi u2)

float16 and bfloat16 are these, rounded once more. Number i of float64 is number i % 2 of group
i // 2, of u1 = (2^32 w1 + w0 + 1/2) / 2^64 and u2 = (2^32 w3 + w2 + 1/2) / 2^64.

So a seed gives the same numbers whatever the threads, the chunks, the memory format and the device:
on one machine bit for bit, elsewhere to rounding, at most 10 u |z| (12 u |z| on a GPU) with u the
unit roundoff of float32 or float64. No number is beyond 6.77, in float64 9.5.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.randn import native, ref

__all__ = ["randn"]

TYPES = ("float32", "float64", "float16", "bfloat16")


def randn(
    shape: Any,
    *,
    seed: Any,
    stream: int = 0,
    first: int = 0,
    dtype: Any = None,
    device: Any = None,
    out: Any = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Any:
    """Return standard normal numbers.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the result.
    seed : int, 0 <= seed < 2**64, or one for each of the shape[0] samples
        A sequence or array of integers, or an int64 tensor, whose bits are taken as they are. With
        a seed a sample, sample b is ``randn(shape[1:], seed=seed[b])``.
    stream : int, 0 <= stream < 2**64
        Different numbers of the same seed, such as the noise of a sampler's step.
    first : int, 0 <= first < 2**63
        Index of the first number, or of each sample's first. Indices count elements in row-major
        order whatever the memory format.
    dtype : dtype of NumPy or torch, optional
        float32 (the default), float64 or float16; of torch also bfloat16. Its library is that of
        the result.
    device : torch device, optional
        Device of the result, which is then a tensor.
    out : ndarray or tensor of this shape, optional
        OUT, of any strides: written in place if it is contiguous or channels-last, else by a copy.
        It is returned.
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "numba", "ref"} or, on a GPU, {"triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    ndarray or tensor
        A tensor if `dtype`, `device` or `out` is torch's, else an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or `out` does not fit the others.
    """
    shape = _shape(shape)
    _whole("stream", stream, 64)
    _whole("first", first, 63)
    if device is not None or _check.is_tensor(out) or _is_torch(dtype):
        from unsup_fast.kernels.randn import torch_

        return torch_.randn(shape, seed, stream, first, dtype, device, out, n_threads, backend)
    if out is None:
        out = np.empty(shape, _numpy_type(dtype))
    else:
        _check_out(out, shape, dtype)
    seeds = _seeds(seed, shape)
    run = choose("randn", HOST, backend)
    run(out, out.dtype.name, seeds, stream, first, threads.effective(n_threads))
    return out


def _numba(out: Array, dtype: str, seeds: Array, stream: int, first: int, n_threads: int) -> None:
    from unsup_fast.kernels.randn import numba_

    numba_.fill(out, dtype, seeds, stream, first, n_threads)


HOST = {"native": native.fill, "numba": _numba, "ref": ref.fill}


def _shape(shape: Any) -> tuple[int, ...]:
    sizes: tuple[Any, ...] = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool) or int(size) < 0:
            raise ValueError(f"shape={sizes} must be integers of at least 0")
    return sizes


def _whole(name: str, value: Any, bits: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} must be an integer from 0 to 2**{bits} - 1")
    if not 0 <= int(value) < 1 << bits:
        raise ValueError(f"{name}={value} must be from 0 to 2**{bits} - 1")


def _seeds(seed: Any, shape: tuple[int, ...]) -> Array:
    """Return one seed [1], or one for each sample [shape[0]]."""
    if isinstance(seed, Integral):
        _whole("seed", seed, 64)
        return np.array([seed], np.uint64)
    if _check.is_tensor(seed):
        if str(seed.dtype) != "torch.int64":
            raise TypeError(f"seed is a tensor of {seed.dtype}; pass seed.to(torch.int64)")
        seeds = seed.cpu().numpy().view(np.uint64)
    elif isinstance(seed, np.ndarray) and seed.dtype == np.uint64:
        seeds = seed
    elif isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str):
        for value in seed:
            _whole("seed", value, 64)
        seeds = np.array([int(value) for value in seed], np.uint64)
    else:
        raise TypeError(
            f"seed must be an integer or one for each sample, got {type(seed).__name__}"
        )
    if seeds.ndim != 1 or len(shape) == 0 or len(seeds) != shape[0]:
        samples = f"one for each of {shape[0]} samples" if shape else "no more"
        raise ValueError(f"seed has shape {seeds.shape}; pass an integer or {samples}")
    return np.ascontiguousarray(seeds)


def _is_torch(dtype: Any) -> bool:
    return type(dtype).__module__ == "torch"


def _numpy_type(dtype: Any) -> Any:
    numpy_dtype = np.dtype(np.float32 if dtype is None else dtype)
    if numpy_dtype.name not in TYPES[:3]:
        raise TypeError(f"dtype={numpy_dtype} is not one of float32, float64 and float16")
    return numpy_dtype


def _check_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray or a tensor, got {type(out).__name__}")
    _numpy_type(out.dtype)
    if dtype is not None and out.dtype != _numpy_type(dtype):
        raise TypeError(f"out is {out.dtype} but dtype={np.dtype(dtype)}; pass out alone")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; it must be {shape} like shape")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass an array that can be written")

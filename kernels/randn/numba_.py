"""The portable `randn`, compiled by Numba; what `noise` and `denoise` draw comes from here too.

The words and the series are those of the compiled one (csrc/randn/normal-inl.h), so numbers agree
to the bound in `kernels.randn`.
"""

import numpy as np

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.randn import numba_normals

CHUNK = 1 << 16  # numbers that a thread draws at a time


class Normals:
    """Normals of one seed, or of one seed a sample, by their position in a row-major tensor.

    Parameters
    ----------
    seeds : ndarray, uint64
        One, or one for each sample.
    stream, first : int
        As for `kernels.randn`.
    size : int
        Numbers of a seed.
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, seeds: Array, stream: int, first: int, size: int, dtype: type) -> None:
        self._seeds, self._size = np.ascontiguousarray(seeds), size
        wide = dtype is np.float64
        group, self._skip = divmod(first, 2 if wide else 4)
        self._stream, self._group = np.uint64(stream), np.uint64(group)
        self._fill = numba_normals.fill_64 if wide else numba_normals.fill_32

    def draw(self, begin: int, out: Array) -> None:
        """Fill out [count] with the numbers at positions `begin` ... `begin` + count - 1."""
        self._fill(self._seeds, self._stream, self._group, self._skip, self._size, begin, out)


def fill(out: Array, dtype: str, seeds: Array, stream: int, first: int, n_threads: int) -> None:
    """Fill an array of numbers, or of their bits, from one seed or one for each sample."""
    if out.size == 0:
        return
    target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    flat = target.reshape(-1)
    drawn = np.float64 if dtype == "float64" else np.float32
    normals = Normals(seeds, stream, first, flat.size // len(seeds), drawn)

    def work(chunk: int) -> None:
        begin = chunk * CHUNK
        part = flat[begin : begin + CHUNK]
        if part.dtype == drawn:
            normals.draw(begin, part)
            return
        room = np.empty(len(part), np.float32)
        normals.draw(begin, room)
        if dtype == "bfloat16":
            numba_normals.round_bfloat16(room.view(np.uint32), part.view(np.uint16))
        else:
            part[:] = room

    _chunks.run(work, -(-flat.size // CHUNK), n_threads)
    if target is not out:
        out[...] = target

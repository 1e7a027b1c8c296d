"""Terms of a Kullback-Leibler divergence of arrays and tensors; `_kl_math` has the formulas."""

from typing import Any

import numpy as np

from unsup_fast._types import Array, Numbers, is_tensor
from unsup_fast.information._kl_math import value
from unsup_fast.information._numbers import library

BLOCK = 1 << 13  # entries of arrays that are computed with at a time, which stay in cache


def kl_terms(
    p: Numbers, q: Numbers, *, log: bool = False, difference: Numbers | None = None
) -> Numbers:
    """Return p log(p/q) - p + q entry by entry: q where p = 0, infinite where q = 0 < p.

    Parameters
    ----------
    p, q : ndarray or tensor
        Of one type, finite and not negative, or the logarithms of such numbers; they broadcast.
    log : bool
        Whether they are logarithms.
    difference : ndarray or tensor, optional
        q - p, if it is known better than from p and q; not with `log`.
    """
    if not is_tensor(p):
        return _in_blocks([p, q] if difference is None else [p, q, difference], log)
    if library(p).compiler.is_compiling():
        # torch.compile differentiates it, and cannot trace `jvp`
        return value(p, q, difference, log)
    from unsup_fast.information._autograd import Terms

    p, q = library(p).broadcast_tensors(p, q)
    terms: Numbers = Terms.apply(p, q, difference, log)  # type: ignore[no-untyped-call]
    return terms


def _in_blocks(operands: list[Array], log: bool) -> Array:
    layout: Any = {
        "flags": ["external_loop", "buffered", "zerosize_ok"],
        "op_flags": [["readonly"]] * len(operands) + [["writeonly", "allocate"]],
        "op_dtypes": [operands[0].dtype] * (len(operands) + 1),
        "buffersize": BLOCK,
    }
    with np.nditer([*operands, None], **layout) as blocks:
        for p, q, *difference, out in blocks:
            out[...] = value(p, q, difference[0] if difference else None, log)
        return blocks.operands[-1]

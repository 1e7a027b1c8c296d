"""The compiled `noise`."""

from collections.abc import Sequence

from torch import Tensor

from unsup_fast.kernels import _batch
from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._layout import Layouts
from unsup_fast.kernels.noise.call import TARGETS, Call


def noise(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    """Fill the outputs, whose layouts are `outs`."""
    compiled().noise(
        element=_batch.TYPES.index(call.x0.dtype),
        shape=shape,
        tensors=ins,
        signal=call.signal.data_ptr(),
        sigma=call.sigma.data_ptr(),
        seed=call.seed,
        seeds=0 if call.seeds is None else call.seeds.data_ptr(),
        stream=call.stream,
        target=TARGETS.index(call.target),
        out=outs,
        n_threads=_batch.threads_for(call.x0, call.n_threads),
    )

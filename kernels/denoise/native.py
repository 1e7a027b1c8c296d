"""The compiled `denoise`."""

from collections.abc import Sequence

from torch import Tensor

from unsup_fast.kernels import _batch
from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._layout import Layouts
from unsup_fast.kernels.denoise.call import Call, check_row


def denoise(
    call: Call,
    shape: tuple[int, int, int],
    ins: Layouts,
    outs: Layouts,
    to: Sequence[Tensor | None],
) -> None:
    """Fill the outputs, whose layouts are `outs`, or raise if the row does not fit."""
    fits = compiled().denoise(
        element=_batch.TYPES.index(call.x.dtype),
        shape=shape,
        row=call.row.data_ptr(),
        tensors=ins,
        seed=call.seed,
        seeds=0 if call.seeds is None else call.seeds.data_ptr(),
        stream=call.stream,
        threshold=call.threshold,
        out=outs,
        n_threads=_batch.threads_for(call.x, call.n_threads),
    )
    if not fits:
        check_row(call)

"""The portable `noise`, compiled by Numba."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from unsup_fast.kernels import _batch, _mix
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.noise.call import Call


def noise(call: Call, to: Sequence[Tensor | None]) -> None:
    """Fill the outputs x_t and, unless it is None, the target."""
    x0, eps = call.x0, call.eps
    sources: list[Tensor | None] = [None] * _mix.SOURCES
    sources[0], sources[-1] = x0, eps
    flat = _mix.Flat(sources, to, eps is None)
    draw = _mix.Draw(call.seed, call.seeds, call.stream) if eps is None else None
    weights = _mix.Weights(of=_weights(call), bounds=None, divided=False)
    _mix.run(flat, weights, len(x0), draw, _batch.threads_for(x0, call.n_threads))
    flat.copy_back()


def _weights(call: Call) -> Array:
    signal, sigma = call.signal.numpy(), call.sigma.numpy()  # [B]
    rows = 2 if call.target is None else 3
    of = np.zeros((len(signal), rows, _mix.SOURCES + 1))
    of[:, 0, 0], of[:, 0, -2] = signal, sigma
    targets: dict[str, tuple[Array | float, Array | float]] = {  # of x0 and of the noise
        "epsilon": (0.0, 1.0),
        "v_prediction": (-sigma, signal),
        "flow_prediction": (-1.0, 1.0),
    }
    if call.target is not None:
        of[:, 1, 0], of[:, 1, -2] = targets[call.target]
    return of

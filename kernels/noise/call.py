"""The arguments of `noise`, checked."""

from typing import NamedTuple

from torch import Tensor

TARGETS = (None, "epsilon", "v_prediction", "flow_prediction")


class Call(NamedTuple):
    """Arguments of `noise`, without the outputs."""

    x0: Tensor
    signal: Tensor  # float64 [B]
    sigma: Tensor  # float64 [B]
    eps: Tensor | None
    seed: int | None  # signed
    seeds: Tensor | None
    stream: int  # signed
    target: str | None
    n_threads: int | None
    backend: str | None

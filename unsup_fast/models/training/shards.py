"""Means over the shards of a batch: the same bits on any number of processes.

A batch has S shards, S a power of two. Each of P processes, P a divisor of S, computes S / P
consecutive ones, and what they give is added by one binary tree over the shards,

    ((g_0 + g_1) + (g_2 + g_3)) + ((g_4 + g_5) + (g_6 + g_7)),

in which the shards of a process are a whole subtree: no sum depends on P.

Costs: a process has up to log2(S / P) + 2 vectors in memory. It sends 2 (P - 1) / P of a vector, in
two messages, as much as a ring of all-reduce does.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import pad

from unsup_fast.models.training.accelerator import Accelerator

Buffers = Mapping[str, Tensor]
"""Buffers of networks, by the name of the network and their own."""


def mean(vectors: Iterable[Tensor], n_shards: int, accelerator: Accelerator) -> Tensor:
    """Return the mean over all shards of one vector each, [n].

    Parameters
    ----------
    vectors : iterable of tensors of shape (n,)
        Those of this process's shards, in order; they are overwritten.
    n_shards : int
        S, over all processes.
    accelerator : Accelerator
        All processes must call this function.

    Returns
    -------
    tensor of shape (n,)
        The same bits on all processes.
    """
    sums: list[tuple[int, Tensor]] = []  # of subtrees, by falling number of shards
    for vector in vectors:
        count, total = 1, vector
        while sums and sums[-1][0] == count:
            count, total = 2 * count, sums.pop()[1].add_(total)
        sums.append((count, total))
    ((_, total),) = sums
    return _over_processes(total, accelerator).div_(n_shards)


def _over_processes(own: Tensor, accelerator: Accelerator) -> Tensor:
    """Return the sum of the processes' vectors, [n]: each process adds a part of the columns."""
    processes, n = accelerator.num_processes, len(own)
    if processes == 1:
        return own
    padded = pad(own, (0, -n % processes))
    received = torch.empty_like(padded)
    torch.distributed.all_to_all_single(received, padded)
    rows = received.view(processes, -1)  # [P, n / P]
    while len(rows) > 1:
        rows = rows[0::2] + rows[1::2]
    torch.distributed.all_gather_into_tensor(padded, rows[0])
    return padded[:n]


def buffers(networks: Mapping[str, Module]) -> Buffers:
    """Return copies of all buffers of networks."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, network in networks.items()
        for key, value in network.named_buffers()
    }


def check_buffers(before: Buffers, networks: Mapping[str, Module]) -> None:
    """Raise ValueError if a buffer has changed, such as a running mean over rows of a process."""
    now = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.named_buffers()
    }
    for name in sorted(before.keys() | now.keys()):
        if name not in before or name not in now or not torch.equal(before[name], now[name]):
            raise ValueError(
                f"a step changes the buffer {name!r}, such as a running mean of batch norm, which "
                "would depend on the number of processes; use a network without it, or pass "
                "TrainConfig(shards=0)"
            )

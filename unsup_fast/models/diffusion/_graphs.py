"""The loop of a table as one CUDA graph, cached for calls with the same model and shape."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor

MAX_GRAPHS = 4  # each holds the memory of a run
WARM_UP = 2  # runs before the capture, which compile and allocate

Loop = Callable[[Tensor, Tensor | None], Tensor]  # of x and seeds


class Graph(NamedTuple):
    """A captured loop, with the memory it reads and writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    seeds: Tensor | None
    out: Tensor
    loop: Loop


_graphs: "OrderedDict[tuple[Hashable, ...], Graph]" = OrderedDict()


def forget_graphs() -> None:
    """Free all CUDA graphs that `sample` caches, with their models and memory."""
    _graphs.clear()


def run(
    what: tuple[Hashable, ...], make: Callable[[], Loop], x: Tensor, seeds: Tensor | None
) -> Tensor:
    """Return loop(x, seeds), run as a CUDA graph, which is captured if it is not cached.

    Parameters
    ----------
    what : tuple
        All that the loop depends on, except the values of x and seeds.
    make : callable
        Returns the loop; called if it has to be captured.
    x : tensor
        The sample to start from.
    seeds : int64 tensor of shape (B,), or None
        The graph reads them from memory, so other seeds need no other graph.

    Returns
    -------
    tensor like x
    """
    with torch.cuda.device(x.device):
        return _run((*what, seeds is None, x.shape, x.stride(), x.dtype, x.device), make, x, seeds)


def _run(
    key: tuple[Hashable, ...], make: Callable[[], Loop], x: Tensor, seeds: Tensor | None
) -> Tensor:
    captured = _graphs.get(key)
    if captured is None:
        captured = _capture(make(), x, seeds)
        _graphs[key] = captured
        while len(_graphs) > MAX_GRAPHS:
            _graphs.popitem(last=False)
    _graphs.move_to_end(key)
    captured.x.copy_(x)
    if seeds is not None and captured.seeds is not None:
        pinned = seeds if seeds.device.type == "cuda" else seeds.pin_memory()
        captured.seeds.copy_(pinned, non_blocking=True)
    captured.graph.replay()
    return captured.out.clone()


def _capture(loop: Loop, x: Tensor, seeds: Tensor | None) -> Graph:
    own = x.clone()
    own_seeds = None if seeds is None else seeds.to(x.device, copy=True)
    present = torch.cuda.current_stream(x.device)
    side = torch.cuda.Stream(x.device)
    side.wait_stream(present)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            loop(own, own_seeds)
    present.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=side):
            out = loop(own, own_seeds)
    except RuntimeError as error:
        raise RuntimeError(
            f"the model cannot be captured in a CUDA graph ({error}); pass graph=False"
        ) from error
    return Graph(graph, own, own_seeds, out, loop)

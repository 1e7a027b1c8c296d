"""The loop of a table as one CUDA graph, kept for the next call with the same model and shape."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch

KEPT = 4  # graphs; each holds the memory of a run
WARM_UP = 2  # runs before the capture, for what is compiled or allocated at first

Loop = Callable[[Any, Any], Any]  # of x and seeds


class Graph(NamedTuple):
    """A captured loop, and the memory it reads and writes."""

    graph: Any
    x: Any
    seeds: Any
    out: Any
    loop: Loop


_graphs: "OrderedDict[tuple[Hashable, ...], Graph]" = OrderedDict()


def forget_graphs() -> None:
    """Forget all CUDA graphs that `sample` keeps, their models and their memory."""
    _graphs.clear()


def run(what: tuple[Hashable, ...], make: Callable[[], Loop], x: Any, seeds: Any) -> Any:
    """Return loop(x, seeds) of a graph, which is captured if there is none of the kind.

    Parameters
    ----------
    what : tuple
        All that the loop depends on but for the numbers in x and seeds.
    make : callable
        Makes the loop, if it has to be captured.
    x : tensor
        Where to start.
    seeds : int64 tensor of shape (B,), or None
        They are read from memory, so that others need no other graph.

    Returns
    -------
    tensor like x
    """
    with torch.cuda.device(x.device):
        return _run((*what, seeds is None, x.shape, x.stride(), x.dtype, x.device), make, x, seeds)


def _run(key: tuple[Hashable, ...], make: Callable[[], Loop], x: Any, seeds: Any) -> Any:
    found = _graphs.get(key)
    if found is None:
        found = _capture(make(), x, seeds)
        _graphs[key] = found
        while len(_graphs) > KEPT:
            _graphs.popitem(last=False)
    _graphs.move_to_end(key)
    found.x.copy_(x)
    if seeds is not None:
        pinned = seeds if seeds.device.type == "cuda" else seeds.pin_memory()
        found.seeds.copy_(pinned, non_blocking=True)
    found.graph.replay()
    return found.out.clone()


def _capture(loop: Loop, x: Any, seeds: Any) -> Graph:
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

"""A stand-in for CUDA graphs on the CPU: a tape of torch's operations that can be played again.

As with a CUDA graph no Python runs again: numbers of the host are those of the capture, tensors
stay where they were, and a capture changes nothing. All that the tape has computed is poisoned
before each replay.
"""

from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

OF_THE_HOST = ("_local_scalar_dense", "lift_fresh", "nonzero", "is_nonzero", "equal", "_unique2")
"""Operations that wait for the device, or bring a tensor of the host to it."""
RANDOM = ("rand", "randn", "randint", "randperm", "normal_", "uniform_", "bernoulli", "bernoulli_")
"""Operations whose draws follow from torch's generator, and not from a seed in memory."""


def tensors_of(values):
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def memory(tensor):
    return tensor.untyped_storage()._cdata


def poison(tensor):
    if tensor.is_floating_point():
        tensor.fill_(torch.nan)
    elif tensor.dtype != torch.bool:
        tensor.fill_(torch.iinfo(tensor.dtype).max)


class Tape(TorchDispatchMode):
    """Records operations, and undoes what they have written to memory from before."""

    def __init__(self):
        super().__init__()
        self.calls, self.own, self.saved = [], {}, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in (*OF_THE_HOST, *RANDOM):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        for argument, value in zip(func._schema.arguments, args, strict=False):
            self._save(argument, value)
        for argument in func._schema.arguments:
            if argument.name in kwargs:
                self._save(argument, kwargs[argument.name])
        if name == "native_batch_norm":  # its schema does not say that it writes running means
            self._keep(args[3:5])
        before = {memory(tensor) for tensor in tensors_of((args, kwargs))}
        out = func(*args, **kwargs)
        new = [tensor for tensor in tensors_of(out) if memory(tensor) not in before]
        self.own.update({memory(tensor): tensor for tensor in new})
        self.calls.append((func, args, kwargs, out, new))
        return out

    def _save(self, argument, value):
        if argument.alias_info is not None and argument.alias_info.is_write:
            self._keep(value)

    def _keep(self, values):
        for tensor in tensors_of(values):
            if memory(tensor) not in self.own:
                self.saved.append((tensor, tensor.detach().clone()))

    @torch.no_grad()
    def undo(self):
        for tensor, value in reversed(self.saved):
            tensor.copy_(value)
        for tensor in self.own.values():
            poison(tensor)

    @torch.no_grad()
    def replay(self):
        for tensor in self.own.values():
            poison(tensor)
        for func, args, kwargs, out, new in self.calls:
            again = func(*args, **kwargs)
            own = {id(tensor) for tensor in new}
            for tensor, value in zip(tensors_of(out), tensors_of(again), strict=True):
                if id(tensor) in own:
                    tensor.copy_(value)


class Graph:
    """Stands in for torch.cuda.CUDAGraph."""

    def __init__(self):
        self.tape, self.replays = Tape(), 0

    def replay(self):
        self.replays += 1
        self.tape.replay()


class Stream:
    """Stands in for torch.cuda.Stream."""

    def wait_stream(self, other):
        assert isinstance(other, Stream)


@contextmanager
def capturing(graph, stream):
    with graph.tape:
        yield
    graph.tape.undo()


def install(monkeypatch):
    """Let torch.cuda capture on the CPU."""
    for name, value in {
        "CUDAGraph": Graph,
        "graph": capturing,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)

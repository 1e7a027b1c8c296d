"""`Graphs`: updates of the players as CUDA graphs, whose kernels are launched all at once.

An update that is captured is recorded with its addresses: it reads the inputs that lie there at a
replay, and its numbers lie there afterwards. So inputs are copied in, and outputs copied out. An
update with a lazy penalty is another graph than one without.

A capture computes nothing, but the updates before it do, which compile kernels and allocate the
optimizer's memory: weights, buffers and that memory are saved before and restored after them. The
learning rate is a tensor in a graph, rounded to float32. All other settings of an optimizer stay
numbers, so that checkpoints do not show that there were graphs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from unsup_fast.models.base import CUSTOM
from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.inputs import Inputs
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.training import StepContext, TrainConfig
from unsup_fast.models.training.accelerator import Accelerator

WARM_UP = 3  # updates before a capture

Outputs = dict[str, Tensor]
"""What an update reports, by name, without a graph of autograd."""


class Captured(NamedTuple):
    """A captured update, with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    outputs: Outputs


class Graphs:
    """The updates of both players, each captured when it is first run.

    Parameters
    ----------
    networks : mapping with "generator" and "discriminator"
        On a CUDA device, where their weights stay for as long as there are graphs.
    optimizers : mapping with the same names
        Adam, whose memory is zero at first.
    """

    def __init__(self, networks: Mapping[str, Module], optimizers: Mapping[str, Optimizer]) -> None:
        self._networks, self._optimizers = networks, optimizers
        self._captured: dict[tuple[str, bool], Captured] = {}
        self._side: torch.cuda.Stream | None = None  # of all captures, as autograd has it in nodes
        self._rates = {
            name: [torch.zeros((), device=group["params"][0].device) for group in each.param_groups]
            for name, each in optimizers.items()
        }

    def run(
        self,
        name: str,
        penalized: bool,
        update: Callable[[Inputs], Outputs],
        inputs: Inputs,
        context: StepContext,
    ) -> Outputs:
        """Return what an update returns, run as a CUDA graph, which is captured if it is not yet.

        Parameters
        ----------
        name : {"generator", "discriminator"}
            The player that is updated.
        penalized : bool
            Whether the update has its lazy penalty.
        update : callable
            The same operations each time, for this name and `penalized`.
        inputs : Inputs
            Of the same shapes each time.
        context : StepContext
        """
        with torch.cuda.device(inputs.real.device):
            captured = self._captured.get((name, penalized))
            if captured is None:
                captured = self._capture(name, update, inputs)
                self._captured[name, penalized] = captured
            captured.inputs.copy_(inputs)
            groups = self._optimizers[name].param_groups
            for group, rate in zip(groups, self._rates[name], strict=True):
                group["lr"] = context.learning_rate(group)
                rate.fill_(group["lr"])
            captured.graph.replay()
            return {key: value.clone() for key, value in captured.outputs.items()}

    def _capture(self, name: str, update: Callable[[Inputs], Outputs], inputs: Inputs) -> Captured:
        own = inputs.clone()
        optimizer, rates = self._optimizers[name], self._rates[name]
        self._side = side = self._side or torch.cuda.Stream()
        present = torch.cuda.current_stream()
        with self._restored():
            side.wait_stream(present)
            with torch.cuda.stream(side), _settings(optimizer, rates, capturable=False):
                for _ in range(WARM_UP):
                    update(own)
            present.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                _settings(optimizer, rates, capturable=True),
                torch.cuda.graph(graph, stream=side),
            ):
                outputs = update(own)
        except RuntimeError as error:
            raise RuntimeError(
                f"the {name}'s update cannot be captured in a CUDA graph ({error}); pass "
                "graphs=False"
            ) from error
        return Captured(graph, own, outputs)

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Restore all that updates change to what it is now."""
        before = {id(value): value.detach().clone() for value in self._state()}
        yield
        with torch.no_grad():
            for value in self._state():
                if id(value) in before:
                    value.copy_(before[id(value)])
                else:  # memory of an optimizer that had not stepped yet
                    value.zero_()

    def _state(self) -> Iterator[Tensor]:
        """Yield all tensors that updates change."""
        for network in self._networks.values():
            yield from network.parameters()
            yield from network.buffers()
        for optimizer in self._optimizers.values():
            for entries in optimizer.state.values():
                yield from entries.values()


@contextmanager
def _settings(optimizer: Optimizer, rates: list[Tensor], *, capturable: bool) -> Iterator[None]:
    """Let an optimizer read its learning rates from memory; torch only captures a capturable one.

    Outside of a capture it warns of a capturable one.
    """
    groups = optimizer.param_groups
    before = [{key: group[key] for key in ("lr", "capturable")} for group in groups]
    for group, rate in zip(groups, rates, strict=True):
        group.update(lr=rate, capturable=capturable)
    try:
        yield
    finally:
        for group, values in zip(groups, before, strict=True):
            group.update(values)


def refusal(
    config: Config, recipe: Recipe, shards: int, device: torch.device, n_processes: int
) -> str | None:
    """Return what keeps updates from being CUDA graphs, or None.

    Blur and growth follow from the step by numbers on the host; networks of your own may do
    anything there, and features of projections have not been captured. RMSprop computes a captured
    step in another order than others. Several processes and shards exchange gradients within an
    update.
    """
    reasons = {
        f"the device {device.type!r}, only with CUDA": device.type != "cuda",
        f"{n_processes} processes": n_processes > 1,
        f"{shards} shards": shards > 0,
        "a network that grows": recipe.growth > 0,
        "blur": recipe.blur > 0,
        "RMSprop": recipe.optimizer == "rmsprop",
        "a projected discriminator": recipe.discriminator != "own",
        "networks of your own": config.network == CUSTOM,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def check_graphs(
    config: Config, recipe: Recipe, options: TrainConfig, accelerator: Accelerator
) -> None:
    """Raise a ValueError if updates cannot be captured in CUDA graphs."""
    device, processes = accelerator.device, accelerator.num_processes
    reason = refusal(config, recipe, options.shards, device, processes)
    if reason is not None:
        raise ValueError(f"graphs=True does not go with {reason}; pass graphs=False")

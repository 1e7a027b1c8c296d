"""Training in several processes: what they need of an accelerator, their seeds and weights."""

from collections.abc import Iterable

import torch
from torch import Tensor

from unsup_fast.models.training.accelerator import Accelerator
from unsup_fast.models.training.draws import fold_in
from unsup_fast.models.training.state import State, TrainConfig


def process_seed(seed: int, accelerator: Accelerator) -> int:
    """Return the seed of this process; the main process has `seed` itself."""
    index = accelerator.process_index
    return fold_in("process", seed, index) if index else seed


def check(n: int, config: TrainConfig, accelerator: Accelerator) -> None:
    """Raise ValueError unless the loop can use an accelerator for batches of n examples."""
    processes = accelerator.num_processes
    kind = getattr(accelerator.distributed_type, "value", accelerator.distributed_type)
    if n < 1:
        raise ValueError(f"n={n} examples; training needs at least 1")
    if config.shards % processes:
        raise ValueError(
            f"shards={config.shards} must be a multiple of the {processes} processes; start 1, 2, "
            f"4, ... of them, up to {config.shards}"
        )
    if config.batch_size % processes:
        raise ValueError(
            f"batch_size={config.batch_size} must be a multiple of the {processes} processes"
        )
    if config.batch_size % (processes * config.accumulation):
        raise ValueError(
            f"batch_size={config.batch_size} must be a multiple of accumulation="
            f"{config.accumulation} times the {processes} processes"
        )
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise ValueError(
            f"mixed_precision={accelerator.mixed_precision!r} would need scaled losses; pass 'no' "
            "or 'bf16'"
        )
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(f"processes of the kind {kind} share networks; use one of whole networks")
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            f"gradient_accumulation_steps={accelerator.gradient_accumulation_steps} is not 1; "
            "pass TrainConfig(accumulation=...) instead"
        )


def agree(state: State, accelerator: Accelerator) -> None:
    """Broadcast the weights of the main process to all others."""
    if accelerator.num_processes == 1:
        return
    steps = accelerator.gather(torch.tensor([state.step], device=accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise ValueError(
            f"the processes found checkpoints of the steps {steps}; use a folder that all see"
        )
    for modules in (state.networks, state.ema):
        for module in modules.values():
            broadcast(module.state_dict().values())


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Copy the main process's tensors to those of all others."""
    for tensor in tensors:
        dense = tensor.detach().contiguous()
        torch.distributed.broadcast(dense, 0)
        tensor.detach().copy_(dense)


def any_has(value: object, accelerator: Accelerator) -> bool:
    """Return whether the value of any process is not None."""
    if accelerator.num_processes == 1:
        return value is not None
    has = torch.tensor(float(value is not None), device=accelerator.device)
    return bool(accelerator.reduce(has, "sum") > 0)

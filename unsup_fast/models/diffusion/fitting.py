"""Train a diffusion model on pictures or rows, with the loop that all models share."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unsup_fast._extras import require
from unsup_fast.models import precision as precisions
from unsup_fast.models import training
from unsup_fast.models.diffusion.config import Config, network_of
from unsup_fast.models.diffusion.model import Diffusion
from unsup_fast.models.diffusion.objective import draw_levels, loss
from unsup_fast.models.diffusion.sampling import spread_seed

BETAS = (0.9, 0.99)


def train(
    data: Any,
    folder: str | os.PathLike[str],
    *,
    config: Config,
    options: training.Options,
    labels: Any = None,
    network: Any = None,
    label_dropout: float = 0.1,
    flip: bool = False,
    precision: str = "auto",
    device: Any = None,
    accelerator: Any = None,
    progress: Callable[[training.State, dict[str, float], float], bool | None] | None = None,
    show: Callable[[Diffusion, int], None] | None = None,
) -> Diffusion:
    """Train a model, from where `folder` left off.

    Parameters
    ----------
    data : array or tensor of shape (N, ...)
        uint8 pictures [N, C, H, W], which become x / 127.5 - 1; or floats, taken as they are.
    folder : path
        Where checkpoints, `metrics.csv` and the model go; made if it is not there.
    config : Config
        What to train.
    options : unsup_fast.models.training.Options
        How long and how fast.
    labels : array or tensor of shape (N,), optional
        Whole numbers below the number of `config.classes`.
    network : torch.nn.Module, optional
        One of your own, for `config.network="custom"`.
    label_dropout : float
        Share of samples whose class is not told, which classifier-free guidance needs.
    flip : bool
        Whether to mirror half of the pictures, left to right.
    precision : {"auto", "float32", "bfloat16"}
        Of the network; auto is bfloat16 where the device is faster so. Weights are float32.
    device : optional
        Where to train; by default a GPU if there is one.
    accelerator : accelerate.Accelerator, optional
        Instead of device and precision, for several processes.
    progress : callable (state, losses, examples a second), optional
        Called about twice a second. If it returns True, training ends a step later.
    show : callable (model, step), optional
        Called every `options.show_every` steps and at the end, with the averaged weights.

    Returns
    -------
    Diffusion
        With the averaged weights.

    Raises
    ------
    TypeError, ValueError
        If data, labels and settings do not fit each other, or `folder` holds another training.
    FloatingPointError
        If the loss is not finite; the last checkpoint stays.
    KeyboardInterrupt
        After Ctrl-C, once the step is finished and saved.
    """
    samples = _samples(data, config)
    classes = _classes(labels, len(samples), config)
    if not 0 <= label_dropout <= 1:
        raise ValueError(f"label_dropout={label_dropout} must be between 0 and 1")
    if flip and len(config.shape) != 3:
        raise ValueError("flip=True mirrors pictures [N, C, H, W]; leave it out for other data")
    if (network is None) == (config.network == "custom"):
        raise ValueError('network is one of your own for config.network="custom", and only then')
    if network is None:
        network = network_of(config, training.number("weights", options.seed, 0))
    accelerator, dtype = _accelerator(accelerator, precision, device)
    if len(config.shape) == 3:
        network.to(memory_format=torch.channels_last)
    network.to(accelerator.device).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), options.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
    )
    state = training.begin({"network": network}, {"network": optimizer})
    objective = config.levels()
    any_class = len(config.classes)

    def batch(indices: Any) -> tuple[Any, Any]:
        images = _scaled(samples[indices]).to(accelerator.device)
        return images, None if classes is None else classes[indices]

    def step(batch: tuple[Any, Any], context: training.StepContext) -> dict[str, Any]:
        images, label = batch
        size = options.batch_size
        random = torch.Generator().manual_seed(
            training.number("batch", options.seed, context.index)
        )
        levels = context.mine(draw_levels(objective, size, random))  # [B]
        seeds = context.mine(
            spread_seed(training.number("noise", options.seed, context.index), size)
        )
        untold = context.mine(torch.rand(size, generator=random) < label_dropout)
        mirrored = context.mine(torch.rand(size, generator=random) < 0.5).to(images.device)
        if flip:
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if label is not None:
            label = label.masked_fill(untold, any_class).to(images.device)
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with precisions.autocast(dtype, accelerator.device):
            value = loss(network, images, label, objective, levels=levels, seed=seeds)
        context.optimizer_step(value, optimizer)
        return {"loss": value.detach()}

    averaged = Diffusion(state.averages["network"], config)  # one, so that its graph is kept
    training.train(
        state,
        step,
        batch,
        len(samples),
        options,
        Path(folder),
        accelerator=accelerator,
        same={
            **{f"config.{name}": value for name, value in asdict(config).items()},
            "label_dropout": label_dropout,
            "flip": flip,
        },
        show=None if show is None else lambda state: show(averaged, state.step),
        keep=lambda _: averaged.save(folder),
        progress=progress,
    )
    return averaged


def _samples(data: Any, config: Config) -> Any:
    """Return data as a tensor on the host, uint8 or float32."""
    found = data.cpu() if isinstance(data, torch.Tensor) else torch.from_numpy(np.asarray(data))
    if found.dtype != torch.uint8 and not found.is_floating_point():
        raise TypeError(f"data has type {found.dtype}; pass uint8 pictures or floats")
    if found.shape[1:] != config.shape or not len(found):
        raise ValueError(
            f"data has shape {tuple(found.shape)}; config.shape={config.shape} asks for (N, "
            f"{', '.join(map(str, config.shape))}) with N of at least 1"
        )
    if found.dtype == torch.uint8:
        return found
    found = found.float()
    if not bool(found.isfinite().all()):
        raise ValueError("data holds NaN or infinite numbers; remove these samples")
    most = float(found.abs().max())
    if config.clip is not None and most > config.clip:
        raise ValueError(
            f"data reaches {most:g}, beyond config.clip={config.clip}, where samples end; scale "
            "it, or pass Config(clip=None)"
        )
    return found


def _classes(labels: Any, n: int, config: Config) -> Any:
    """Return labels as int64 [n] on the host, or None."""
    if (labels is None) != (not config.classes):
        raise ValueError("labels and config.classes go together; pass both or neither")
    if labels is None:
        return None
    found = torch.as_tensor(labels).cpu()
    if found.shape != (n,) or found.is_floating_point():
        raise ValueError(
            f"labels are {found.dtype} of shape {tuple(found.shape)}; pass {n} whole numbers"
        )
    if int(found.min()) < 0 or int(found.max()) >= len(config.classes):
        raise ValueError(
            f"labels lie between {int(found.min())} and {int(found.max())}; config.classes names "
            f"those from 0 to {len(config.classes) - 1}"
        )
    return found.long()


def _scaled(samples: Any) -> Any:
    return samples.float().div_(127.5).sub_(1) if samples.dtype == torch.uint8 else samples


def _accelerator(given: Any, precision: str, device: Any) -> tuple[Any, Any]:
    """Return what trains, and the type that the network computes in."""
    if given is not None:
        mixed = given.mixed_precision
        return given, torch.bfloat16 if mixed == "bf16" else torch.float32
    accelerate = require("accelerate", "train", "training")
    on_host = device is not None and torch.device(device).type == "cpu"
    # Accelerate keeps one precision for the whole process, so autocast is entered by ourselves.
    made = accelerate.Accelerator(cpu=on_host, mixed_precision="no")
    return made, precisions.chosen(precision, made.device)

"""Train a diffusion model on pictures or rows, with the loop that all models share."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.diffusion._examples import Batch, Examples
from unsup_fast.models.diffusion.config import Config, network_of
from unsup_fast.models.diffusion.model import Diffusion
from unsup_fast.models.diffusion.objective import loss, sample_levels
from unsup_fast.models.training import StepContext, TrainConfig, fold_in, init_state
from unsup_fast.models.training import precision as precisions
from unsup_fast.models.training import train as train_loop
from unsup_fast.models.training.accelerator import Accelerator, accelerator_for
from unsup_fast.models.training.progress import Follow

BETAS = (0.9, 0.99)


def train(
    data: Tensor | npt.NDArray[Any],
    folder: str | os.PathLike[str],
    *,
    config: Config,
    options: TrainConfig,
    labels: Tensor | npt.ArrayLike | None = None,
    network: Module | None = None,
    label_dropout: float = 0.1,
    flip: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
    accelerator: Accelerator | None = None,
    progress: bool | Follow | None = None,
    on_sample: Callable[[Diffusion, int], object] | None = None,
) -> Diffusion:
    """Train a model, from where `folder` left off.

    Parameters
    ----------
    data : array or tensor of shape (N, ...)
        uint8 pictures [N, C, H, W], scaled to x / 127.5 - 1; or floats, used unchanged.
    folder : path
        Directory for checkpoints, `metrics.csv` and the model; created if missing.
    config : Config
        Configuration of the model.
    options : unsup_fast.models.training.TrainConfig
        Options of the training loop.
    labels : array or tensor of shape (N,), optional
        Whole numbers below the number of `config.classes`.
    network : torch.nn.Module, optional
        Your own network, for `config.network="custom"`.
    label_dropout : float
        Probability that a sample is trained without its class, for classifier-free guidance.
    flip : bool
        Whether to mirror half of the pictures, left to right.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; auto is bfloat16 on devices that are faster in it. Weights stay
        float32.
    device : optional
        Device to train on; by default a GPU if there is one.
    accelerator : accelerate.Accelerator, optional
        Instead of device and precision, for several processes.
    progress : bool or callable (state, losses, examples a second), optional
        Whether to show a bar; by default on a terminal and in notebooks. A function is called about
        twice a second; if it returns True, training ends a step later.
    on_sample : callable (model, step), optional
        Called every `options.sample_every` steps and at the end, with the averaged weights.

    Returns
    -------
    Diffusion
        The model with the averaged weights.

    Raises
    ------
    TypeError, ValueError
        If data, labels and settings do not fit each other, or `folder` holds another training.
    FloatingPointError
        If the loss is not finite; the last checkpoint is left unchanged.
    KeyboardInterrupt
        After Ctrl-C, once the step is finished and saved.
    """
    examples = Examples(data, labels, config, label_dropout=label_dropout, flip=flip)
    if (network is None) == (config.network == "custom"):
        raise ValueError('network is one of your own for config.network="custom", and only then')
    if network is None:
        network = network_of(config, fold_in("weights", options.seed, 0))
    accelerator, dtype = accelerator_for(accelerator, precision, device)
    if len(config.shape) == 3:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.to(accelerator.device).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), options.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
    )
    state = init_state({"network": network}, {"network": optimizer})
    objective = config.training_objective()

    def step(batch: Batch, context: StepContext) -> dict[str, Tensor]:
        draws = examples.draw(batch, context, partial(sample_levels, objective))

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(draws.images)):
                with precisions.autocast(dtype, accelerator.device):
                    value = loss(
                        network,
                        draws.images[rows],
                        None if draws.label is None else draws.label[rows],
                        objective,
                        noise_levels=draws.levels[rows],
                        seed=draws.seeds[rows],
                    )
                yield value

        return {"loss": context.optimizer_step(losses(), optimizer)}

    averaged = Diffusion(state.ema["network"], config)  # built once: its CUDA graph is cached
    train_loop(
        state,
        step,
        partial(examples.fetch, device=accelerator.device),
        len(examples),
        options,
        Path(folder),
        accelerator=accelerator,
        fingerprint={
            **facts_of(config),
            "label_dropout": label_dropout,
            "flip": flip,
        },
        on_sample=None if on_sample is None else lambda state: on_sample(averaged, state.step),
        on_checkpoint=lambda _: averaged.save(folder),
        progress=progress,
    )
    return averaged


def facts_of(config: Config) -> dict[str, Any]:
    """Return what must not change of a configuration when a run resumes."""
    defaults = ("sampler", "steps", "clip_estimates")  # of sampling: they may change
    return {f"config.{key}": value for key, value in asdict(config).items() if key not in defaults}

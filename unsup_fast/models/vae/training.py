"""Train a variational autoencoder, with the loop that all models share."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.training import StepContext, TrainConfig, fold_in, init_state
from unsup_fast.models.training import precision as precisions
from unsup_fast.models.training import train as train_loop
from unsup_fast.models.training.accelerator import Accelerator, accelerator_for
from unsup_fast.models.training.data import check_labels
from unsup_fast.models.training.draws import spread_seed
from unsup_fast.models.training.flips import mirrored
from unsup_fast.models.training.progress import Follow
from unsup_fast.models.vae import inference
from unsup_fast.models.vae.config import Config, checked_samples, network_of
from unsup_fast.models.vae.elbo import Bound, importance_weighted_bound, negative_elbo
from unsup_fast.models.vae.model import VAE

Batch = tuple[Tensor, Tensor | None]
"""Samples [B, ...] and their classes [B], on the device."""


class Objective(NamedTuple):
    """What is minimised.

    Attributes
    ----------
    beta : float
        Weight of the divergence.
    beta_warmup : int
        Steps in which it rises from 0, linearly.
    free_bits : float
        Nats of each latent that cost nothing.
    importance_samples : int
        K of the bound L_K; 1 is the evidence lower bound.
    """

    beta: float = 1.0
    beta_warmup: int = 0
    free_bits: float = 0.0
    importance_samples: int = 1

    def beta_at(self, step: int) -> float:
        """Return the weight of the divergence at a step."""
        warmed = min(1.0, (step + 1) / self.beta_warmup) if self.beta_warmup else 1.0
        return self.beta * warmed


def train(
    data: Tensor | npt.NDArray[Any],
    folder: str | os.PathLike[str],
    *,
    config: Config,
    options: TrainConfig,
    labels: Tensor | npt.ArrayLike | None = None,
    network: Module | None = None,
    start: VAE | None = None,
    beta: float = 1.0,
    beta_warmup: int = 0,
    free_bits: float = 0.0,
    importance_samples: int = 1,
    flip: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
    accelerator: Accelerator | None = None,
    progress: bool | Follow | None = None,
    on_sample: Callable[[VAE, int], object] | None = None,
) -> VAE:
    """Train a model, from where `folder` left off.

    The losses that are reported are those of the batch in nats: `loss`, `reconstruction`
    (-log p(x | z)) and `kl`.

    Parameters
    ----------
    data : array or tensor of shape (N, ...)
        uint8 pictures [N, C, H, W], or floats: pictures in [-1, 1], or with the likelihood
        "gaussian" rows of any range, which are used unchanged.
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
    start : VAE, optional
        A model of the same configuration whose weights training begins with.
    beta : float
        Weight of the divergence (Higgins et al. 2017).
    beta_warmup : int
        Steps in which it rises linearly from 0 to `beta`.
    free_bits : float
        Nats of each latent, averaged over the batch, that cost nothing. For batches that one
        process computes in one part.
    importance_samples : int
        K of the importance-weighted bound L_K (Burda et al. 2016); 1 is the evidence lower bound.
    flip : bool
        Whether to mirror half of the pictures, left to right.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; auto is bfloat16 on devices that are faster in it.
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
    VAE
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
    objective = Objective(beta, beta_warmup, free_bits, importance_samples)
    _check(objective, config, flip)
    samples = checked_samples(data, config)
    if (labels is None) != (not config.classes):
        raise ValueError("labels and config.classes go together; pass both or neither")
    n_classes = len(config.classes)
    classes = None if labels is None else check_labels(labels, len(samples), n_classes)
    model = _model(config, network, start, options.seed)
    accelerator, dtype = accelerator_for(accelerator, precision, device)
    n_parts = max(options.accumulation, options.shards, accelerator.num_processes)
    if free_bits and n_parts > 1:
        raise ValueError(
            f"free_bits={free_bits} are of the mean over a whole batch, and this one is computed "
            f"in {n_parts} parts; pass free_bits=0, or accumulation=1 and shards=0 on one process"
        )
    model.network.to(accelerator.device).train()
    optimizer = torch.optim.AdamW(
        model.network.parameters(), options.learning_rate, weight_decay=0.0, fused=True
    )
    state = init_state({"network": model.network}, {"network": optimizer})

    def fetch(indices: Tensor) -> Batch:
        label = None if classes is None else classes[indices].to(accelerator.device)
        return samples.index_select(0, indices).to(accelerator.device), label

    def step(batch: Batch, context: StepContext) -> dict[str, Tensor]:
        size, seed = options.batch_size, options.seed
        seeds = context.shard(spread_seed(fold_in("latents", seed, context.index), size))  # [B]
        x, label = mirrored(batch[0], context) if flip else batch[0], batch[1]
        weight = objective.beta_at(context.index)
        bounds: list[Bound] = []

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(x)):
                part = None if label is None else label[rows]
                with precisions.autocast(dtype, accelerator.device):
                    value, bound = _loss(model, x[rows], part, seeds[rows], objective, weight)
                bounds.append(bound)
                yield value

        loss = context.optimizer_step(losses(), optimizer)
        return {
            "loss": loss,
            "reconstruction": context.mean(-each.reconstruction.mean() for each in bounds),
            "kl": context.mean(each.kl.sum(1).mean() for each in bounds),
        }

    averaged = VAE(state.ema["network"], config)
    train_loop(
        state,
        step,
        fetch,
        len(samples),
        options,
        Path(folder),
        accelerator=accelerator,
        fingerprint={
            **{f"config.{key}": value for key, value in asdict(config).items()},
            **objective._asdict(),
            "flip": flip,
        },
        on_sample=None if on_sample is None else lambda state: on_sample(averaged, state.step),
        on_checkpoint=lambda _: averaged.save(folder),
        progress=progress,
    )
    return averaged


def _loss(
    model: VAE,
    x: Tensor,
    label: Tensor | None,
    seeds: Tensor,
    objective: Objective,
    beta: float,
) -> tuple[Tensor, Bound]:
    """Return the loss of samples x [B, ...], and their bound without a graph."""
    batch = inference.encode(model.network, model.likelihood, x, label, seeds)
    if objective.importance_samples == 1:
        bound = inference.bound(model.network, model.likelihood, batch)
        loss = negative_elbo(bound, beta=beta, free_bits=objective.free_bits)
        return loss, Bound(reconstruction=bound.reconstruction.detach(), kl=bound.kl.detach())
    draws = inference.weighted(model.network, model.likelihood, batch, objective.importance_samples)
    loss = -importance_weighted_bound(draws.log_weights).mean()
    reconstruction = draws.log_likelihood.detach().mean(0)  # [B]
    return loss, Bound(reconstruction=reconstruction, kl=batch.posterior.kl().detach())


def _model(config: Config, network: Module | None, start: VAE | None, seed: int) -> VAE:
    """Return the model to train."""
    if (network is None) == (config.network == "custom"):
        raise ValueError('network is one of your own for config.network="custom", and only then')
    if network is None:
        network = network_of(config, fold_in("weights", seed, 0))
    model = VAE(network, config)
    if start is not None:
        if start.config != config:
            raise ValueError(f"start has another configuration, {start.config}; pass that one")
        model.network.load_state_dict(start.network.state_dict())
    return model


def _check(objective: Objective, config: Config, flip: bool) -> None:
    """Raise a ValueError for settings that do not fit each other."""
    for name in ("beta", "beta_warmup", "free_bits"):
        value = getattr(objective, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be at least 0 and finite")
    k = objective.importance_samples
    if k < 1:
        raise ValueError(f"importance_samples={k} must be at least 1")
    if k > 1 and (objective.beta != 1 or objective.beta_warmup or objective.free_bits):
        raise ValueError(
            f"importance_samples={k} is a bound without a separate divergence; leave out beta, "
            "beta_warmup and free_bits"
        )
    if flip and len(config.shape) != 3:
        raise ValueError("flip=True mirrors pictures [N, C, H, W]; leave it out for other data")

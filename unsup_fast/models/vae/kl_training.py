"""Train a KL autoencoder on pictures, with the loop that all models share."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from unsup_fast.models.networks.autoencoder_kl import AutoencoderKLNetwork
from unsup_fast.models.networks.frozen import frozen
from unsup_fast.models.training import StepContext, TrainConfig, fold_in, init_state
from unsup_fast.models.training import precision as precisions
from unsup_fast.models.training import train as train_loop
from unsup_fast.models.training.accelerator import Accelerator, accelerator_for
from unsup_fast.models.training.data import as_samples, check_pictures, to_float
from unsup_fast.models.training.draws import spread_seed
from unsup_fast.models.training.flips import mirrored
from unsup_fast.models.training.progress import Follow
from unsup_fast.models.vae import kl_critic, kl_transforms
from unsup_fast.models.vae.kl import AutoencoderKL
from unsup_fast.models.vae.kl_config import KLConfig
from unsup_fast.models.vae.kl_critic import Critic
from unsup_fast.models.vae.kl_transforms import Transform
from unsup_fast.models.vae.posterior import DiagonalGaussian

Distance = Callable[[Tensor, Tensor], Tensor]
"""Called as distance(x, target) with pictures [B, C, H, W] in [-1, 1]; returns [B]."""

BETAS = (0.9, 0.99)
REPORTED = ("l1", "perceptual", "kl")
MEASURED = 512  # pictures whose latents give the scale
SCALES = ("scaling_factor", "shift_factor", "latents_mean", "latents_std")


class Objective(NamedTuple):
    """What is minimised: mean |y - x| + perceptual_weight d(y, x) + kl_weight KL / (C H W).

    Attributes
    ----------
    perceptual_weight : float
    kl_weight : float
    equivariance : float
        Probability that a step decodes transformed latents; see `kl_transforms`.
    """

    perceptual_weight: float
    kl_weight: float
    equivariance: float


class Terms(NamedTuple):
    """Parts of a loss, and what the perceptual distance and a critic see.

    Attributes
    ----------
    l1, perceptual, kl : tensors of shape ()
    y, x : tensors of shape (B, C, H, W)
        Reconstructions and pictures, transformed, of the sides of the data or those turned.
    """

    l1: Tensor
    perceptual: Tensor
    kl: Tensor
    y: Tensor
    x: Tensor


def train_autoencoder(
    data: Tensor | npt.NDArray[Any],
    folder: str | os.PathLike[str],
    *,
    config: KLConfig,
    options: TrainConfig,
    start: AutoencoderKL | None = None,
    perceptual: Distance | None = None,
    perceptual_weight: float = 0.5,
    kl_weight: float = 1e-6,
    equivariance: float = 0.5,
    critic_weight: float = 0.0,
    critic_start: int = 0,
    flip: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
    accelerator: Accelerator | None = None,
    progress: bool | Follow | None = None,
    on_sample: Callable[[AutoencoderKL, int], object] | None = None,
) -> AutoencoderKL:
    """Train a KL autoencoder, from where `folder` left off.

    The loss of a picture x with latents z of q(z | x) and its reconstruction y is

        mean |y - x| + perceptual_weight d(y, x) + kl_weight KL(q || N(0, 1)) / (C H W)

    with the KL summed over all latents: the balance of Rombach et al. 2022, where each term is
    summed. Before each checkpoint the scale of each latent channel is measured on up to 512
    pictures. `loss`, `l1`, `perceptual` and `kl` (in nats a picture) are reported.

    With a `critic_weight` a patch critic is trained too, and the loss has the term critic_weight
    balance (-E D(y)) (Esser et al. 2021): see `kl_critic`. Reported then are its hinge loss
    `critic`, `adversarial` (-E D(y)) and `balance`, which is measured on each part of a batch: it
    depends on the processes, or the shards, or the accumulation, that cut a batch.

    Parameters
    ----------
    data : array or tensor of shape (N, C, H, W)
        uint8 pictures, or floats in [-1, 1].
    folder : path
        Directory for checkpoints, `metrics.csv` and the model; created if missing.
    config : KLConfig
        Configuration of the model; its scale is replaced by what is measured.
    options : unsup_fast.models.training.TrainConfig
        Options of the training loop.
    start : AutoencoderKL, optional
        A model whose weights training begins with, such as one of `from_pretrained`.
    perceptual : callable (x, target) -> tensor of shape (B,), optional
        d; by default `unsup_fast.metrics.PerceptualDistance`, whose features need the extra
        "features".
    perceptual_weight : float
        0 leaves d out.
    kl_weight : float
        Weight of the KL; it keeps latents near the origin without making them normal.
    equivariance : float
        Probability that a step compares decode(tau(z)) with tau(x), where tau turns by quarters and
        shrinks (Kouzelis et al. 2025); 0 leaves it out.
    critic_weight : float
        Weight of the balanced adversarial term, such as 0.5; 0 trains no critic.
    critic_start : int
        Step from which the loss has that term. The critic learns from the first step, so that its
        gradient is of use by then.
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
    AutoencoderKL
        The model with the averaged weights.

    Raises
    ------
    TypeError, ValueError
        If data and settings do not fit each other, or `folder` holds another training.
    ImportError
        If the package of the perceptual features is missing; the message says how to install it.
    FloatingPointError
        If the loss is not finite; the last checkpoint is left unchanged.
    KeyboardInterrupt
        After Ctrl-C, once the step is finished and saved.
    """
    objective = Objective(perceptual_weight, kl_weight, equivariance)
    _check(objective)
    adversarial = kl_critic.checked(critic_weight, critic_start)
    samples = as_samples(data, config.shape)
    check_pictures(samples)
    config = replace(  # the scale of another training, if it has one, is not of these latents
        config, scaling_factor=1.0, shift_factor=None, latents_mean=None, latents_std=None
    )
    network = AutoencoderKL.network_of(config, fold_in("weights", options.seed, 0))
    if start is not None:
        if _layers(start.config) != _layers(config):
            raise ValueError(
                f"start has the configuration {start.config}; pass one that differs in the shape "
                "of pictures at most"
            )
        network.load_state_dict(start.network.state_dict())
    accelerator, dtype = accelerator_for(accelerator, precision, device)
    network.to(accelerator.device).train()
    distance, name = _distance(perceptual, perceptual_weight, accelerator.device)
    optimizer = torch.optim.AdamW(
        network.parameters(), options.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
    )
    networks: dict[str, Module] = {"network": network}
    optimizers: dict[str, Optimizer] = {"network": optimizer}
    critic: Critic | None = None
    if critic_weight:
        patches = kl_critic.critic_of(config.shape, fold_in("weights", options.seed, 1))
        patches.to(accelerator.device).train()
        last = network.decoder.conv_out.weight
        critic = Critic(patches, last, adversarial, options.learning_rate, dtype)
        networks["critic"], optimizers["critic"] = patches, critic.optimizer
    state = init_state(networks, optimizers, ema=("network",))
    averaged = AutoencoderKL(state.ema["network"], config)
    chosen = torch.linspace(0, len(samples) - 1, min(MEASURED, len(samples))).long()

    def step(batch: Tensor, context: StepContext) -> dict[str, Tensor]:
        size, seed, index = options.batch_size, options.seed, context.index
        seeds = context.shard(spread_seed(fold_in("latents", seed, index), size))  # [B]
        transform = kl_transforms.draw(
            fold_in("equivariance", seed, index), equivariance, min(config.latent_shape[1:])
        )
        x = mirrored(batch, context) if flip else batch
        parts: list[tuple[Tensor, ...]] = []
        pairs: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(x)):
                with precisions.autocast(dtype, accelerator.device):
                    terms = _terms(network, distance, x[rows], seeds[rows], transform)
                parts.append(tuple(getattr(terms, name).detach() for name in REPORTED))
                reconstruction = terms.l1 + perceptual_weight * terms.perceptual
                loss = reconstruction + kl_weight / math.prod(config.shape) * terms.kl
                if critic is not None:
                    pairs.append((terms.y.detach(), terms.x))
                    loss = loss + critic.term(reconstruction, terms.y, context)
                yield loss

        with frozen(networks.get("critic")):
            reported = {"loss": context.optimizer_step(losses(), optimizer)}
        for name, values in zip(REPORTED, zip(*parts, strict=True), strict=True):
            reported[name] = context.mean(iter(values))
        if critic is not None:
            reported |= critic.update(pairs, context)
        return reported

    def save(_: object) -> None:
        averaged.measure_scale(samples[chosen])
        averaged.save(folder)

    train_loop(
        state,
        step,
        lambda indices: to_float(samples.index_select(0, indices)).to(accelerator.device),
        len(samples),
        options,
        Path(folder),
        accelerator=accelerator,
        fingerprint={
            **{f"config.{key}": value for key, value in _layers(config).items()},
            "config.shape": config.shape,
            **objective._asdict(),
            **(adversarial._asdict() if critic_weight else {}),
            "perceptual": name,
            "flip": flip,
        },
        on_sample=None if on_sample is None else lambda state: on_sample(averaged, state.step),
        on_checkpoint=save,
        progress=progress,
    )
    if averaged.config.latents_std is None:  # this process has written no checkpoint
        averaged.measure_scale(samples[chosen])
    return averaged


def _terms(
    network: AutoencoderKLNetwork,
    distance: Distance | None,
    x: Tensor,
    seeds: Tensor,
    transform: Transform | None,
) -> Terms:
    """Return the parts of the loss of pictures x [B, C, H, W]."""
    q = DiagonalGaussian.from_moments(network.encode(x).float())
    z, sides = q.sample(seeds), x.shape[2:]
    if transform is not None:
        z, x = transform(z), transform(x, network.multiple)
    y = network.decode(z).float()
    kl = q.kl().flatten(1).sum(1).mean()
    l1 = (y - x).abs().mean()
    if y.shape[2:].numel() < sides.numel():  # features are of pictures of one size
        turned = (y.shape[2] > y.shape[3]) != (sides[0] > sides[1])
        size = sides[::-1] if turned else sides  # of squares the two are one
        y, x = (F.interpolate(each, size=size, mode="bilinear") for each in (y, x))
    perceptual = kl.new_zeros(()) if distance is None else distance(y, x).mean()
    return Terms(l1=l1, perceptual=perceptual, kl=kl, y=y, x=x)


def _distance(
    own: Distance | None, weight: float, device: torch.device
) -> tuple[Distance | None, str | None]:
    """Return the perceptual distance, and what a resumed run must have again."""
    if weight == 0:
        return None, None
    if own is not None:
        return own, "own"
    from unsup_fast.metrics import PerceptualDistance

    distance = PerceptualDistance(device=device)
    return distance, distance.sha256


def _layers(config: KLConfig) -> dict[str, Any]:
    """Return the settings of a configuration that its weights depend on."""
    others = ("shape", *SCALES)
    settings = {key: value for key, value in asdict(config).items() if key not in others}
    return {**settings, "channels": config.shape[0]}


def _check(objective: Objective) -> None:
    for name in ("perceptual_weight", "kl_weight"):
        value = getattr(objective, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be at least 0 and finite")
    if not 0 <= objective.equivariance <= 1:
        raise ValueError(f"equivariance={objective.equivariance} must be between 0 and 1")

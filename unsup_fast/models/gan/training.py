"""Train a GAN, with the loop that all models share."""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from unsup_fast.models.base import CUSTOM
from unsup_fast.models.gan import projected
from unsup_fast.models.gan.alarm import Alarm
from unsup_fast.models.gan.config import GROWING, Config
from unsup_fast.models.gan.graphs import Graphs, check_graphs
from unsup_fast.models.gan.growing import Growth
from unsup_fast.models.gan.model import GAN
from unsup_fast.models.gan.players import discriminator_of, generator_of
from unsup_fast.models.gan.recipes import FAMILIES, Recipe
from unsup_fast.models.gan.standing import has_batch_norms, measure_batch_norms
from unsup_fast.models.gan.style_updates import check_styles
from unsup_fast.models.gan.updates import Batch, Updates
from unsup_fast.models.gan.view import check_view
from unsup_fast.models.networks.conv2d import channels_last
from unsup_fast.models.networks.spectral import solve_singular_vectors
from unsup_fast.models.training import State, StepContext, TrainConfig, fold_in, init_state
from unsup_fast.models.training import train as train_loop
from unsup_fast.models.training.accelerator import Accelerator, accelerator_for
from unsup_fast.models.training.data import as_samples, check_labels, check_pictures, to_float
from unsup_fast.models.training.flips import mirrored
from unsup_fast.models.training.progress import Follow

WATCHED = ("spread", "sign", "generator_norm")
LOOK = 10  # steps whose means the alarm sees


def train(
    data: Tensor | npt.NDArray[Any],
    folder: str | os.PathLike[str],
    *,
    config: Config,
    options: TrainConfig,
    recipe: Recipe = FAMILIES["r3gan"],
    labels: Tensor | npt.ArrayLike | None = None,
    generator: Module | None = None,
    discriminator: Module | None = None,
    flip: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
    accelerator: Accelerator | None = None,
    graphs: bool = False,
    progress: bool | Follow | None = None,
    on_sample: Callable[[GAN, int], object] | None = None,
    judge: Callable[[GAN], Mapping[str, float]] | None = None,
    best: tuple[str, str] | None = None,
) -> GAN:
    """Train a model, from where `folder` left off.

    A step takes `recipe.n_critic` batches: one for each update of the discriminator, then one
    update of the generator. Reported are `d_loss` and `g_loss`, the mean scores `real` and `fake`,
    `sign` (the mean sign of D(x) - D(G(z)) over pairs; 1 if the discriminator is always right),
    `spread` (standard deviation of generated samples over that of real ones, both within classes),
    the penalties, the mean `path_length`, the norms of both gradients, and with
    `recipe.augment="ada"` the probability `augment_p` and `r_t`, which steers it. If they show that
    training has failed, a RuntimeWarning says so once, with the remedy; see `gan.Alarm`. Another
    says at the end how far networks have grown that are not done with it.

    Parameters
    ----------
    data : array or tensor of shape (N, ...)
        uint8 pictures [N, C, H, W], or floats: pictures in [-1, 1], or rows of any range, which
        are used unchanged.
    folder : path
        Directory for checkpoints, `metrics.csv` and the model; created if missing.
    config : Config
        Configuration of the model.
    options : unsup_fast.models.training.TrainConfig
        Options of the training loop; `gan.train_config` has defaults that fit.
    recipe : Recipe
        Losses, penalties and optimizers; by default those of R3GAN. `gan.FAMILIES` has others.
    labels : array or tensor of shape (N,), optional
        Whole numbers below the number of `config.classes`. Generated samples are of the classes of
        the real ones in their batch.
    generator, discriminator : torch.nn.Module, optional
        Your own networks, for `config.network="custom"`.
    flip : bool
        Whether to mirror half of the pictures, left to right.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the networks; auto is bfloat16 on devices that are faster in it. Penalties are
        computed in float32, which takes calls of the discriminator of their own; auto is float32
        on a CPU where each step has a penalty, since these calls cost more than bfloat16 saves.
    device : optional
        Device to train on; by default a GPU if there is one.
    accelerator : accelerate.Accelerator, optional
        Instead of device and precision, for several processes. Each of them normalises its own
        part of a batch, where a network has batch norms.
    graphs : bool
        Whether each update is a CUDA graph, which saves the host the time to launch its kernels. On
        one GPU, with the library's networks and Adam; not with `shards`, growth, blur or a
        projected discriminator. A run may be resumed with or without.
    progress : bool or callable (state, losses, examples a second), optional
        Whether to show a bar; by default on a terminal and in notebooks. A function is called about
        twice a second; if it returns True, training ends a step later.
    on_sample : callable (model, step), optional
        Called every `options.sample_every` steps and at the end, with the averaged weights.
    judge : callable (model) -> mapping of str to float, optional
        Called every `options.judge_every` steps and at the end, with the averaged weights, such as
        with a Frechet distance; what it returns becomes a row of `scores.csv`.
    best : (name, {"min", "max"}), optional
        The judge's score by which `best.safetensors` holds the best weights so far.

    Returns
    -------
    GAN
        The model with the averaged weights.

    Raises
    ------
    TypeError, ValueError
        If data, labels and settings do not fit each other, or `folder` holds another training.
    FloatingPointError
        If a loss is not finite; the last checkpoint is left unchanged.
    KeyboardInterrupt
        After Ctrl-C, once the step is finished and saved.
    """
    samples = as_samples(data, config.shape)
    if config.pictures:
        check_pictures(samples)
    elif flip:
        raise ValueError("flip=True mirrors pictures [N, C, H, W]; leave it out for other data")
    if (labels is None) != (not config.classes):
        raise ValueError("labels and config.classes go together; pass both or neither")
    n_classes = len(config.classes)
    classes = None if labels is None else check_labels(labels, len(samples), n_classes)
    check_view(recipe, config, options)
    networks = _networks(config, recipe, generator, discriminator, options.seed)
    _check_recipe(recipe, config, networks["discriminator"])
    check_styles(networks["generator"], config, recipe, options.shards)
    if options.shards and any(map(has_batch_norms, networks.values())):
        raise ValueError(
            f"shards={options.shards} needs networks without batch norms, whose statistics depend "
            'on the shards; pass shards=0, or a recipe with norm="none" and the network "r3gan"'
        )
    if options.shards and recipe.spectral_norm:
        raise ValueError(
            f"shards={options.shards} needs networks whose buffers do not change, and each step of "
            "spectral norms moves singular vectors; pass shards=0, or "
            "dataclasses.replace(recipe, spectral_norm=False)"
        )
    if options.shards and recipe.growth:
        raise ValueError(
            f"shards={options.shards} needs networks whose buffers do not change, and those that "
            "grow have a level; pass shards=0, or dataclasses.replace(recipe, growth=0.0)"
        )
    accelerator, dtype = device_and_type(accelerator, precision, device, recipe)
    if graphs:
        check_graphs(config, recipe, options, accelerator)
    for network in networks.values():
        network.to(accelerator.device).train()
    optimizers = {
        name: _optimizer(network, recipe, options.learning_rate)
        for name, network in networks.items()
    }
    state = init_state(networks, optimizers, ema=("generator",))
    updates = Updates(
        **networks,
        optimizers=optimizers,
        recipe=recipe,
        latent=config.latent,
        dtype=dtype,
        graphs=Graphs(networks, optimizers) if graphs else None,
    )
    growth = Growth(**networks, share=recipe.growth) if recipe.growth else None
    averaged, watch = GAN(state.ema["generator"], config), _Watch()

    def fetch(indices: Tensor) -> Batch:
        x = to_float(samples.index_select(0, indices)).to(accelerator.device)
        if config.pictures:
            x = channels_last(x)
        return x, None if classes is None else classes[indices].to(accelerator.device)

    def step(batch: Batch, context: StepContext) -> dict[str, Tensor]:
        x, label = batch
        if growth is not None:
            x = growth(x, context)
        reported = updates((mirrored(x, context, recipe.n_critic) if flip else x, label), context)
        if context.accelerator.is_main_process:
            watch.add(context.index + 1, reported)
        return reported

    def measured(_: object = None) -> GAN:
        solve_singular_vectors(averaged.network)
        measure_batch_norms(averaged.network, config.latent, n_classes)
        return averaged

    def show(state: State) -> None:
        assert on_sample is not None
        on_sample(measured(), state.step)

    train_loop(
        state,
        step,
        fetch,
        len(samples),
        options,
        Path(folder),
        accelerator=accelerator,
        batches=recipe.n_critic,
        fingerprint={
            **{f"config.{key}": value for key, value in asdict(config).items()},
            **{f"recipe.{key}": value for key, value in asdict(recipe).items()},
            "flip": flip,
            **projected.fingerprint(networks["discriminator"]),
        },
        on_sample=None if on_sample is None else show,
        on_checkpoint=lambda _: measured().save(folder),
        judge=None if judge is None else lambda _: judge(measured()),
        best=best,
        progress=progress,
    )
    if growth is not None and accelerator.is_main_process:
        growth.warn(averaged.network, state.step)
    return measured()


class _Watch:
    """Feeds the alarm with means of a few steps, so that a step need not wait for the device."""

    def __init__(self) -> None:
        self._alarm, self._seen = Alarm(), list[Tensor]()

    def add(self, step: int, reported: Mapping[str, Tensor]) -> None:
        """Warn of what the numbers of the steps so far show."""
        self._seen.append(torch.stack([reported[name].float() for name in WATCHED]))
        if len(self._seen) < LOOK:
            return
        means = torch.stack(self._seen).mean(0).tolist()
        self._seen.clear()
        for signal in self._alarm.add(step, dict(zip(WATCHED, means, strict=True))):
            warnings.warn(signal.message, RuntimeWarning, stacklevel=5)


def _networks(
    config: Config,
    recipe: Recipe,
    generator: Module | None,
    discriminator: Module | None,
    seed: int,
) -> dict[str, Module]:
    """Return the two networks to train."""
    own = [network for network in (generator, discriminator) if network is not None]
    if len(own) != (2 if config.network == CUSTOM else 0):
        raise ValueError(
            'generator and discriminator are your own for config.network="custom", and only then; '
            "pass both or neither"
        )
    if generator is not None and discriminator is not None:
        return {"generator": generator, "discriminator": discriminator}
    return {
        "generator": generator_of(config, fold_in("weights", seed, 0)),
        "discriminator": discriminator_of(config, recipe, fold_in("weights", seed, 1)),
    }


def _check_recipe(recipe: Recipe, config: Config, discriminator: Module) -> None:
    """Raise a ValueError for a setting that the networks do not have."""
    if recipe.norm != "none" and config.network != "dcgan":
        raise ValueError(
            f'norm="{recipe.norm}" is of the network "dcgan", and config.network is '
            f'"{config.network}"; pass dataclasses.replace(recipe, norm="none")'
        )
    if recipe.growth and recipe.discriminator != "own":
        raise ValueError(
            f"growth={recipe.growth} is of both networks, and discriminator="
            f'"{recipe.discriminator}" does not grow; pass dataclasses.replace(recipe, growth=0.0)'
        )
    if recipe.growth and recipe.blur:
        raise ValueError(
            f"growth={recipe.growth} begins with small pictures, which blur={recipe.blur} pixels "
            "would hide; pass dataclasses.replace(recipe, blur=0.0)"
        )
    if recipe.growth and config.network != GROWING:
        raise ValueError(
            f'growth={recipe.growth} is for the network "{GROWING}", and config.network is '
            f'"{config.network}"; pass dataclasses.replace(recipe, growth=0.0)'
        )
    if recipe.spectral_norm and config.network == CUSTOM:
        raise ValueError(
            "spectral_norm=True is for networks of the library; in your own, use "
            "torch.nn.utils.parametrizations.spectral_norm"
        )
    if recipe.penalizes and has_batch_norms(discriminator):
        raise ValueError(
            "the discriminator has batch norms, which mix samples, so a penalty on the gradient of "
            "each has no meaning; use other norms, or a recipe without r1, r2 and gradient_penalty"
        )


def device_and_type(
    accelerator: Accelerator | None,
    precision: str,
    device: torch.device | str | None,
    recipe: Recipe,
) -> tuple[Accelerator, torch.dtype]:
    """Return the accelerator, and the type that the networks compute in."""
    own = accelerator is None
    accelerator, dtype = accelerator_for(accelerator, precision, device)
    always = recipe.penalizes and recipe.penalty_every == 1
    if own and precision == "auto" and always and accelerator.device.type == "cpu":
        dtype = torch.float32
    return accelerator, dtype


def _optimizer(network: Module, recipe: Recipe, learning_rate: float) -> Optimizer:
    """Return the optimizer of a player."""
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            network.parameters(), learning_rate, alpha=recipe.betas[1], foreach=True
        )
    return torch.optim.Adam(network.parameters(), learning_rate, betas=recipe.betas, fused=True)

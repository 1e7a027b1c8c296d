"""One step of the game: updates of the discriminator, then one of the generator."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from unsup_fast.kernels.randn import randn
from unsup_fast.models.gan.graphs import Graphs, Outputs
from unsup_fast.models.gan.inputs import Inputs, draw
from unsup_fast.models.gan.losses import LOSSES, mean_scores, over_heads
from unsup_fast.models.gan.penalties import (
    clip_weights,
    drift,
    gradient_penalty,
    matrices,
    orthogonal_penalty,
    squared_gradient_norm,
)
from unsup_fast.models.gan.projected import head_sizes
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.gan.style_updates import StyleUpdates, split
from unsup_fast.models.gan.view import View
from unsup_fast.models.networks.frozen import frozen
from unsup_fast.models.training import StepContext
from unsup_fast.models.training import precision as precisions

Batch = tuple[Tensor, Tensor | None]
"""Samples [B, ...] and their classes [B], on the device."""


class Norm:
    """The norm of the gradient of an optimizer's last update."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.value = torch.zeros(())
        optimizer.register_step_pre_hook(self._measure)

    def _measure(self, optimizer: Optimizer, *_: Any) -> None:
        gradients = [
            weight.grad
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight.grad is not None
        ]
        self.value = torch.nn.utils.get_total_norm(gradients)


class Penalties(NamedTuple):
    """What is added to the discriminator's loss, and what is reported of it.

    Attributes
    ----------
    loss : tensor of shape ()
    parts : dict of str to tensor of shape ()
        Mean squared gradient norms "r1" and "r2", and the mean "gradient_penalty", without a graph.
    """

    loss: Tensor
    parts: dict[str, Tensor]


class Updates:
    """The updates of a step, and the draws that they need.

    Parameters
    ----------
    generator, discriminator : torch.nn.Module
    optimizers : mapping with "generator" and "discriminator"
    recipe : Recipe
    latent : int
        Number of latents.
    dtype : torch.dtype
        Type that networks compute in. Penalties are computed in float32.
    graphs : Graphs, optional
        Runs updates as CUDA graphs.
    """

    def __init__(
        self,
        generator: Module,
        discriminator: Module,
        optimizers: Mapping[str, Optimizer],
        recipe: Recipe,
        latent: int,
        dtype: torch.dtype,
        graphs: Graphs | None = None,
    ) -> None:
        self._graphs = graphs
        self._generator, self._discriminator = generator, discriminator
        self._optimizers, self._recipe, self._latent = optimizers, recipe, latent
        self._dtype, self._loss = dtype, LOSSES[recipe.loss]
        self._heads = head_sizes(discriminator)
        if self._heads is not None:
            self._loss = over_heads(self._loss, self._heads)
        self._view = View(recipe, discriminator)
        self._norms = {name: Norm(optimizer) for name, optimizer in optimizers.items()}
        self._weights = list(discriminator.parameters())
        self._matrices = matrices(generator) if recipe.orthogonal else []
        self._styles = StyleUpdates(generator, recipe)

    def __call__(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """Update both players by `n_critic` batches; return means of what they did.

        Of the discriminator's updates the last one is reported, and `spread`, the standard
        deviation of generated samples over that of the batch's real ones, each within classes and
        the mean over the values of a sample; 1 where it is not known, as where all of the batch are
        of different classes, or equal.
        """
        recipe, n = self._recipe, self._recipe.n_critic
        reals = batch[0].chunk(n)
        labels = (None,) * n if batch[1] is None else batch[1].chunk(n)
        due = recipe.penalizes and context.index % recipe.penalty_every == 0
        path_due = self._styles.due(context)
        reported: dict[str, Tensor] = {}
        styles: list[Outputs] = []
        for i, (real, label) in enumerate(zip(reals, labels, strict=True)):
            inputs = self._inputs(real, label, i, context, penalized=due)
            update = partial(self._update_discriminator, penalized=due, context=context)
            out = self._run("discriminator", due, update, inputs, context)
            scores = out.pop("real_scores"), out.pop("fake_scores")
            styles.append(split(out))
            view = self._view.observe(*scores, context.index * n + i, context)
            reported = {**out, **view}
        inputs = self._inputs(reals[-1], labels[-1], n, context, penalized=False)
        update = partial(self._update_generator, penalized=path_due, context=context)
        out = self._run("generator", path_due, update, inputs, context)
        styles.append(split(out))
        self._styles.end(styles, context)
        reported |= out
        norms = {f"{name}_norm": reported.pop(f"{name}_norm") for name in self._norms}
        return reported | norms

    def _inputs(
        self,
        real: Tensor,
        label: Tensor | None,
        number: int,
        context: StepContext,
        *,
        penalized: bool,
    ) -> Inputs:
        """Return all that an update reads besides weights and buffers."""
        recipe, view = self._recipe, self._view
        return draw(real, label, number, context, recipe, view, penalized=penalized)

    def _run(
        self,
        name: str,
        penalized: bool,
        update: Callable[[Inputs], Outputs],
        inputs: Inputs,
        context: StepContext,
    ) -> Outputs:
        """Return what an update of a player returns; it is a CUDA graph if there are any."""
        if self._graphs is None:
            return update(inputs)
        return self._graphs.run(name, penalized, update, inputs, context)

    def _update_discriminator(
        self, inputs: Inputs, *, penalized: bool, context: StepContext
    ) -> Outputs:
        """Update the discriminator; nothing here may depend on the step or on a value."""
        z = self._latents(inputs.seeds, context)
        seen: list[dict[str, Tensor]] = []
        samples: list[Tensor] = []
        scores: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(inputs.real)):
                part = inputs.part(rows)
                x, y = part.real, part.label
                with torch.no_grad(), self._autocast(context):
                    fake = self._styles.sample(z[rows], y, part.seeds)
                fake = fake.float()
                if penalized and self._dtype == torch.float32:  # one graph serves scores and them
                    x, fake = x.detach().requires_grad_(), fake.requires_grad_()
                a = self._score(x, y, part.real_draws, context)
                b = self._score(fake, y, part.fake_draws, context)
                loss = self._loss.discriminator(a, b)
                a, b = self._each(a), self._each(b)
                scores.append((a.detach(), b.detach()))
                numbers = {
                    "d_loss": loss.detach(),
                    "real": a.detach().mean(),
                    "fake": b.detach().mean(),
                    "sign": (a - b).detach().sign().mean(),
                }
                if self._recipe.drift:
                    loss = loss + self._recipe.drift * drift(a)
                samples.append(fake.detach())
                if penalized:
                    penalties = self._penalties(x, fake, a, b, part, context)
                    loss = loss + penalties.loss
                    numbers |= penalties.parts
                seen.append(numbers)
                yield loss

        context.optimizer_step(losses(), self._optimizers["discriminator"])
        varies = spread(torch.cat(samples), inputs.real, inputs.label)
        if self._recipe.weight_clip:
            clip_weights(self._weights, self._recipe.weight_clip)
        real_scores, fake_scores = map(torch.cat, zip(*scores, strict=True))
        return {
            **_means(seen, context),
            "spread": varies,
            "discriminator_norm": self._norms["discriminator"].value,
            "real_scores": real_scores,
            "fake_scores": fake_scores,
            **self._styles.take(),
        }

    def _update_generator(
        self, inputs: Inputs, *, penalized: bool, context: StepContext
    ) -> Outputs:
        """Update the generator; nothing here may depend on the step or on a value."""
        z = self._latents(inputs.seeds, context)
        seen: list[dict[str, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(inputs.real)):
                part = inputs.part(rows)
                y = part.label
                with self._autocast(context):
                    fake = self._styles.sample(z[rows], y, part.seeds)
                b = self._score(fake, y, part.fake_draws, context)
                a = b.detach()
                if self._loss.paired:
                    with torch.no_grad():
                        a = self._score(part.real, y, part.real_draws, context)
                loss = self._loss.generator(b, a)
                numbers = {"g_loss": loss.detach()}
                if self._matrices:
                    penalty = orthogonal_penalty(w * scale for w, scale in self._matrices)
                    loss = loss + self._recipe.orthogonal * penalty
                    numbers["orthogonal"] = penalty.detach()
                if penalized:
                    path = self._styles.path_penalty(z[rows], y, part.seeds)
                    loss = loss + path.loss
                    numbers["path_length"] = path.length
                seen.append(numbers)
                yield loss

        with frozen(self._discriminator):
            context.optimizer_step(losses(), self._optimizers["generator"])
        norm = {"generator_norm": self._norms["generator"].value}
        return {**_means(seen, context), **norm, **self._styles.take()}

    def _penalties(
        self,
        real: Tensor,
        fake: Tensor,
        a: Tensor,
        b: Tensor,
        inputs: Inputs,
        context: StepContext,
    ) -> Penalties:
        """Return the penalties of samples and their scores a, b [B], whose graphs have them."""
        recipe, total = self._recipe, real.new_zeros(())
        parts: dict[str, Tensor] = {}
        for i, (name, weight, x, scores, drawn) in enumerate(
            (
                ("r1", recipe.r1, real, a, inputs.real_draws),
                ("r2", recipe.r2, fake, b, inputs.fake_draws),
            )
        ):
            if not weight:
                continue
            assert inputs.weights is not None
            if self._dtype != torch.float32:
                x = x.detach().requires_grad_()
                scores = self._each(self._score(x, inputs.label, drawn, context, exact=True))
            norms = squared_gradient_norm(scores, x)
            total = total + inputs.weights[i] * norms.mean()
            parts[name] = norms.detach().mean()
        if recipe.gradient_penalty:
            assert inputs.mix is not None

            def critic(x: Tensor) -> Tensor:
                draws = inputs.real_draws
                return self._each(self._score(x, inputs.label, draws, context, exact=True))

            values = gradient_penalty(critic, real, fake, inputs.mix)
            total = total + recipe.penalty_every * recipe.gradient_penalty * values.mean()
            parts["gradient_penalty"] = values.detach().mean()
        return Penalties(loss=total, parts=parts)

    def _score(
        self,
        x: Tensor,
        label: Tensor | None,
        draws: Tensor,
        context: StepContext,
        *,
        exact: bool = False,
    ) -> Tensor:
        """Return the scores, [B] or of all heads [B, M], of samples as the discriminator sees them.

        They are computed in float32 if they have to be `exact`.
        """
        x = self._view(x, draws, context)
        with nullcontext() if exact else self._autocast(context):
            return self._discriminator(x, label).float()

    def _each(self, scores: Tensor) -> Tensor:
        """Return one score of each sample, [B]."""
        return scores if self._heads is None else mean_scores(scores, self._heads)

    def _latents(self, seeds: Tensor, context: StepContext) -> Tensor:
        """Return the latents [B, Z] of samples."""
        device = context.accelerator.device
        return randn((len(seeds), self._latent), seed=seeds, device=device)

    def _autocast(self, context: StepContext) -> Any:
        return precisions.autocast(self._dtype, context.accelerator.device)


def spread(fake: Tensor, real: Tensor, label: Tensor | None) -> Tensor:
    """Return the deviation within classes of samples over that of others, means over values.

    A generator that makes one sample of each class varies as much as the data do between classes.
    """
    if label is None:
        label = torch.zeros(len(real), dtype=torch.long, device=real.device)
    own, others = (_deviation(x.flatten(1), label) for x in (fake, real))
    return torch.where(others > 0, own / others.clamp_min(1e-30), 1.0)


def _deviation(x: Tensor, label: Tensor) -> Tensor:
    """Return the mean over columns of the standard deviation of x [B, D] within classes."""
    same = (label[:, None] == label).to(x.dtype)  # [B, B]
    counts = same.sum(1, keepdim=True)  # [B, 1]
    residual = x - same @ x / counts  # [B, D]
    freedom = len(x) - (1 / counts).sum()  # less the number of classes
    return (residual.square().sum(0) / freedom.clamp_min(1)).sqrt().mean()


def _means(seen: list[dict[str, Tensor]], context: StepContext) -> dict[str, Tensor]:
    """Return the means of numbers over the parts of a batch."""
    return {name: context.mean(part[name] for part in seen) for name in seen[0]}

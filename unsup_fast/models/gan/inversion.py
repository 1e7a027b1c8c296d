"""Inversion: styles whose pictures are near to others (Karras et al. 2020, appendix D).

Adam moves styles from their mean w_avg. Its rate rises over the first twentieth of the steps and
falls by a cosine over the last quarter, as in the paper. The generator's noise is left out.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.kernels.precision import full_precision
from unsup_fast.models.base import batches, check_one_of, evaluating
from unsup_fast.models.gan.config import bounded
from unsup_fast.models.gan.model import GAN
from unsup_fast.models.gan.styled import required_body
from unsup_fast.models.networks.conv2d import channels_last, gradients_of_inputs_only
from unsup_fast.models.training.data import as_samples, check_pictures, to_float
from unsup_fast.models.training.process import interruptible

SPACES = ("w", "ws")
TOGETHER = 64  # pictures whose graphs are in memory at once
Distance = Callable[[Tensor, Tensor], Tensor]
"""Distances [n] of pictures [n, C, H, W] to others, such as `metrics.PerceptualDistance`."""
Follow = Callable[[int, int, float], object]
"""Called as progress(steps done, steps, mean PSNR in dB)."""


class Inversion(NamedTuple):
    """Styles that reproduce pictures.

    Attributes
    ----------
    w : tensor of shape (n, W) or (n, L, W)
    reconstruction : tensor of shape (n, C, H, W)
        Their pictures without noise, in [-1, 1].
    psnr : tensor of shape (n,)
        10 log10(4 / mean squared error), in dB.
    """

    w: Tensor
    reconstruction: Tensor
    psnr: Tensor


def invert(
    model: GAN,
    pictures: Tensor | npt.NDArray[Any],
    steps: int = 500,
    *,
    space: str = "w",
    lr: float = 0.1,
    distance: Distance | None = None,
    weight: float = 1.0,
    progress: Follow | None = None,
) -> Inversion:
    """Return styles whose pictures are near to others, 64 of them at once.

    Minimises for each picture the mean squared error, plus `weight` times a distance; the best
    styles of all steps are returned. Ctrl-C ends it after a step with the best ones so far.

    Parameters
    ----------
    model : GAN
        Of a network with styles.
    pictures : array or tensor of shape (n, C, H, W)
        uint8, or floats in [-1, 1].
    steps : int
    space : {"w", "ws"}
        One style for all layers, or one for each: nearer to the picture, but less like styles of
        latents.
    lr : float
        Largest learning rate.
    distance : callable (x, target) -> tensor of shape (n,), optional
        `unsup_fast.metrics.PerceptualDistance()` keeps what is seen rather than each pixel.
    weight : float
        Of the distance.
    progress : callable (done, steps, psnr), optional
        Called after each step; steps are those of all groups of 64 pictures.

    Raises
    ------
    TypeError, ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    required_body(model.network)
    check_one_of("space", space, SPACES)
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    if not 0 < lr < math.inf:
        raise ValueError(f"lr={lr} must be above 0 and finite")
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight={weight} must be at least 0 and finite")
    samples = as_samples(pictures, model.config.shape)
    check_pictures(samples)
    search = _Search(model, steps, space, lr, distance, weight)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    float32 = torch.autocast(model.device.type, enabled=False)
    with evaluating(model.network), full_precision(), float32, interruptible() as stopped:
        groups = list(batches(len(samples), TOGETHER))
        for i, rows in enumerate(groups):

            def follow(done: int, decibels: float, before: int = i * steps) -> bool:
                if progress is not None:
                    progress(before + done, steps * len(groups), decibels)
                return stopped.is_set()

            target = channels_last(to_float(samples[rows]).to(model.device))
            w, x = search(target, follow if not stopped.is_set() else None)
            parts.append((w, x, (x - target).square().flatten(1).mean(1)))
    w, reconstruction, squared = (torch.cat(each) for each in zip(*parts, strict=True))
    return Inversion(w=w, reconstruction=reconstruction, psnr=decibels(squared))


class _Search:
    """Searches the styles of some pictures at once; the arguments are those of `invert`."""

    def __init__(
        self,
        model: GAN,
        steps: int,
        space: str,
        lr: float,
        distance: Distance | None,
        weight: float,
    ) -> None:
        self._body, self._config = required_body(model.network), model.config
        self._steps, self._space, self._lr = steps, space, lr
        self._distance, self._weight = distance, weight

    def __call__(
        self, target: Tensor, follow: Callable[[int, float], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """Return the best styles of pictures [n, C, H, W], and their pictures.

        Parameters
        ----------
        target : tensor of shape (n, C, H, W)
        follow : callable (steps done, mean PSNR) -> bool, optional
            Returns whether to end. None: the styles are their mean.
        """
        body = self._body
        layers = [body.n_styles] if self._space == "ws" else []
        w = body.w_avg.clone().expand(len(target), *layers, body.width).clone().requires_grad_()
        optimizer = torch.optim.Adam([w], self._lr)
        best, lowest = w.detach().clone(), target.new_full((len(target),), math.inf)

        def remember(error: Tensor) -> None:
            better = error.detach() < lowest
            best.copy_(torch.where(better.view(-1, *[1] * (w.ndim - 1)), w.detach(), best))
            lowest.copy_(torch.minimum(lowest, error.detach()))

        for step in range(self._steps if follow is not None else 0):
            with torch.enable_grad(), gradients_of_inputs_only():
                squared, error = self._errors(w, target)
                (w.grad,) = torch.autograd.grad(error.sum(), w)
            remember(error)
            optimizer.param_groups[0]["lr"] = self._lr * rate((step + 1) / self._steps)
            optimizer.step()
            assert follow is not None
            if follow(step + 1, float(decibels(squared.detach()).mean())):
                break
        with torch.no_grad():
            remember(self._errors(w, target)[1])
            return best, bounded(body.synthesize(body.repeated(best)).float(), self._config)

    def _errors(self, w: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared and the whole errors [n] of the pictures of styles."""
        x = self._body.synthesize(self._body.repeated(w))
        squared = (x - target).square().flatten(1).mean(1)
        if self._distance is None:
            return squared, squared
        return squared, squared + self._weight * self._distance(x, target)


def rate(t: float) -> float:
    """Return the learning rate at a fraction t of the steps, relative to the largest."""
    fall = min(1.0, (1 - t) / 0.25)
    return min(1.0, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * fall))


def decibels(squared: Tensor) -> Tensor:
    """Return the PSNR of pictures in [-1, 1] of these mean squared errors, in dB."""
    return 10 * torch.log10(4 / squared.clamp_min(1e-20))

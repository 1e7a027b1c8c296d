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
from unsup_fast.models.base import check_one_of, evaluating
from unsup_fast.models.gan.config import bounded
from unsup_fast.models.gan.model import GAN
from unsup_fast.models.gan.styled import required_body
from unsup_fast.models.networks.conv2d import channels_last, gradients_of_inputs_only
from unsup_fast.models.training.data import as_samples, check_pictures, to_float
from unsup_fast.models.training.process import interruptible

SPACES = ("w", "ws")
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
    """Return styles whose pictures are near to others, all of them at once.

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
        Called after each step.

    Raises
    ------
    TypeError, ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    body = required_body(model.network)
    check_one_of("space", space, SPACES)
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    if not 0 < lr < math.inf:
        raise ValueError(f"lr={lr} must be above 0 and finite")
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight={weight} must be at least 0 and finite")
    samples = as_samples(pictures, model.config.shape)
    check_pictures(samples)
    target = channels_last(to_float(samples).to(model.device))

    w = body.w_avg.clone()
    w = w.expand(len(target), *([body.n_styles] if space == "ws" else []), body.width).clone()
    w.requires_grad_()
    optimizer = torch.optim.Adam([w], lr)

    def errors(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return pictures [n, C, H, W], and the squared and whole errors [n]."""
        x = body.synthesize(body.repeated(w))
        squared = (x - target).square().flatten(1).mean(1)
        return x, squared, squared if distance is None else squared + weight * distance(x, target)

    best, lowest = w.detach().clone(), target.new_full((len(target),), math.inf)

    def remember(error: Tensor) -> None:
        better = error.detach() < lowest
        best.copy_(torch.where(better.view(-1, *[1] * (w.ndim - 1)), w.detach(), best))
        lowest.copy_(torch.minimum(lowest, error.detach()))

    float32 = torch.autocast(model.device.type, enabled=False)
    with evaluating(model.network), full_precision(), float32, interruptible() as stopped:
        for step in range(steps):
            with torch.enable_grad(), gradients_of_inputs_only():
                _, squared, error = errors(w)
                (w.grad,) = torch.autograd.grad(error.sum(), w)
            remember(error)
            optimizer.param_groups[0]["lr"] = lr * rate((step + 1) / steps)
            optimizer.step()
            if progress is not None:
                progress(step + 1, steps, float(decibels(squared.detach()).mean()))
            if stopped.is_set():
                break
        with torch.no_grad():
            remember(errors(w)[2])
            reconstruction = bounded(errors(best)[0].float(), model.config)
    return Inversion(
        w=best,
        reconstruction=reconstruction,
        psnr=decibels((reconstruction - target).square().flatten(1).mean(1)),
    )


def rate(t: float) -> float:
    """Return the learning rate at a fraction t of the steps, relative to the largest."""
    fall = min(1.0, (1 - t) / 0.25)
    return min(1.0, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * fall))


def decibels(squared: Tensor) -> Tensor:
    """Return the PSNR of pictures in [-1, 1] of these mean squared errors, in dB."""
    return 10 * torch.log10(4 / squared.clamp_min(1e-20))

"""Styles of a model: truncate, mix, interpolate and invert them.

For a `GAN` of the network "stylegan2" or "stylegan", whose pictures have L layers of styles of W
numbers. Functions take w (n, W), one style for all layers, or ws (n, L, W), one for each.

w = styles(model, model.latents(8, seed=1))
pictures = synthesize(model, truncate(model, w, 0.7), seed=1)
mixed = synthesize(model, mix(model, w[:4], w[4:], first_layer=2))
"""

import math
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.models.base import batches, inference_mode
from unsup_fast.models.gan.config import bounded
from unsup_fast.models.gan.inversion import Inversion, invert
from unsup_fast.models.gan.model import BATCH, GAN
from unsup_fast.models.gan.perceptual_path_length import perceptual_path_length
from unsup_fast.models.gan.styled import checked_styles, required_body, styles_of, truncated_styles
from unsup_fast.models.training.draws import Seed, spread_seed

__all__ = [
    "Inversion",
    "interpolate",
    "invert",
    "mix",
    "perceptual_path_length",
    "styles",
    "synthesize",
    "truncate",
]


def styles(model: GAN, z: Tensor | npt.NDArray[Any], label: Any = None) -> Tensor:
    """Return the styles of latents: float32 (n, W).

    Parameters
    ----------
    model : GAN
    z : array or tensor of shape (n, Z)
        As of `model.latents`.
    label : int, str, or one for each sample, optional
        Classes, which a model with classes needs.

    Raises
    ------
    ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    required_body(model.network)
    z = model.checked_latents(z)
    classes = model.required_labels(label, len(z))
    with inference_mode(model.network):
        return styles_of(model.network, z, classes)


def truncate(model: GAN, w: Tensor, psi: float, label: Any = None) -> Tensor:
    """Return m + psi (w - m), for more typical pictures (Karras et al. 2019, appendix B).

    Parameters
    ----------
    model : GAN
    w : tensor of shape (n, W) or (n, L, W)
    psi : float
        1 changes nothing, 0 gives the mean, and negative numbers the opposite.
    label : int, str, or one for each sample, optional
        Classes, of whose styles m is then the mean. By default it is w_avg, the mean over all
        classes: the smaller psi, the less is left of a class.

    Raises
    ------
    ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    w = checked_styles(required_body(model.network), w)
    if not math.isfinite(psi):
        raise ValueError(f"psi={psi} must be finite, such as 0.7")
    classes = model.labels(label, len(w))
    with inference_mode(model.network):
        classes = None if classes is None else classes.to(model.device)
        return truncated_styles(model.network, w, psi, classes)


def mix(model: GAN, coarse: Tensor, fine: Tensor, first_layer: int) -> Tensor:
    """Return coarse styles, from a layer on replaced by fine ones: (n, L, W).

    Layers 2 k and 2 k + 1 are of resolution k, from the smallest up (Karras et al. 2019, section
    3.1).

    Parameters
    ----------
    model : GAN
    coarse, fine : tensors of shape (n, W) or (n, L, W)
        Of a single style with n = 1, it is taken for all.
    first_layer : int
        From 0, all fine, to L, all coarse.

    Raises
    ------
    ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    body = required_body(model.network)
    one, other = (body.repeated(checked_styles(body, w)) for w in (coarse, fine))  # [n, L, W]
    n = max(len(one), len(other))
    if {len(one), len(other)} - {1, n}:
        raise ValueError(
            f"{len(one)} coarse and {len(other)} fine styles cannot be mixed; pass as many of "
            "both, or a single one"
        )
    if not 0 <= first_layer <= body.n_styles:
        raise ValueError(f"first_layer={first_layer} must be from 0 to {body.n_styles}")
    one, other = one.expand(n, -1, -1), other.expand(n, -1, -1)
    return torch.cat([one[:, :first_layer], other[:, first_layer:]], 1)


def synthesize(model: GAN, w: Tensor, seed: Seed | None = None) -> Tensor:
    """Return the pictures of styles: float32 (n, C, H, W) in [-1, 1].

    Parameters
    ----------
    model : GAN
    w : tensor of shape (n, W) or (n, L, W)
    seed : int, or one int a sample, optional
        Seeds of noise; by default there is none. With the seed of `model.sample` they are its
        pictures.

    Raises
    ------
    TypeError, ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    body = required_body(model.network)
    ws = body.repeated(checked_styles(body, w))  # [n, L, W]
    seeds = None if seed is None else model.checked_seeds(seed, len(ws))
    with inference_mode(model.network):
        parts = [
            body.synthesize(ws[rows], None if seeds is None else seeds[rows]).float()
            for rows in batches(len(ws), BATCH)
        ]
    return bounded(torch.cat(parts), model.config)


def interpolate(
    model: GAN, a: Tensor, b: Tensor, steps: int = 8, *, seed: int | None = None
) -> Tensor:
    """Return the pictures of styles on a line: float32 (steps, C, H, W).

    Parameters
    ----------
    model : GAN
    a, b : tensors of shape (W,) or (L, W)
        Of the same shape.
    steps : int
        Number of pictures, those of a and b among them.
    seed : int, optional
        Seed of the noise, which is the same in all of them; by default there is none.

    Raises
    ------
    ValueError
        If the model has no styles, or the arguments do not fit it.
    """
    body = required_body(model.network)
    if steps < 2:
        raise ValueError(f"steps={steps} must be at least 2, a and b")
    one, other = (checked_styles(body, end[None]) for end in (a, b))
    if one.shape != other.shape:
        raise ValueError(
            f"a and b have shapes {tuple(a.shape)} and {tuple(b.shape)}; pass two of one shape"
        )
    fractions = torch.linspace(0, 1, steps, device=model.device)
    w = torch.lerp(one, other, fractions.view(-1, *[1] * (one.ndim - 1)))  # [steps, (L,) W]
    return synthesize(model, w, None if seed is None else spread_seed(seed, 1).expand(steps))

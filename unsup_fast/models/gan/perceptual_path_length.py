"""Perceptual path length: how fast a picture changes between two latents.

Karras et al. 2019, section 4.1: with t uniform in [0, 1] and d a perceptual distance, which is
quadratic in small changes,

    l_Z = E d(G(slerp(z1, z2; t)), G(slerp(z1, z2; t + e))) / e^2    (eq. 2)
    l_W = E d(g(lerp(f(z1), f(z2); t)), g(lerp(f(z1), f(z2); t + e))) / e^2    (eq. 3)
"""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels.randn import randn
from unsup_fast.models.base import batches, check_one_of, inference_mode
from unsup_fast.models.gan.config import bounded
from unsup_fast.models.gan.inversion import Distance
from unsup_fast.models.gan.model import GAN
from unsup_fast.models.gan.styled import MIXING, SECOND, required_body, styles_of
from unsup_fast.models.networks.latents import draw_labels, slerp

SPACES = ("z", "w")
BATCH = 64  # pairs


def perceptual_path_length(
    model: GAN,
    n: int = 1000,
    *,
    space: str = "w",
    label: Any = None,
    seed: int = 0,
    epsilon: float = 1e-4,
    distance: Distance | None = None,
) -> float:
    """Return the perceptual path length, the mean over n pairs of latents.

    Both pictures of a pair have the same noise. Values of different distances do not compare.

    Parameters
    ----------
    model : GAN
        Of a network with styles.
    n : int
        Pairs; two pictures are generated for each.
    space : {"w", "z"}
        The path is a line between styles, or on a great circle between latents.
    label : int, str, or one for each pair, optional
        Classes; by default a model with classes draws one for each pair.
    seed : int
    epsilon : float
        Length of a path, as a fraction of that between two latents.
    distance : callable (x, y) -> tensor of shape (B,), optional
        By default `unsup_fast.metrics.PerceptualDistance`, for pictures of at least 32 x 32 pixels.

    Raises
    ------
    ValueError
        If the model has no styles, or the arguments do not fit it.
    ImportError
        If the weights of the default distance are missing.
    """
    body = required_body(model.network)
    check_one_of("space", space, SPACES)
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon={epsilon} must be above 0 and below 1, such as 1e-4")
    if distance is None:
        from unsup_fast.metrics import PerceptualDistance

        distance = PerceptualDistance(model.device)
    seeds = model.checked_seeds(seed, n)
    if label is None and model.config.classes:
        label = draw_labels(seeds, len(model.config.classes))
    classes = model.required_labels(label, n)
    total = 0.0
    with inference_mode(model.network):
        for rows in batches(n, BATCH):
            own, y = seeds[rows], None if classes is None else classes[rows]
            fractions = _fractions(own).to(model.device)  # [B]
            a, b = _latents(model, own, 0), _latents(model, own, SECOND)  # [B, Z]
            if space == "w":
                a, b = styles_of(model.network, a, y), styles_of(model.network, b, y)  # [B, W]
            pictures = []
            for t in (fractions, fractions + epsilon):
                if space == "w":
                    w = torch.lerp(a.double(), b.double(), t[:, None]).float()
                else:
                    w = styles_of(model.network, _on_circles(a, b, t), y)
                pictures.append(bounded(body.synthesize(body.repeated(w), own), model.config))
            total += float(distance(*pictures).double().sum())
    return total / n / epsilon**2


def _latents(model: GAN, seeds: Tensor, stream: int) -> Tensor:
    shape = (len(seeds), model.config.latent)
    out: Tensor = randn(shape, seed=seeds, stream=stream, device=model.device)
    return out


def _fractions(seeds: Tensor) -> Tensor:
    """Return a number from 0 to 1 for each seed, float64 [B]."""
    normal = randn((len(seeds), 1), seed=seeds, stream=MIXING, dtype=torch.float64)[:, 0]
    return torch.special.ndtr(normal)


def _on_circles(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return points of the great circles between the rows of a and b [B, Z]: float32 [B, Z]."""
    rows = zip(a.double(), b.double(), t, strict=True)
    return torch.cat([slerp(one, other, each[None]) for one, other, each in rows]).float()

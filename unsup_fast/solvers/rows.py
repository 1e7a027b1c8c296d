"""The parts that samplers share: blank rows, and weights of image and noise in an output."""

import numpy as np

from unsup_fast.kernels.sampler_terms import (
    CLIP,
    GUIDANCE,
    KEEP_X,
    KEEP_X0,
    N_TERMS,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.prediction import image_weights, noise_weights
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table, make


def image(prediction: str, signal: Array, sigma: Array) -> tuple[Array, Array]:
    """Return the weights of x and of the model's output in x_0, checked: [S] each."""
    if prediction == "epsilon" and (signal <= 0).any():
        raise ValueError(
            "a step starts where nothing is left of the image, and prediction='epsilon' says "
            "nothing of it: pass prediction='v_prediction' or 'sample', or raise the last of "
            "alphas_cumprod"
        )
    return image_weights(prediction, signal, sigma)


def noise(prediction: str, signal: Array, sigma: Array) -> tuple[Array, Array]:
    """Return the weights of x and of the model's output in eps, checked: [S] each."""
    if prediction == "sample" and (sigma <= 0).any():
        raise ValueError(
            "the path starts at the image itself, which says nothing of the noise: pass "
            "prediction='epsilon' or 'v_prediction', or start at a small sigma"
        )
    return noise_weights(prediction, signal, sigma)


def blank(path: Path, prediction: str, clip: float | None) -> Array:
    """Return rows that only predict and clip x_0: [S, N_TERMS]."""
    if clip is not None and not clip > 0:
        raise ValueError(f"clip={clip} must be above 0, or None to clip nothing")
    rows = np.zeros((path.timesteps.size, N_TERMS))
    rows[:, GUIDANCE] = 1.0
    rows[:, CLIP] = np.inf if clip is None else clip
    rows[:, X0_X], rows[:, X0_OUTPUT] = image(prediction, path.signal, path.sigma)
    return rows


def keep_image(rows: Array) -> None:
    """Set the rows to keep x_0."""
    rows[:, KEEP_X0] = 1.0


def keep_noise(rows: Array, path: Path) -> None:
    """Set the rows to keep eps = (x - a x_0) / s."""
    needs_noise(path)
    rows[:, KEEP_X] = 1 / path.sigma
    rows[:, KEEP_X0] = -path.signal / path.sigma


def needs_noise(path: Path) -> None:
    """Raise a ValueError if a step starts at the image itself."""
    if not (path.sigma > 0).all():
        raise ValueError(
            "a step of the path starts at sigma = 0, by which this sampler divides; start at a "
            "small sigma, or take ddim"
        )


def needs_signal(path: Path, sampler: str) -> None:
    """Raise a ValueError if a step starts or ends at a level without signal."""
    if not (path.signal.min() > 0 and path.next_signal.min() > 0):
        raise ValueError(
            f"nothing is left of the image at one end of the path, where {sampler} divides by "
            "zero; raise the last of alphas_cumprod to a small number such as 2**-24, or take ddim"
        )


def decay(path: Path) -> Array:
    """Return exp(-h) of each step to less noise, where h is the increase of log(a / s)."""
    needs_noise(path)
    if (path.next_sigma * path.signal > path.next_signal * path.sigma).any():
        raise ValueError(
            "a step of the path runs to higher noise, where nothing can be drawn; take a sampler "
            "without noise, such as ddim with eta=0"
        )
    return path.next_sigma * path.signal / (path.next_signal * path.sigma)


def first_order(
    path: Path,
    weight: Array,
    std: Array,
    prediction: str,
    clip: float | None,
    *,
    clipped_noise: bool = True,
) -> Table:
    """Return the sampler next = a' x_0 + weight eps + std z.

    With `clipped_noise`, eps is (x - a x_0) / s for the clipped x_0, else that of the output.
    """
    rows = blank(path, prediction, clip)
    keep_image(rows)
    rows[:, NEXT_NOISE] = std
    if clipped_noise and (path.sigma > 0).all():
        rows[:, NEXT_X] = weight / path.sigma
        rows[:, NEXT_KEEP] = path.next_signal - weight * path.signal / path.sigma
        return make(path, rows)
    of_x, of_output = noise(prediction, path.signal, path.sigma)
    rows[:, NEXT_X] = weight * of_x
    rows[:, NEXT_KEEP] = path.next_signal
    rows[:, NEXT_HISTORY] = weight * of_output
    return make(path, rows, history=1, direct=True)

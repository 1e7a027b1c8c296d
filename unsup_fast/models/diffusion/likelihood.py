"""Bits per dimension of data under a trained model: an upper bound.

The bound of `elbo` at the levels of a `TrainingObjective`, which need not preserve variance: the
terms depend on x_t only through the model's image, and abar = signal^2 / (signal^2 + sigma^2). A
consistency term is a known number plus a multiple of the image's squared error; so a few timesteps,
drawn with known probabilities, estimate the sum.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.kernels.noise import noise
from unsup_fast.kernels.precision import full_precision
from unsup_fast.models.base import evaluating
from unsup_fast.models.diffusion import elbo
from unsup_fast.models.diffusion.objective import TrainingObjective
from unsup_fast.models.diffusion.process import convert_prediction
from unsup_fast.models.training.data import check_labels, to_float
from unsup_fast.models.training.draws import spread_seed
from unsup_fast.solvers.schedules import Array

__all__ = ["Likelihood", "nll_bits_per_dim"]

if TYPE_CHECKING:
    from unsup_fast.models.diffusion.model import Diffusion

Data: TypeAlias = Tensor | npt.NDArray[Any]

DECODERS = {
    "discretized": elbo.discretized_log_likelihood,
    "gaussian": elbo.gaussian_log_likelihood,
}


class Likelihood(NamedTuple):
    """Bits per dimension of N images, float64.

    Attributes
    ----------
    bits_per_dim : float
        The mean over images: prior + reconstruction + consistency.
    standard_error : float
        Standard error of that mean, from the variance over images, which includes that of the drawn
        noise; NaN for one image.
    per_sample : ndarray of shape (N,)
        Bits per dimension of each image.
    prior, reconstruction, consistency : float
        Means of the parts.
    variance : {"fixed_small", "fixed_large"}
        Variance of the reverse steps.
    """

    bits_per_dim: float
    standard_error: float
    per_sample: Array
    prior: float
    reconstruction: float
    consistency: float
    variance: str


def nll_bits_per_dim(
    model: "Diffusion",
    data: Data,
    *,
    labels: Tensor | npt.ArrayLike | None = None,
    n_timesteps: int | None = None,
    decoder: str | None = None,
    decoder_variance: float | None = None,
    variance: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[int, int], object] | None = None,
) -> Likelihood:
    """Return the bits per dimension of data, by the bound of their likelihood.

    The network runs in evaluation mode and in float32 (float64 if its weights are), whatever
    autocast says.

    Parameters
    ----------
    model : Diffusion
        Or any object with `network`, `objective` and `config.shape`, `config.classes`.
    data : ndarray or tensor of shape (N, ...)
        uint8, scaled to x / 127.5 - 1, or floating-point numbers, used unchanged.
    labels : int array-like of shape (N,), optional
        Classes; by default the network is conditioned on "any class".
    n_timesteps : int, optional
        Timesteps drawn for each image, for an unbiased estimate; by default all are used. The
        reconstruction takes one more call of the network, the prior none.
    decoder : {"discretized", "gaussian"}, optional
        Bits of 8-bit values, or of a density, which may be negative; by default "discretized" for
        uint8 data. 8-bit values are decoded from the first level whose noise is half their distance
        or more.
    decoder_variance : float, optional
        Variance of the decoder; by default that of the noise at the level it decodes.
    variance : {"fixed_small", "fixed_large"}, optional
        Variance of the reverse steps, as for `elbo.consistency`: the first is better for data that
        the model denoises almost exactly, such as black pixels, the second for densities that are
        smooth at the scale of the first levels. By default the one with the smaller mean.
    seed : int
        Seed of noise and timesteps; the draws of an image do not depend on its batch.
    batch_size : int
        Images per call of the network.
    progress : callable (done, total), optional
        Called after each call of the network.

    Returns
    -------
    Likelihood

    Raises
    ------
    TypeError, ValueError
        If arguments do not fit each other or the model.
    FloatingPointError
        If the network's output is not finite.

    Notes
    -----
    Timesteps are drawn from strata of equal probability. Half of the probability is uniform over
    all timesteps, half is proportional to the squared error of a standard normal distribution.
    """
    network = model.network
    n = _check_data(data, tuple(model.config.shape))
    decoder = _check_decoder(decoder, decoder_variance, data)
    batches = [slice(i, min(i + batch_size, n)) for i in _range(n, batch_size)]
    _check_values(data, batches, decoder)
    n_classes = len(model.config.classes)
    classes = None if labels is None else check_labels(labels, n, n_classes)  # [N]
    levels = _decoded(model.objective, decoder)
    abar = levels.signal**2 / (levels.signal**2 + levels.sigma**2)
    timesteps, weights = _timesteps(abar, n, n_timesteps, seed)  # [N, K] each
    seeds = spread_seed(seed, n)
    weight = next(iter(network.parameters()), torch.empty(0))
    wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
    reverse = {name: _reverse(abar, name) for name in _variances(variance)}
    done = _counter(progress, len(batches) * (1 + timesteps.shape[1]))
    parts = []
    with torch.no_grad(), _evaluation(network, weight.device):
        for rows in batches:
            images = _images(data[rows], wide, weight.device)  # [B, ...]
            label = None if classes is None else classes[rows].to(weight.device)
            batch = _Batch(network, levels, images, label, seeds[rows], done)
            first = batch.denoised(np.zeros(len(images), dtype=np.int64), stream=0)
            spread = 1 - float(abar[0]) if decoder_variance is None else decoder_variance
            terms = [elbo.prior_matching(images, abar), -DECODERS[decoder](images, first, spread)]
            errors = batch.errors(timesteps[rows])  # [B, K]
            for kl in reverse.values():
                factors = torch.from_numpy(weights[rows] * kl.factors[timesteps[rows] - 1])
                terms.append(images[0].numel() * kl.rest + (factors.to(errors) * errors).sum(1))
            parts.append(torch.stack(terms).cpu())  # [2 + variances, B]
    nats = torch.cat(parts, dim=1)
    bits = elbo.bits_per_dimension(-nats, math.prod(model.config.shape)).numpy()
    if not np.isfinite(bits).all():
        raise FloatingPointError(
            "bits per dimension are not finite, for the network's output is not; train it with a "
            "lower learning_rate, or go back to an earlier checkpoint"
        )
    best = int(bits[2:].mean(axis=1).argmin())
    components = bits[[0, 1, 2 + best]]  # [3, N]
    total = components.sum(axis=0)
    error = float(total.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    prior, reconstruction, consistency = (float(part.mean()) for part in components)
    chosen = list(reverse)[best]
    return Likelihood(float(total.mean()), error, total, prior, reconstruction, consistency, chosen)


class _Batch(NamedTuple):
    """A batch of images, with the network, labels and seeds to denoise it."""

    network: Module
    levels: TrainingObjective
    images: Tensor
    label: Tensor | None
    seeds: Tensor
    done: Callable[[], None]

    def denoised(self, timesteps: npt.NDArray[np.int64], stream: int) -> Tensor:
        """Return the network's images from noisy ones at timesteps [B], [B, ...]."""
        times, signal, sigma = (
            torch.from_numpy(array[timesteps]).to(self.images.device) for array in self.levels[1:4]
        )
        x_t = noise(self.images, signal, sigma, seed=self.seeds, stream=stream)
        output = self.network(x_t, times.to(x_t.dtype), self.label)
        self.done()
        return convert_prediction(
            output, x_t, signal, sigma, prediction_type=self.levels.prediction, to="sample"
        )

    def errors(self, timesteps: npt.NDArray[np.int64]) -> Tensor:
        """Return the squared errors of these images at timesteps [B, K], float64 [B, K]."""
        errors = []
        for column, t in enumerate(timesteps.T, start=1):
            residual = self.denoised(t, stream=column).double() - self.images.double()
            errors.append(residual.square().flatten(1).sum(1))
        return torch.stack(errors, dim=1) if errors else torch.empty(timesteps.shape).double()


class _Reverse(NamedTuple):
    """The consistency terms: per dimension `rest` + sum over t of factors[t - 1] errors[t]."""

    factors: Array
    rest: float


def _reverse(abar: Array, variance: str) -> _Reverse:
    """Return the terms for a variance of the reverse steps; see `elbo.consistency`."""
    abar_prev, abar_t = abar[:-1], abar[1:]
    large = 1 - abar_t / abar_prev
    ratio = (1 - abar_prev) / (1 - abar_t)  # of the posterior's variance to the large one
    rest = float((ratio - 1 - np.log(ratio)).sum() / 2) if variance == "fixed_large" else 0.0
    variances = large if variance == "fixed_large" else large * ratio
    return _Reverse(abar_prev * (large / (1 - abar_t)) ** 2 / (2 * variances), rest)


def _decoded(objective: TrainingObjective, decoder: str) -> TrainingObjective:
    """Return the levels from the decoded one up."""
    if objective.prediction == "epsilon" and not objective.signal.all():
        raise ValueError(
            "the objective has a level without signal, where predicted noise says nothing of the "
            "image; take one that predicts v or the image"
        )
    if decoder == "gaussian":
        return objective
    loud = objective.sigma >= elbo.PIXEL / 2 * objective.signal
    first = int(loud.argmax()) if loud.any() else len(loud) - 1
    return TrainingObjective(objective.prediction, *(array[first:] for array in objective[1:]))


def _timesteps(
    abar: Array, n: int, count: int | None, seed: int
) -> tuple[npt.NDArray[np.int64], Array]:
    """Return the timesteps of each image, int64 [n, K], and the weights of their terms."""
    last = abar.size - 1
    if count is None:
        shape = (n, last)
        return np.broadcast_to(np.arange(1, last + 1), shape), np.broadcast_to(1.0, shape)
    if isinstance(count, bool) or int(count) != count or not 1 <= count <= last:
        raise ValueError(
            f"n_timesteps={count!r} must be a whole number from 1 to {last}; None takes all"
        )
    share = _reverse(abar, "fixed_large").factors * (1 - abar[1:])  # [T - 1]
    chance = (share / share.sum() + 1 / last) / 2
    quantiles = (np.arange(count) + np.random.default_rng(seed).random((n, count))) / count
    drawn = np.searchsorted(np.cumsum(chance)[:-1], quantiles, side="right")  # [n, K]
    return drawn + 1, 1 / (count * chance[drawn])


@contextmanager
def _evaluation(network: Module, device: torch.device) -> Iterator[None]:
    """Set the network to evaluation mode without autocast; restore its mode at the end."""
    with evaluating(network), full_precision(), torch.autocast(device.type, enabled=False):
        yield


def _counter(progress: Callable[[int, int], object] | None, total: int) -> Callable[[], None]:
    done = 0

    def called() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return called


def _images(rows: Data, dtype: torch.dtype, device: torch.device | None) -> Tensor:
    """Return rows of the data as the network's input."""
    images = rows if isinstance(rows, torch.Tensor) else torch.tensor(np.asarray(rows))
    images = to_float(images.to(device), dtype)
    return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images


def _range(n: int, batch_size: int) -> range:
    if isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be a whole number of at least 1")
    return range(0, n, batch_size)


def _check_data(data: Data, shape: tuple[int, ...]) -> int:
    """Return the number of images, checked."""
    if not isinstance(data, torch.Tensor | np.ndarray):
        raise TypeError(f"data must be an ndarray or a tensor, got {type(data).__name__}")
    if not (_is_uint8(data) or _is_floating(data)):
        raise TypeError(f"data must be uint8 or floating-point numbers, got {data.dtype}")
    if tuple(data.shape[1:]) != shape or data.ndim == 0:
        sizes = ", ".join(map(str, shape))
        raise ValueError(f"data has shape {tuple(data.shape)}; the model knows (N, {sizes})")
    if len(data) == 0:
        raise ValueError("data holds no image; pass at least one")
    return len(data)


def _check_decoder(decoder: str | None, variance: float | None, data: Data) -> str:
    if decoder is None:
        decoder = "discretized" if _is_uint8(data) else "gaussian"
    if decoder not in DECODERS:
        raise ValueError(f"decoder={decoder!r} is unknown; pass one of {list(DECODERS)}")
    if variance is not None and not 0 < variance < math.inf:
        raise ValueError(f"decoder_variance={variance} must be above 0 and finite")
    return decoder


def _variances(variance: str | None) -> tuple[str, ...]:
    if variance is not None and variance not in elbo.VARIANCES:
        raise ValueError(f"variance={variance!r} is unknown; pass one of {list(elbo.VARIANCES)}")
    return elbo.VARIANCES if variance is None else (variance,)


def _check_values(data: Data, batches: list[slice], decoder: str) -> None:
    if _is_uint8(data):
        return
    for rows in batches:
        x = _images(data[rows], torch.float64, None)
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"rows {rows.start} to {rows.stop} of data hold NaN or infinity")
        value = (x + 1) * 127.5
        whole = (value - value.round()).abs() < 0.01
        if decoder == "discretized" and not bool((whole & (value > -1) & (value < 256)).all()):
            raise ValueError(
                "decoder='discretized' takes 8-bit values, -1, -1 + 2/255 ... 1; pass uint8 data, "
                "or decoder='gaussian' for a density"
            )


def _is_uint8(data: Data) -> bool:
    return bool(data.dtype in (torch.uint8, np.uint8))


def _is_floating(data: Data) -> bool:
    if isinstance(data, torch.Tensor):
        return bool(data.dtype.is_floating_point)
    return bool(np.issubdtype(data.dtype, np.floating))

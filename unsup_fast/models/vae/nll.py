"""The negative log likelihood of samples, by importance sampling from the posterior."""

import math
from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.models.training.progress import Bar, Report, wanted
from unsup_fast.models.vae.config import Network
from unsup_fast.models.vae.inference import Encoded, weighted
from unsup_fast.models.vae.likelihood import Likelihood

VALUES = 1 << 20
"""Values that are decoded at a time: about what stays in a processor's cache."""


class BitsPerDim(NamedTuple):
    """Bits per dimension of N samples, float64.

    Attributes
    ----------
    bits_per_dim : float
        The mean over samples, an upper bound.
    standard_error : float
        Standard error of that mean, from the variance over samples; NaN for one.
    per_sample : ndarray of shape (N,)
    """

    bits_per_dim: float
    standard_error: float
    per_sample: npt.NDArray[np.float64]


def by_importance_sampling(
    network: Network,
    likelihood: Likelihood,
    batches: Iterator[Encoded],
    n: int,
    n_samples: int,
    batch_size: int | None,
    progress: bool | Report | None,
) -> Tensor:
    """Return -log 1/K sum_k p(x, z_k) / q(z_k | x) of n samples in nats, float64 (n,).

    Each sample is encoded once. The draws of a sample follow from its seed alone, and the sum over
    them is of logarithms, so that no number of draws overflows it.
    """
    for name, value in (("n_samples", n_samples), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    bar = Bar(n * n_samples) if progress is True or (progress is None and wanted(None)) else None
    report = bar or (progress if callable(progress) else None)
    begun, done, results = monotonic(), 0, []
    try:
        for batch in batches:
            rows = batch_size or max(1, VALUES // math.prod(batch.targets.shape[1:]))
            size = min(len(batch.targets), rows)
            for start in range(0, len(batch.targets), size):
                part = _rows(batch, slice(start, start + size))
                total = torch.full((len(part.targets),), -math.inf, dtype=torch.float64)
                total = total.to(part.targets.device)
                draws = min(n_samples, max(1, rows // len(part.targets)))
                for first in range(0, n_samples, draws):
                    k = min(draws, n_samples - first)
                    weights = weighted(network, likelihood, part, k, first).log_weights  # [k, B]
                    total = torch.logaddexp(total, weights.double().logsumexp(0))
                    done += k * len(part.targets)
                    if report is not None:
                        pace = (monotonic() - begun) / done
                        report(done, n * n_samples, pace * (n * n_samples - done))
                results.append(math.log(n_samples) - total)
    finally:
        if bar is not None:
            bar.close()
    return torch.cat(results)


def bits_per_dim(nats: Tensor, n_dimensions: int, bin_width: float) -> BitsPerDim:
    """Return bits per dimension of -log p [N] in nats; a density counts by its bins' width."""
    bits = (nats / (n_dimensions * math.log(2)) - math.log2(bin_width)).cpu().numpy()
    error = float(bits.std(ddof=1)) / math.sqrt(len(bits)) if len(bits) > 1 else math.nan
    return BitsPerDim(bits_per_dim=float(bits.mean()), standard_error=error, per_sample=bits)


def _rows(batch: Encoded, rows: slice) -> Encoded:
    posterior = type(batch.posterior)(
        mean=batch.posterior.mean[rows], log_variance=batch.posterior.log_variance[rows]
    )
    label = None if batch.label is None else batch.label[rows]
    return Encoded(
        targets=batch.targets[rows], label=label, seeds=batch.seeds[rows], posterior=posterior
    )

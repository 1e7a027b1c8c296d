"""Critics, whose slope is bounded, and the Wasserstein distance W1 that the best of them measures.

W1(P, Q) is the largest E_P f - E_Q f of any f with a slope of at most 1 (Kantorovich & Rubinstein).
It is known for distributions on a line and for some Gaussians, which trained critics can be
compared with. In many dimensions the losses of trained critics are far from W1 (Stanczuk et al.
2021), and do not have to be near it to train a generator.
"""

import math

import numpy as np
import numpy.typing as npt

from unsup_fast._types import ArrayLike


def optimal_critic(points: ArrayLike, p: ArrayLike, q: ArrayLike) -> npt.NDArray[np.float64]:
    """Return the best critic of two distributions on a line, at their points.

    Its slope is the sign of F_q - F_p, the difference of the distribution functions. `(p - q) @ f`
    is W1, the same as `scipy.stats.wasserstein_distance`.

    Parameters
    ----------
    points : array-like of shape (K,)
        In rising order.
    p, q : array-like of shape (K,)
        Probabilities of the points.

    Returns
    -------
    ndarray of shape (K,)
        0 at the first point.

    Raises
    ------
    ValueError
        If points do not rise, or the shapes differ.
    """
    x, a, b = (np.asarray(each, np.float64) for each in (points, p, q))
    if not (x.ndim == 1 and x.shape == a.shape == b.shape and (np.diff(x) > 0).all()):
        raise ValueError(
            f"points {x.shape}, p {a.shape} and q {b.shape} must be vectors of one length, with "
            "points in rising order"
        )
    slopes = np.sign(np.cumsum(b - a)[:-1])  # [K - 1]
    return np.concatenate([[0.0], np.cumsum(slopes * np.diff(x))])


def wasserstein_gaussian(mean_p: ArrayLike, std_p: float, mean_q: ArrayLike, std_q: float) -> float:
    """Return W1 of N(mean_p, std_p^2 I) and N(mean_q, std_q^2 I) where it has a closed form.

    With a shift m of the means and a difference s of the deviations it is |m| for s = 0,
    s sqrt(2) Gamma((D + 1) / 2) / Gamma(D / 2) for m = 0, and in one dimension the mean of
    |N(m, s^2)|.

    Parameters
    ----------
    mean_p, mean_q : float or array-like of shape (D,)
    std_p, std_q : float

    Raises
    ------
    ValueError
        If both means and deviations differ, in more than one dimension.
    """
    shift = np.atleast_1d(np.asarray(mean_p, np.float64) - np.asarray(mean_q, np.float64))  # [D]
    m, s, dimensions = float(np.linalg.norm(shift)), abs(std_p - std_q), shift.size
    if s == 0:
        return m
    if m == 0:
        log_ratio = math.lgamma((dimensions + 1) / 2) - math.lgamma(dimensions / 2)
        return s * math.sqrt(2) * math.exp(log_ratio)
    if dimensions == 1:
        density = math.sqrt(2 / math.pi) * math.exp(-((m / s) ** 2) / 2)
        return s * density + m * math.erf(m / (s * math.sqrt(2)))
    raise ValueError(
        f"means differ by {m:g} and deviations by {s:g} in {dimensions} dimensions; W1 has a "
        "closed form if one of them is the same, or in one dimension"
    )


def gradient_penalty_slope(distance: float, weight: float) -> float:
    """Return the slope 1 + W / (2 weight) of the best critic with a gradient penalty.

    Between a distribution and its shift by W, a critic of slope s has the objective
    s W - weight (s - 1)^2. It is largest at this slope, not at 1, so the difference of the critic's
    means is W (1 + W / (2 weight)); divided by the slope it is W.

    Parameters
    ----------
    distance : float
        W.
    weight : float
        Of the penalty (|grad f| - 1)^2; 10 in Gulrajani et al. (2017).
    """
    return 1 + distance / (2 * weight)

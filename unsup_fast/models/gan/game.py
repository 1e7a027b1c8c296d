"""The game of a discriminator, which guesses whether a point is from P, the data, or from Q.

Both have equal odds. No guess errs less often than (1 - TV(P, Q)) / 2, and each loss of a
discriminator has a best answer whose value is a divergence of P and Q. Three kinds of arguments:

- distributions over K outcomes: arrays or tensors of probabilities along the last axis, as in
  `unsup_fast.information`, with gradients for tensors;
- densities: `on_grid` turns each into probabilities of the points of a quadrature rule;
- samples: `unsup_fast.models.gan.estimates` takes the outputs of a discriminator for them.

Losses are those of `unsup_fast.models.gan.LOSSES`, by the same names. The value V(G, D) of the game
(Goodfellow et al. 2014) is minus the discriminator's loss "minimax".
"""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from unsup_fast._types import ArrayLike, on_host
from unsup_fast.information import (
    bretagnolle_huber_bound,
    js_divergence,
    kl_divergence,
    pinsker_bound,
    total_variation,
)
from unsup_fast.information._checks import distributions
from unsup_fast.information._numbers import library, numbers, result, total

Float64 = npt.NDArray[np.float64]
LossName = Literal["minimax", "non-saturating", "least-squares", "hinge", "relativistic"]
SLACK = 1e-5  # by which the mass of a density on a grid may miss 1


def best_guess(p: ArrayLike, q: ArrayLike) -> Any:
    """Return the probability of guessing P that errs least: 1 where p >= q, else 0.

    Parameters
    ----------
    p, q : array-like or tensor of shape (..., K)
        Distributions along the last axis; the axes before it broadcast.

    Returns
    -------
    ndarray or tensor of shape (..., K)

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    a, b = distributions(False, True, p=p, q=q)
    xp = library(a)
    return xp.where(a >= b, xp.ones_like(a), xp.zeros_like(a))


def guess_error(guess: ArrayLike, p: ArrayLike, q: ArrayLike) -> Any:
    """Return how often a policy errs: sum_k (q_k guess_k + p_k (1 - guess_k)) / 2.

    Parameters
    ----------
    guess : array-like or tensor of shape (..., K)
        Probability of guessing P at each outcome.
    p, q
        As in `best_guess`.

    Returns
    -------
    float, ndarray or tensor of shape (...)

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    distributions(False, True, p=p, q=q)
    eta, a, b = numbers(guess=guess, p=p, q=q)
    return result(total(b * eta + a * (1 - eta), -1) / 2, None, a.dtype)


def best_error(p: ArrayLike, q: ArrayLike) -> Any:
    """Return the least error of any policy, (1 - TV(p, q)) / 2, which is that of `best_guess`.

    It is summed up as sum_k min(p_k, q_k) / 2, where nothing cancels.

    Parameters
    ----------
    p, q
        As in `best_guess`.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Between 0 and 1/2.

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.

    Examples
    --------
    >>> from unsup_fast.models.gan.game import best_error
    >>> float(best_error([0.75, 0.25], [0.25, 0.75]))
    0.25
    """
    a, b = distributions(False, True, p=p, q=q)
    return result(total(library(a).minimum(a, b), -1) / 2, None, a.dtype)


def least_error(divergence: ArrayLike) -> Any:
    """Return an error that no policy is below, from a divergence KL(p || q) or KL(q || p) alone.

    It follows from the lesser of Pinsker's and of Bretagnolle and Huber's bounds of the distance.

    Parameters
    ----------
    divergence : array-like or tensor
        In nats.

    Returns
    -------
    float, ndarray or tensor of the same shape
        At most `best_error`.

    Raises
    ------
    TypeError, ValueError
        If `divergence` is negative or NaN.
    """
    bounds = pinsker_bound(divergence), bretagnolle_huber_bound(divergence)
    return (1 - library(bounds[0]).minimum(*bounds)) / 2


def optimal_discriminator(log_p: ArrayLike, log_q: ArrayLike) -> Any:
    """Return P / (P + Q), the probability that a point is from P, best for cross entropy.

    Parameters
    ----------
    log_p, log_q : array-like or tensor
        Logarithms of densities, or of probabilities, at the same points; -inf for zero. The shapes
        broadcast.

    Returns
    -------
    float, ndarray or tensor of the shape that both broadcast to
        1/2 where both are zero.

    Raises
    ------
    TypeError
        If they are not real numbers.
    """
    return _sigmoid(_log_ratio(log_p, log_q))[()]


def optimal_output(log_p: ArrayLike, log_q: ArrayLike, loss: LossName) -> Any:
    """Return what the best discriminator of a loss outputs at points of known densities.

    That is log P/Q for `minimax`, `non-saturating` and `relativistic` (there plus any constant),
    P / (P + Q) for `least-squares`, and for `hinge` the sign of P - Q. The Wasserstein loss has no
    best output without a bound of slopes; see `unsup_fast.models.gan.wasserstein`.

    Parameters
    ----------
    log_p, log_q
        As in `optimal_discriminator`.
    loss : str

    Returns
    -------
    float, ndarray or tensor of the shape that both broadcast to
        Infinite logits where one density is zero; 0 where both are, or 1/2 for `least-squares`.

    Raises
    ------
    TypeError
        If densities are not real numbers.
    ValueError
        If there is no such loss.
    """
    _check(loss, get_args(LossName))
    logits = _log_ratio(log_p, log_q)
    if loss == "hinge":
        return library(logits).sign(logits)[()]
    return (_sigmoid(logits) if loss == "least-squares" else logits)[()]


def optimal_loss(p: ArrayLike, q: ArrayLike, loss: LossName) -> Any:
    """Return the least value of a discriminator's loss, which a divergence of p and q determines.

    | loss | least value |
    |---|---|
    | `minimax`, `non-saturating` | log 4 - 2 JS(p, q) |
    | `least-squares` | sum_k p_k q_k / (p_k + q_k) / 2 |
    | `hinge` | 2 - 2 TV(p, q) |
    | `relativistic` | log 2 - JS(p x q, q x p), of pairs: K^2 terms |

    Parameters
    ----------
    p, q
        As in `best_guess`.
    loss : str

    Returns
    -------
    float, ndarray or tensor of shape (...)

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, the shapes do not fit, or there is no such loss.
    """
    _check(loss, get_args(LossName))
    if loss == "hinge":
        return 4 * best_error(p, q)
    if loss in ("minimax", "non-saturating"):
        return math.log(4) - 2 * js_divergence(p, q)
    a, b = distributions(False, True, p=p, q=q)
    if loss == "least-squares":
        return result(total(a * b / _sum(a, b), -1) / 2, None, a.dtype)
    first, second = a[..., :, None] * b[..., None, :], b[..., :, None] * a[..., None, :]
    first, second = (x.reshape(*x.shape[:-2], -1) for x in (first, second))  # [..., K K]
    return math.log(2) - js_divergence(first, second, validate=False)


def generator_divergence(p: ArrayLike, q: ArrayLike, loss: LossName) -> Any:
    """Return the divergence that a generator of q reduces against the best discriminator.

    Its gradient by q is that of the generator's loss with the discriminator's best answer held
    fixed (Arjovsky & Bottou 2017, theorem 2.5, for the second). With m = (p + q) / 2:

    | loss | of the generator | divergence |
    |---|---|---|
    | `minimax` | log(1 - sigmoid(D(y))) | 2 JS(p, q) |
    | `non-saturating` | -log sigmoid(D(y)) | KL(q ‖ p) - 2 JS(p, q) = 2 KL(m ‖ p) |
    | `least-squares` | (D(y) - 1)^2 / 2 | KL(p ‖ m) - sum_k (p_k - q_k)^2 / (p_k + q_k) / 8 |
    | `hinge` | -D(y) | 2 TV(p, q) |

    All are zero at q = p only. `non-saturating` is infinite if q has outcomes that p rules out.

    Parameters
    ----------
    p, q
        As in `best_guess`.
    loss : str

    Returns
    -------
    float, ndarray or tensor of shape (...)

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, the shapes do not fit, or there is no such loss.
    """
    _check(loss, ("minimax", "non-saturating", "least-squares", "hinge"))
    if loss == "minimax":
        return 2 * js_divergence(p, q)
    if loss == "hinge":
        return 2 * total_variation(p, q)
    a, b = distributions(False, True, p=p, q=q)
    middle = (a + b) / 2  # [..., K]
    if loss == "non-saturating":
        return 2 * kl_divergence(middle, a, validate=False)
    triangle = result(total((a - b) ** 2 / _sum(a, b), -1), None, a.dtype)
    return kl_divergence(a, middle, validate=False) - triangle / 8


def on_grid(
    log_density: Callable[[Float64], ArrayLike], points: ArrayLike, weights: ArrayLike
) -> Float64:
    """Return a density as probabilities of the points of a quadrature rule.

    Sums of the functions above are then integrals, with the error of the rule. For smooth densities
    on a grid of equal steps that is rounding, once the grid holds their tails; for the total
    variation, whose terms have a kink where densities cross, it is as the square of the step.

    Parameters
    ----------
    log_density : function of points (K,) or (K, D) to logarithms (K,)
    points : array-like of shape (K,) or (K, D)
    weights : array-like of shape (K,), or a number
        Of the rule: the step for a grid on the line, its square in the plane.

    Returns
    -------
    ndarray of shape (K,)

    Raises
    ------
    ValueError
        If probabilities do not sum to 1 within 1e-5: the grid is too small or too coarse.
    """
    logarithms = on_host(log_density(np.asarray(points, np.float64)))
    masses: Float64 = np.asarray(weights, np.float64) * np.exp(logarithms.astype(np.float64))
    whole = float(masses.sum())
    if not abs(whole - 1) <= SLACK:
        raise ValueError(
            f"the grid holds a mass of {whole:.9g} of the density, not 1 within {SLACK:.0e}; pass "
            "points that cover its tails and are closer together, the weights of their rule, and "
            "a normalized density"
        )
    return masses


def _check(loss: str, allowed: tuple[str, ...]) -> None:
    if loss not in allowed:
        raise ValueError(f"loss={loss!r} has no closed form here; pass one of {', '.join(allowed)}")


def _log_ratio(log_p: ArrayLike, log_q: ArrayLike) -> Any:
    a, b = numbers(log_p=log_p, log_q=log_q)
    xp = library(a)
    same = a == b  # -inf too, whose difference is not a number
    return xp.where(same, 0.0, a) - xp.where(same, 0.0, b)


def _sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), which neither overflows nor loses small values."""
    xp = library(x)
    return xp.exp(-xp.logaddexp(xp.zeros_like(x), -x))


def _sum(p: Any, q: Any) -> Any:
    """Return p + q, and 1 where that is zero."""
    both = p + q
    return library(both).where(both > 0, both, 1.0)

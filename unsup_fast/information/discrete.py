"""Measures of distributions over K outcomes."""

from typing import Any

from unsup_fast._types import ArrayLike, Numbers
from unsup_fast.information._checks import distributions
from unsup_fast.information._kl import kl_terms
from unsup_fast.information._kl_math import INFINITY
from unsup_fast.information._numbers import at, first, library, numbers, result, total, unit, wide


def entropy(
    p: ArrayLike, *, base: float | None = None, log: bool = False, validate: bool = True
) -> Any:
    """Return the Shannon entropy H(p) = -sum_k p_k log p_k.

    Parameters
    ----------
    p : array-like or tensor of shape (..., K)
        Distributions along the last axis.
    base : float, optional
        2 for bits; None for nats.
    log : bool, default=False
        Whether `p` holds natural logarithms of probabilities.
    validate : bool, default=True
        Whether to check that arguments are distributions.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Between 0 and log K.

    Raises
    ------
    TypeError, ValueError
        If `p` is no distribution; see `unsup_fast.information`.

    Examples
    --------
    >>> from unsup_fast.information import entropy
    >>> float(entropy([0.5, 0.25, 0.25, 0.0], base=2))
    1.5
    """
    (a,) = distributions(log, validate, p=p)
    xp = library(a)
    if log:
        safe = xp.where(a > -INFINITY, a, 0.0)
        terms = -xp.exp(safe) * safe  # [..., K]
    else:
        terms = -a * xp.log(xp.where(a > 0, a, 1.0))  # [..., K]
    return result(total(terms, -1), base, a.dtype)


def cross_entropy(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
    log: bool = False,
    validate: bool = True,
) -> Any:
    """Return the cross entropy H(p, q) = -sum_k p_k log q_k = H(p) + KL(p || q).

    Parameters
    ----------
    p, q : array-like or tensor of shape (..., K)
        Distributions along the last axis; the axes before it broadcast.
    base, log, validate
        As in `entropy`; `log` holds for both.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Infinite where q rules out an outcome that p does not.

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    a, b = distributions(log, validate, p=p, q=q)
    xp = library(a)
    zero = -INFINITY if log else 0.0
    seen = b > zero
    safe = xp.where(seen, b, 0.0 if log else 1.0)
    terms = -xp.exp(a) * safe if log else -a * xp.log(safe)  # [..., K]
    terms = xp.where(seen, terms, xp.where(a > zero, INFINITY, 0.0))
    return result(total(terms, -1), base, a.dtype)


def kl_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
    log: bool = False,
    validate: bool = True,
) -> Any:
    """Return the Kullback-Leibler divergence KL(p || q) = sum_k p_k log(p_k / q_k).

    It is summed up as p log(p/q) - p + q, which is the same for distributions and never negative.
    Its derivatives by p and q are log(p/q) and 1 - p/q, which differ from those of the formula
    above by a constant that no change within the distributions sees.

    Parameters
    ----------
    p, q : array-like or tensor of shape (..., K)
        Distributions along the last axis; the axes before it broadcast.
    base, log, validate
        As in `entropy`; `log` holds for both.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Infinite where q rules out an outcome that p does not.

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    a, b = distributions(log, validate, p=p, q=q)
    return result(total(kl_terms(a, b, log=log), -1), base, a.dtype)


def js_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
    log: bool = False,
    validate: bool = True,
) -> Any:
    """Return the Jensen-Shannon divergence JS(p, q) = (KL(p || m) + KL(q || m)) / 2.

    There m = (p + q) / 2. It is the mutual information of an outcome and the distribution it is
    from, p or q with equal odds (Lin 1991).

    Parameters
    ----------
    p, q : array-like or tensor of shape (..., K)
        Distributions along the last axis; the axes before it broadcast.
    base, log, validate
        As in `entropy`; `log` holds for both.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Between 0 and log 2, its value where no outcome is possible under both.

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    a, b = distributions(log, validate, p=p, q=q)
    xp = library(a)
    if log:
        seen = (a > -INFINITY) & (b > -INFINITY)
        rise = xp.where(seen, b, 0.0) - xp.where(seen, a, 0.0)
        near = seen & (xp.abs(rise) < 1)
        relative = xp.expm1(xp.where(near, rise, 0.0))
        a, b = xp.exp(a), xp.exp(b)
        difference = xp.where(near, a * relative, b - a)  # [..., K]
    else:
        difference = b - a  # [..., K]
    twice = a + b  # 2 m, which does not vanish where m would
    terms = kl_terms(2 * a, twice, difference=difference)
    terms = terms + kl_terms(2 * b, twice, difference=-difference)
    return result(total(terms, -1) / 4, base, a.dtype)


def total_variation(p: ArrayLike, q: ArrayLike, *, log: bool = False, validate: bool = True) -> Any:
    """Return the total variation distance, the largest difference in an event's probability.

    The event is that p_k > q_k, so the distance is sum_k |p_k - q_k| / 2.

    Parameters
    ----------
    p, q : array-like or tensor of shape (..., K)
        Distributions along the last axis; the axes before it broadcast.
    log, validate : bool
        As in `entropy`; `log` holds for both.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If one is no distribution, or the shapes do not fit; see `unsup_fast.information`.
    """
    a, b = distributions(log, validate, p=p, q=q)
    xp = library(a)
    if log:
        high, low = xp.maximum(a, b), xp.minimum(a, b)
        seen = high > -INFINITY
        fall = xp.where(seen, low, 0.0) - xp.where(seen, high, 0.0)
        difference = -xp.exp(high) * xp.expm1(fall)  # [..., K]
    else:
        difference = xp.abs(a - b)  # [..., K]
    return result(total(difference, -1) / 2, None, a.dtype)


def pinsker_bound(divergence: ArrayLike, *, base: float | None = None) -> Any:
    """Return Pinsker's bound sqrt(KL / 2) of the total variation distance.

    Parameters
    ----------
    divergence : array-like or tensor
        KL(p || q) of any two distributions, by whichever function of this module.
    base : float, optional
        That the divergence is in: 2 for bits; None for nats.

    Returns
    -------
    float, ndarray or tensor of the same shape
        At least the distance of p and q, and no use where it is 1 or more.

    Raises
    ------
    TypeError, ValueError
        If `divergence` is negative or NaN.
    """
    divergences = _divergences(divergence)
    return result(_root(divergences * (unit(base) / 2)), None, divergences.dtype)


def bretagnolle_huber_bound(divergence: ArrayLike, *, base: float | None = None) -> Any:
    """Return the bound sqrt(1 - exp(-KL)) of the total variation distance.

    It is below 1 for every finite divergence, and below Pinsker's from about 1.59 nats on
    (Bretagnolle & Huber 1979).

    Parameters
    ----------
    divergence, base
        As in `pinsker_bound`.

    Returns
    -------
    float, ndarray or tensor of the same shape
        At least the distance of p and q.

    Raises
    ------
    TypeError, ValueError
        If `divergence` is negative or NaN.
    """
    divergences = _divergences(divergence)
    xp = library(divergences)
    share = -xp.expm1(-divergences * unit(base))
    return result(_root(share), None, divergences.dtype)


def mutual_information(
    joint: ArrayLike, *, base: float | None = None, log: bool = False, validate: bool = True
) -> Any:
    """Return the mutual information I(X; Y) = KL(p(x, y) || p(x) p(y)) = H(X) - H(X | Y).

    It is summed up in float64 as sum_x p(x) KL(p(y | x) || p(y)), where no product of small numbers
    vanishes. Rounding is relative to the square root of the information, in nats, not to it.

    Parameters
    ----------
    joint : array-like or tensor of shape (..., K, L)
        Probabilities of x and y along the last two axes.
    base, log, validate
        As in `entropy`.

    Returns
    -------
    float, ndarray or tensor of shape (...)
        Between 0 and the lesser entropy of X and Y.

    Raises
    ------
    TypeError, ValueError
        If `joint` is no distribution; see `unsup_fast.information`.
    """
    (table,) = distributions(log, validate, axes=2, joint=joint)
    xp, dtype = library(table), table.dtype
    p = xp.exp(wide(table)) if log else wide(table)  # [..., K, L]
    p_x = total(p, -1, keepdims=True)  # [..., K, 1]
    p_y = total(p, -2, keepdims=True)  # [..., 1, L]
    conditional = p / xp.where(p_x > 0, p_x, 1.0)  # [..., K, L]
    return result(total(p_x * kl_terms(conditional, p_y), (-2, -1)), base, dtype)


def _divergences(divergence: ArrayLike) -> Any:
    """Return what a user passes as divergences, checked."""
    (divergences,) = numbers(divergence=divergence)
    wrong = ~(divergences >= 0)
    if wrong.any():
        index = first(wrong)
        raise ValueError(
            f"{at('divergence', index)} is {float(divergences[index])}; a divergence is >= 0"
        )
    return divergences


def _root(x: Numbers) -> Numbers:
    """Return square roots whose gradient at 0 is 0."""
    xp = library(x)
    root: Numbers = xp.where(x > 0, xp.sqrt(xp.where(x > 0, x, 1.0)), 0.0)
    return root

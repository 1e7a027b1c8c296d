"""Measures of coins: each number is the probability of one of two outcomes."""

from typing import Any

from unsup_fast.information._checks import probabilities
from unsup_fast.information._kl import kl_terms
from unsup_fast.information._kl_math import INFINITY
from unsup_fast.information._numbers import library, result


def binary_cross_entropy(
    p: Any, q: Any, *, base: float | None = None, validate: bool = True
) -> Any:
    """Return -p log q - (1 - p) log(1 - q), the cross entropy of two Bernoulli distributions.

    Parameters
    ----------
    p, q : array-like or tensor
        Probabilities between 0 and 1; the shapes broadcast.
    base : float, optional
        2 for bits; None for nats.
    validate : bool, default=True
        Whether to look for what is no probability.

    Returns
    -------
    float, ndarray or tensor of the shape that both broadcast to
        Infinite where q rules out an outcome that p does not.

    Raises
    ------
    TypeError, ValueError
        If a number is no probability, or the shapes do not fit.
    """
    p, q = probabilities(validate, p=p, q=q)
    xp = library(p)
    one = -p * xp.log(xp.where(q > 0, q, 1.0))
    other = (p - 1) * xp.log1p(-xp.where(q < 1, q, 0.0))
    impossible = ((q == 0) & (p > 0)) | ((q == 1) & (p < 1))
    return result(xp.where(impossible, INFINITY, one + other), base, p.dtype)


def kl_bernoulli(p: Any, q: Any, *, base: float | None = None, validate: bool = True) -> Any:
    """Return p log(p/q) + (1 - p) log((1 - p)/(1 - q)), the divergence of Bernoulli distributions.

    Parameters
    ----------
    p, q : array-like or tensor
        Probabilities between 0 and 1; the shapes broadcast.
    base, validate
        As in `binary_cross_entropy`.

    Returns
    -------
    float, ndarray or tensor of the shape that both broadcast to
        Infinite where q rules out an outcome that p does not.

    Raises
    ------
    TypeError, ValueError
        If a number is no probability, or the shapes do not fit.
    """
    p, q = probabilities(validate, p=p, q=q)
    nats = kl_terms(p, q) + kl_terms(1 - p, 1 - q, difference=p - q)
    return result(nats, base, p.dtype)

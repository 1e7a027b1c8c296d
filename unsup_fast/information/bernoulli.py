"""Measures of coins: each number is the probability of one of two outcomes."""

from typing import Any

from unsup_fast._types import ArrayLike
from unsup_fast.information._checks import probabilities
from unsup_fast.information._kl import kl_terms
from unsup_fast.information._kl_math import INFINITY
from unsup_fast.information._numbers import library, result


def binary_cross_entropy(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None, validate: bool = True
) -> Any:
    """Return -p log q - (1 - p) log(1 - q), the cross entropy of two Bernoulli distributions.

    Parameters
    ----------
    p, q : array-like or tensor
        Probabilities between 0 and 1; the shapes broadcast.
    base : float, optional
        2 for bits; None for nats.
    validate : bool, default=True
        Whether to check that numbers are probabilities.

    Returns
    -------
    float, ndarray or tensor of the shape that both broadcast to
        Infinite where q rules out an outcome that p does not.

    Raises
    ------
    TypeError, ValueError
        If a number is no probability, or the shapes do not fit.
    """
    a, b = probabilities(validate, p=p, q=q)
    xp = library(a)
    one = -a * xp.log(xp.where(b > 0, b, 1.0))
    other = (a - 1) * xp.log1p(-xp.where(b < 1, b, 0.0))
    impossible = ((b == 0) & (a > 0)) | ((b == 1) & (a < 1))
    return result(xp.where(impossible, INFINITY, one + other), base, a.dtype)


def kl_bernoulli(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None, validate: bool = True
) -> Any:
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
    a, b = probabilities(validate, p=p, q=q)
    nats = kl_terms(a, b) + kl_terms(1 - a, 1 - b, difference=a - b)
    return result(nats, base, a.dtype)

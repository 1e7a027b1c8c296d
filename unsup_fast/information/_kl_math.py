"""Terms p log(p/q) - p + q of a Kullback-Leibler divergence.

They sum to the divergence where p and q sum to one, none of them is negative, and an error in the
sums of p and q enters only squared. With d = q - p and r = d / p a term is p (r - log(1 + r)). Near
r = 0 that difference cancels; there, with s = r / (2 + r) and log(1 + r) = 2 artanh(s)::

    r - log(1 + r) = r s - 2 s^3 (1/3 + s^2/5 + s^4/7 + ...)

which for |r| <= 0.29 needs nine terms in float64, four in float32, to be right to the last digits.
"""

from typing import Any, NamedTuple

from unsup_fast._types import Numbers
from unsup_fast.information._numbers import library

NEAR = 0.25
INFINITY = float("inf")


class Pair(NamedTuple):
    """Two distributions entry by entry; both are 1 where one is zero."""

    seen: Any
    """Whether neither is zero."""
    p: Any
    difference: Any
    """q - p"""
    log_ratio: Any
    """log(p / q), as it is where that is not near zero"""
    near: Any
    """Whether the ratio is near 1."""
    relative: Any
    """q / p - 1 if so, else 0"""
    q: Any


def value(p: Numbers, q: Numbers, difference: Numbers | None, log: bool) -> Numbers:
    """Return the terms."""
    xp = library(p)
    pair = _logarithms(p, q) if log else _probabilities(p, q, difference)
    r = pair.relative
    s = r / (2 + r)
    s2, series = s * s, 0.0
    for odd in range(19 if p.itemsize == 8 else 9, 1, -2):
        series = series * s2 + 1 / odd
    near = pair.p * (r * s - 2 * s * s2 * series)
    terms = xp.where(pair.near, near, pair.p * pair.log_ratio + pair.difference)
    zero = -INFINITY if log else 0.0
    other = xp.where(p > zero, INFINITY, xp.exp(q) if log else q)
    result: Numbers = xp.where(pair.seen, terms, other)
    return result


def slopes(p: Numbers, q: Numbers, log: bool) -> tuple[Numbers, Numbers]:
    """Return the terms' derivatives by p and q: zero where they would be infinite."""
    xp = library(p)
    if log:
        pair = _logarithms(p, q)
        q_only = xp.where(p > -INFINITY, 0.0, xp.exp(q))
        return (
            xp.where(pair.seen, pair.p * pair.log_ratio, 0.0),
            xp.where(pair.seen, pair.difference, q_only),
        )
    pair = _probabilities(p, q, None)
    q_only = xp.where((p == 0) & (q > 0), 1.0, 0.0)
    log_ratio = xp.where(pair.near, -xp.log1p(pair.relative), pair.log_ratio)
    by_p = xp.where(pair.seen, log_ratio, 0.0)
    return by_p, xp.where(pair.seen, pair.difference / pair.q, q_only)


def _probabilities(p: Numbers, q: Numbers, difference: Numbers | None) -> Pair:
    xp = library(p)
    seen = (p > 0) & (q > 0)
    a, b = xp.where(seen, p, 1.0), xp.where(seen, q, 1.0)
    d = b - a if difference is None else xp.where(seen, difference, 0.0)
    near = xp.abs(d) <= NEAR * a
    relative = xp.where(near, d, 0.0) / a
    # The smaller over the larger neither overflows nor vanishes, even with subnormal numbers.
    up = a < b
    far = xp.log(xp.where(up, a, b) / xp.where(up, b, a))
    return Pair(seen, a, d, xp.where(up, far, -far), near, relative, b)


def _logarithms(log_p: Numbers, log_q: Numbers) -> Pair:
    xp = library(log_p)
    seen = (log_p > -INFINITY) & (log_q > -INFINITY)
    a, b = xp.where(seen, log_p, 0.0), xp.where(seen, log_q, 0.0)
    log_ratio = a - b
    near = xp.abs(log_ratio) <= NEAR
    relative = xp.expm1(xp.where(near, -log_ratio, 0.0))
    p, q = xp.exp(a), xp.exp(b)
    difference = xp.where(near, p * relative, q - p)
    return Pair(seen, p, difference, log_ratio, near, relative, q)

"""Odd polynomials whose composition takes [low, 1] to 1: the schedule of a polar iteration.

Each is the best approximation of 1 on the interval that the ones before leave, by a x + b x^3 +
c x^5 in the largest error, and their composition is the best of its form (Amsel, Persson, Musco &
Gower 2025, "The Polar Express") but for a cushion against rounding. The extrema of the error are
computed by the Remez exchange.
"""

import functools
from typing import NamedTuple

import numpy as np

FINE = 1e-14  # distance from 1 at which all is rounding
MARGIN = 1e-3  # beyond the interval the polynomials are steep, and rounding would be blown up
CUSHION = 2.0**-8  # no value above it is brought so near zero that rounding could lose it


class Polynomial(NamedTuple):
    """The odd polynomial ``a x + b x^3 + c x^5``."""

    a: float
    b: float
    c: float


@functools.lru_cache(maxsize=256)
def schedule(decades: int, fine: float = FINE) -> tuple[Polynomial, ...]:
    """Return polynomials, the first one to be applied first.

    Parameters
    ----------
    decades : int
        They take [2^-decades, 1] to [1 - fine, 1 + fine], and what is less to [0, 1 + fine].
    fine : float
        At least the rounding of the type they are applied in.
    """
    low, high = 2.0**-decades, 1.0
    polynomials: list[Polynomial] = []
    while high - low > fine and len(polynomials) < 60:
        cut = max(low, CUSHION * high)
        polynomial = best(cut, high * (1 + MARGIN) if low < 0.5 else high)
        polynomials.append(polynomial)
        # p(cut) is 1 less the largest error, with all digits where that is nearly 1.
        low, high = value(polynomial, low), 2 - value(polynomial, cut)
    return tuple(polynomials)


def value(polynomial: Polynomial, x: float) -> float:
    """Return the polynomial at x."""
    a, b, c = polynomial
    return a * x + b * x**3 + c * x**5


def best(low: float, high: float) -> Polynomial:
    """Return the odd polynomial of degree 5 nearest to 1 on [low, high]."""
    if high - low < 1e-5 * high:
        return Polynomial(15 / 8, -10 / 8, 3 / 8)  # Taylor's about 1: off by less than gap^3
    inner = np.array([0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high])
    for _ in range(100):
        points = np.array([low, *inner, high])
        signs = np.array([1.0, -1.0, 1.0, -1.0])  # p = 1 - error, 1 + error, 1 - error, 1 + error
        a, b, c, _ = np.linalg.solve(
            np.stack([points, points**3, points**5, signs], axis=1), np.ones(4)
        )
        root = np.sqrt(9 * b * b - 20 * a * c)
        before, inner = inner, np.sqrt(np.array([-3 * b - root, -3 * b + root]) / (10 * c))
        if np.abs(inner - before).max() <= 1e-15 * high:
            break
    return Polynomial(float(a), float(b), float(c))

"""Multistep methods: integrals of exponentials times the polynomial through earlier outputs."""

from math import factorial

import numpy as np
import numpy.typing as npt

from unsup_fast.solvers.path import Path
from unsup_fast.solvers.rows import needs_noise
from unsup_fast.solvers.schedules import Array

SHORT = 15  # tables of fewer steps end with two steps of lower order by default


def phi(k: int, z: float) -> float:
    """Return phi_k(z) = sum_j z^j / (j + k)!, so that phi_1(z) = (exp(z) - 1) / z."""
    if abs(z) < 1:
        return sum(z**j / factorial(j + k) for j in range(20))
    value = float(np.expm1(z)) / z
    for i in range(1, k):
        value = (value - 1 / factorial(i)) / z
    return value


def weights(nodes: Array, z: float) -> Array:
    """Return w so that sum_j w_j p(nodes[j]) is the integral of exp(z (1 - t)) p(t) over 0..1.

    It holds for polynomials p of degree below the number of nodes: [order].
    """
    powers = np.vander(nodes, increasing=True).T  # [order, order], p = t^k at the nodes
    integrals = [factorial(k) * phi(k + 1, z) for k in range(nodes.size)]
    return np.linalg.solve(powers, np.array(integrals))


def half_logs(path: Path) -> tuple[Array, Array]:
    """Return log(a / s) where the steps start and where they arrive: [S] each."""
    needs_noise(path)
    with np.errstate(divide="ignore"):
        starts = np.log(path.signal) - np.log(path.sigma)
        ends = np.log(path.next_signal) - np.log(path.next_sigma)
    return starts, ends


def nodes(levels: Array, end: float, step: int, order: int) -> Array:
    """Return the last `order` levels, scaled so that this step goes from 0 to 1: [order]."""
    recent = levels[step - order + 1 : step + 1][::-1]
    return np.asarray((recent - levels[step]) / (end - levels[step]))


def stationary(path: Path) -> npt.NDArray[np.bool_]:
    """Return whether each step arrives where it starts, as between equal timesteps: [S]."""
    return np.asarray((path.next_signal == path.signal) & (path.next_sigma == path.sigma))


def distinct_outputs(path: Path) -> list[int]:
    """Return how many of the last outputs are at distinct levels, 1 in a stationary step: [S]."""
    same = (path.signal[1:] == path.signal[:-1]) & (path.sigma[1:] == path.sigma[:-1])
    counts = [1]
    for repeated in same:
        counts.append(1 if repeated else counts[-1] + 1)
    return [1 if still else n for n, still in zip(counts, stationary(path), strict=True)]


def step_orders(path: Path, order: int, lower_order_final: bool | None) -> list[int]:
    """Return the order of each step: it rises with the number of outputs, and falls at the end.

    An output at signal 0 is infinitely far away, and only used in its own step; two outputs at one
    level count once.
    """
    n_steps, n_far = path.timesteps.size, int((path.signal == 0).sum())
    counts = distinct_outputs(path)
    orders = [max(1, min(order, n, step + 1 - n_far)) for step, n in enumerate(counts)]
    short = n_steps < SHORT if lower_order_final is None else lower_order_final
    if short:
        orders[-2:-1] = [min(2, value) for value in orders[-2:-1]]
    if short or path.next_sigma[-1] == 0:
        orders[-1] = 1
    return orders


def check_order(order: int, most: int) -> None:
    """Raise a ValueError unless `order` is a whole number from 1 to `most`."""
    if order not in range(1, most + 1):
        raise ValueError(f"order={order!r} must be a whole number from 1 to {most}")

"""Multistep methods: integrals of exponentials times the polynomial through earlier outputs."""

from math import factorial

import numpy as np
import numpy.typing as npt

from unsup_fast.models.diffusion.path import Path
from unsup_fast.models.diffusion.samplers._rows import needs_noise
from unsup_fast.models.diffusion.schedules import Array

SHORT = 15  # steps below which the last two are of lower order, if nothing else is asked for


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
    """Return where the last `order` levels lie if this step is from 0 to 1: [order]."""
    recent = levels[step - order + 1 : step + 1][::-1]
    return np.asarray((recent - levels[step]) / (end - levels[step]))


def stands(path: Path) -> npt.NDArray[np.bool_]:
    """Return whether a step arrives where it starts, as between equal timesteps: [S]."""
    return np.asarray((path.next_signal == path.signal) & (path.next_sigma == path.sigma))


def apart(path: Path) -> list[int]:
    """Return how many of the last outputs lie at different levels, 1 in a step that stands: [S]."""
    same = (path.signal[1:] == path.signal[:-1]) & (path.sigma[1:] == path.sigma[:-1])
    made = [1]
    for repeated in same:
        made.append(1 if repeated else made[-1] + 1)
    return [1 if still else n for n, still in zip(made, stands(path), strict=True)]


def step_orders(path: Path, order: int, lower_order_final: bool | None) -> list[int]:
    """Return the order of each step: one more with every output there is, fewer at the end.

    An output at signal 0 is infinitely far away, and of use in its own step only; of two at one
    level there is one.
    """
    n_steps, n_far = path.timesteps.size, int((path.signal == 0).sum())
    orders = [max(1, min(order, n, step + 1 - n_far)) for step, n in enumerate(apart(path))]
    short = n_steps < SHORT if lower_order_final is None else lower_order_final
    if short:
        orders[-2:-1] = [min(2, made) for made in orders[-2:-1]]
    if short or path.next_sigma[-1] == 0:
        orders[-1] = 1
    return orders


def check_order(order: int, most: int) -> None:
    """Raise unless `order` is a whole number from 1 to `most`."""
    if order not in range(1, most + 1):
        raise ValueError(f"order={order!r} must be a whole number from 1 to {most}")

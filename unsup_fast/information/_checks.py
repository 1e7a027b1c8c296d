"""Checks of distributions and probabilities, and their errors."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._types import ArrayLike, Numbers, is_tensor
from unsup_fast.information._numbers import (
    at,
    first,
    library,
    numbers,
    precision,
    total,
)

if TYPE_CHECKING:
    pass


def distributions(log: bool, validate: bool, *, axes: int = 1, **arguments: ArrayLike) -> list[Any]:
    """Return distributions over the last `axes` axes as arrays or tensors of one type.

    Raises
    ------
    ValueError
        If they have too few axes or no outcomes, do not fit together, or `validate` and one is
        no distribution.
    """
    arrays = numbers(**arguments)
    for name, x in zip(arguments, arrays, strict=True):
        shape = tuple(x.shape)
        if x.ndim < axes or 0 in shape[x.ndim - axes :]:
            raise ValueError(
                f"{name} has shape {shape}; pass probabilities along the last "
                + ("axis" if axes == 1 else f"{axes} axes")
            )
        if validate:
            tolerance = max(1e-5, math.sqrt(precision(arguments[name])))
            _check(name, x.detach() if is_tensor(x) else x, log, axes, tolerance)
    outcomes = {name: int(x.shape[-1]) for name, x in zip(arguments, arrays, strict=True)}
    if len(set(outcomes.values())) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in outcomes.items())
        raise ValueError(
            f"the last axes differ in length ({sizes}); each must hold the same outcomes"
        )
    broadcast({name: tuple(x.shape) for name, x in zip(arguments, arrays, strict=True)})
    return arrays


def broadcast(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape that shapes broadcast to.

    Raises
    ------
    ValueError
        If they do not.
    """
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        arguments = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"the shapes do not broadcast ({arguments}); leading axes must be equal, 1, or left out"
        ) from None


def _check(name: str, x: Numbers, log: bool, axes: int, tolerance: float) -> None:
    xp = library(x)
    wrong = ~(x <= tolerance) if log else ~((x >= 0) & (x < math.inf))  # NaN is wrong too
    if wrong.any():
        index = first(wrong)
        allowed = (
            "logarithms of probabilities are at most 0"
            if log
            else "probabilities are finite and not negative (for logarithms pass log=True)"
        )
        raise ValueError(f"{at(name, index)} is {float(x[index])}; {allowed}")
    sums = total(xp.exp(x) if log else x, tuple(range(-axes, 0)))
    off = abs(sums - 1) > tolerance
    if off.any():
        index = first(off)
        what = at(f"exp({name})" if log else name, index)
        advice = "subtract the logarithm of the sum" if log else "divide by the sum"
        raise ValueError(
            f"{what} sums to {float(sums[index]):.9g}; a distribution sums to 1 within "
            f"{tolerance:.2g}; {advice}"
        )


def probabilities(validate: bool, **arguments: ArrayLike) -> list[Any]:
    """Return probabilities, each by itself, as arrays or tensors of one type.

    Raises
    ------
    ValueError
        If the shapes do not broadcast, or `validate` and one is not between 0 and 1.
    """
    arrays = numbers(**arguments)
    for name, x in zip(arguments, arrays, strict=True):
        wrong = ~((x >= 0) & (x <= 1))
        if validate and wrong.any():
            index = first(wrong)
            raise ValueError(
                f"{at(name, index)} is {float(x[index])}; a probability is between 0 and 1 "
                "(for logits take torch.nn.functional.binary_cross_entropy_with_logits)"
            )
    broadcast({name: tuple(x.shape) for name, x in zip(arguments, arrays, strict=True)})
    return arrays

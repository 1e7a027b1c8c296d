"""Operations registered with torch, so that it can compile and differentiate them.

As `torch.library.custom_op`, whose first call takes over a second: it loads torch's compiler.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

NAMESPACE = "unsup_fast"


class Operator:
    """An operation of torch, registered as with `torch.library.custom_op`.

    Parameters
    ----------
    name : str
        Name of the operation, within `NAMESPACE`.
    function : callable
        What it does on any device, with annotated arguments.
    mutates : sequence of str
        Arguments that it writes to.
    differentiable : bool
        Whether `register_autograd` follows; otherwise going back through it is an error.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], mutates: Sequence[str], differentiable: bool
    ) -> None:
        self._name = f"{NAMESPACE}::{name}"
        schema = torch.library.infer_schema(function, mutates_args=mutates)
        indices = [i for i, argument in enumerate(_arguments(function)) if argument in mutates]

        def run(*arguments: Any) -> Any:
            for i in indices:
                if arguments[i] is not None:
                    torch.autograd.graph.increment_version(arguments[i])
            return function(*arguments)

        torch.library.define(self._name, schema)
        torch.library.impl(self._name, "CompositeExplicitAutograd", run if indices else function)
        self.overload = getattr(getattr(torch.ops, NAMESPACE), name).default
        if not (indices or differentiable):
            self.register_autograd(self._undefined)

    def __call__(self, *arguments: Any) -> Any:
        """Run the operation."""
        return self.overload(*arguments)

    def register_fake(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Register a function that returns empty tensors like the results."""
        torch.library.register_fake(self._name, function)
        return function

    def register_autograd(self, backward: Callable[..., Any], **options: Any) -> None:
        """Register the gradient."""
        torch.library.register_autograd(self._name, backward, **options)

    def _undefined(self, *_: Any) -> Any:
        raise RuntimeError(f"{self._name} has no gradient; detach its arguments")


def operator(
    name: str, *, mutates: Sequence[str] = (), differentiable: bool = False
) -> Callable[[Callable[..., Any]], Operator]:
    """Make an `Operator` of the function that follows."""
    return lambda function: Operator(name, function, mutates, differentiable)


def _arguments(function: Callable[..., Any]) -> Sequence[str]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]

"""A network in evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """Set all of a network's modules to evaluation mode; restore each mode at the end."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

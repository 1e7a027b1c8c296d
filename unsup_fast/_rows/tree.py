"""Sums over blocks of rows in a fixed binary tree, whoever has which blocks.

Sums of floating-point numbers depend on their order. Here blocks 0 and 1 are added first, then 2
and 3, then these two sums, and so on: node i of level l covers the blocks from ``i 2^l`` to
``(i + 1) 2^l - 1``. Any run of B consecutive blocks is no more than ``2 log2(B)`` whole nodes, and
from those of all runs follows one total, the same for every division of the blocks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")
Merge = Callable[[Value, Value], Value]
"""Returns the sum of two runs of blocks, the earlier one first, whose memory it may reuse."""


@dataclass(frozen=True, kw_only=True)
class Node(Generic[Value]):
    """The sum over the ``2**level`` blocks from block ``index * 2**level`` on."""

    level: int
    index: int
    value: Value


class Tree(Generic[Value]):
    """Adds up consecutive blocks; memory holds a value for each level.

    Parameters
    ----------
    merge : callable
        Returns the sum of two runs of blocks; see `Merge`.
    first : int
        Number of the first block among all.
    """

    def __init__(self, merge: Merge[Value], first: int = 0) -> None:
        self._merge, self._next = merge, first
        self.nodes: list[Node[Value]] = []

    def add(self, value: Value) -> None:
        """Add the next block."""
        self.append(Node(level=0, index=self._next, value=value))
        self._next += 1

    def append(self, node: Node[Value]) -> None:
        """Add the node that follows those added before."""
        while self.nodes and node.index % 2:
            left = self.nodes[-1]
            if (left.level, left.index) != (node.level, node.index - 1):
                break
            self.nodes.pop()
            node = Node(
                level=node.level + 1,
                index=node.index // 2,
                value=self._merge(left.value, node.value),
            )
        self.nodes.append(node)

    def total(self) -> Value:
        """Return the sum of all blocks, of which there is at least one, and forget them."""
        value = self.nodes.pop().value
        while self.nodes:
            value = self._merge(self.nodes.pop().value, value)
        return value


def total(nodes: Iterable[Node[Value]], merge: Merge[Value]) -> Value:
    """Return the sum of all blocks from the nodes of consecutive runs of them."""
    tree = Tree(merge)
    for node in nodes:
        tree.append(node)
    return tree.total()

"""Memory of blocks, used again once no caller holds the block.

New memory must be zeroed before it can be written, which takes about as long as reading and
converting the rows that go into it.
"""

from sys import getrefcount
from threading import Lock

import numpy as np
import numpy.typing as npt

from unsup_fast._types import Array

# Blocks that are used again: the consumer's, the next, the one being read, and a spare.
MOST = 4
PROBE = [np.empty(0)]
ALONE = getrefcount(PROBE[0])  # of an array that nothing but a list holds; a view holds its base


class Memory:
    """Allocates blocks; readers in several threads may share one."""

    def __init__(self) -> None:
        self._made: list[Array] = []
        self._lock = Lock()

    def block(self, shape: tuple[int, int], dtype: npt.DTypeLike) -> Array:
        """Return an array of any values that is held by the caller alone."""
        with self._lock:
            for i in range(len(self._made)):
                if getrefcount(self._made[i]) == ALONE:
                    block = self._made[i]
                    if block.shape == shape and block.dtype == dtype:
                        block.flags.writeable = True
                        return block
            block = np.empty(shape, dtype)
            self._made = [*self._made, block][-MOST:]
            return block

"""Reading ahead: while one block is computed with, the next is read in a thread."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


def ahead(blocks: Generator[Array, None, None]) -> Generator[Array, None, None]:
    """Yield the blocks, always with the next one being read.

    Two are in memory at a time, and the one that the consumer still holds. Errors of the reader
    are raised where its block would be.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="unsup_fast-blocks") as pool:
        following = pool.submit(next, blocks, None)
        try:
            while (block := following.result()) is not None:
                following = pool.submit(next, blocks, None)
                yield block
                del block
        finally:
            following.exception()  # a generator that runs cannot be closed
            blocks.close()

"""A holder: the process that has some parts of the data, and computes with them.

Everything that it returns is by part and block, so that a driver adds floating-point numbers up in
the order of the rows, whichever holder they come from.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._memory import free_memory
from unsup_fast._rows.covariance import covariance_tree
from unsup_fast._rows.draws import Masses, WholeMasses, masses_of, whole
from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.source_rows import SourceRows
from unsup_fast._rows.tree import Node
from unsup_fast.distributed._parts import Part
from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import compiled, describe, is_native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance import Covariance
from unsup_fast.kernels.moments import Moments, moments

PartRows = HostRows | SourceRows
SHARE = 0.5  # of the free memory that rows which have to be read or converted may take


class Build(NamedTuple):
    """What must be the same in all processes, so that they round alike."""

    version: str
    backend: str
    simd: str
    machine: str


class Loaded(NamedTuple):
    """What a driver has to know of a part."""

    part: int
    n_rows: int
    n_blocks: int


class BlockMoments(NamedTuple):
    """Moments of the blocks of a part."""

    part: int
    blocks: list[tuple[int, Moments]]


class Holder:
    """Parts of the data, in several versions: as they are, divided, normalized, weighted.

    Parameters
    ----------
    n_threads : int, optional
        Threads to run; None for all of the machine.
    memory_share : float
        Share of the free memory that rows may take which have to be read or converted; where they
        need more, they are read again in each pass.
    """

    def __init__(self, n_threads: int | None = None, memory_share: float = SHARE) -> None:
        self._n_threads, self._memory_share = threads.effective(n_threads), memory_share
        self._firsts: dict[int, int] = {}  # number of the first row of each part
        self._first_blocks: dict[int, int] = {}  # and of its first block
        self._versions: dict[int, dict[int, PartRows]] = {}

    def build(self) -> Build:
        """Return what this process computes with."""
        from importlib.metadata import version

        return Build(
            version=version("unsup-fast"),
            backend=describe(),
            simd=compiled().simd() if is_native() else "none",
            machine=platform.machine(),
        )

    def load(self, parts: Sequence[Part], dtype: np.dtype[Any], name: str) -> list[Loaded]:
        """Open parts; they become version 0. Rows stay in memory if they fit there."""
        opened = [(part.index, part.open()) for part in parts]
        sources = {index: source for index, source in opened if source is not None}
        self._versions = {0: {}}
        size = sum(rows.n_rows * rows.n_columns * dtype.itemsize for rows in sources.values())
        fits = size <= self._memory_share * free_memory()
        for index, source in sources.items():
            rows = SourceRows(X=source, n_threads=self._n_threads, name=name).astype(dtype)
            self._versions[0][index] = rows.in_memory(copy=fits)
        return [self._loaded(part.index) for part in parts]

    def _loaded(self, index: int) -> Loaded:
        rows = self._versions[0].get(index)
        if rows is None:
            return Loaded(index, n_rows=0, n_blocks=0)
        n_rows = rows.n_rows
        return Loaded(index, n_rows=n_rows, n_blocks=-(-n_rows // rows.block_size))

    def number(self, firsts: Mapping[int, int], first_blocks: Mapping[int, int]) -> None:
        """Take note of the numbers of the first row and the first block of each part."""
        self._firsts, self._first_blocks = dict(firsts), dict(first_blocks)

    def derive(self, version: int, base: int, change: str, argument: Any) -> None:
        """Make a version of the rows from another one.

        Parameters
        ----------
        version, base : int
            Number of the new one, and of the one that is changed.
        change : str
            A method of the rows, or "weighted" or "scaled".
        argument : object
            That of the method; None for none. Weights are those of each part.
        """
        changed = {}
        for index, rows in self._versions[base].items():
            if change == "weighted":
                changed[index] = replace(rows, sample_weight=argument[index])
            elif change == "scaled":
                changed[index] = rows.mapped(Times(argument))
            else:
                arguments = () if argument is None else (argument,)
                changed[index] = getattr(rows, change)(*arguments).in_memory()
        self._versions[version] = changed

    def moments(self, version: int) -> list[BlockMoments]:
        """Return the moments of every block, whose values are checked to be finite."""
        return [
            BlockMoments(index, self._moments_of(rows))
            for index, rows in self._versions[version].items()
        ]

    def covariance(self, version: int, owner: str) -> dict[int, list[Node[Covariance]]]:
        """Return mean and scatter of runs of blocks of each part."""
        return {
            index: covariance_tree(
                rows.covariance_blocks(),
                owner,
                n_threads=self._n_threads,
                first=self._first_blocks[index],
            ).nodes
            for index, rows in self._versions[version].items()
        }

    def take(self, version: int, wanted: Mapping[int, Array]) -> dict[int, Array]:
        """Return some rows of parts, by their number within the part."""
        rows = self._versions[version]
        return {index: rows[index].take(numbers) for index, numbers in wanted.items()}

    def totals(
        self, version: int, scale: float | None, excluded: Mapping[int, Array]
    ) -> dict[int, int]:
        """Return the mass of each part without some rows, by their number within the part."""
        none = np.empty(0, dtype=np.int64)
        return {
            index: self._masses(rows, scale).total(excluded.get(index, none))
            for index, rows in self._versions[version].items()
        }

    def locate(
        self,
        version: int,
        scale: float | None,
        targets: Mapping[int, Sequence[int]],
        excluded: Mapping[int, Array],
    ) -> dict[int, Array]:
        """Return the rows of parts, by their number within them, at which running sums exceed."""
        none, rows = np.empty(0, dtype=np.int64), self._versions[version]
        return {
            index: self._masses(rows[index], scale).locate(wanted, excluded.get(index, none))
            for index, wanted in targets.items()
        }

    def _masses(self, rows: PartRows, scale: float | None) -> Masses:
        if scale is None or rows.sample_weight is None:
            return masses_of(None, rows.n_rows)
        return WholeMasses(whole(rows.sample_weight, scale))

    def _moments_of(self, rows: PartRows) -> list[tuple[int, Moments]]:
        if isinstance(rows, SourceRows) and rows.wide in (None, rows.X.dtype):
            blocks: list[tuple[int, Moments]] = rows.X.block_moments
            return blocks
        return [(len(X), moments(X, n_threads=self._n_threads)) for _, X in rows.parts()]


class Times:
    """Multiplies rows by a power of two; a class, so that it travels.

    Parameters
    ----------
    factor : float
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, rows: Array, first: int) -> Array:
        """Return rows [M, D] times the factor."""
        product: Array = rows * rows.dtype.type(self._factor)
        return product

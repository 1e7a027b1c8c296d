"""`FleetRows`: rows that the holders of a fleet have between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NoReturn

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.covariance import EMPTY, Progress
from unsup_fast._rows.draws import EqualMasses, Masses, scale_of
from unsup_fast._rows.host_rows import CpuRows
from unsup_fast._rows.tree import Merge, Node, Value, total
from unsup_fast.distributed._fleet import Fleet
from unsup_fast.kernels import covariance
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance import Covariance
from unsup_fast.kernels.kmeans_plusplus import pow2_scale
from unsup_fast.kernels.moments import Moments, merge


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which parts have which rows."""

    indices: Array
    """[P] int64: numbers of the parts that have rows, in the order of the rows."""
    firsts: Array
    """[P + 1] int64: number of the first row of each part, and of all rows."""

    def by_part(self, rows: Array) -> dict[int, tuple[Array, Array]]:
        """Return, for each part, which of the rows [M] are in it, and their numbers within it."""
        where = np.searchsorted(self.firsts, rows, side="right") - 1  # [M]
        return {
            int(self.indices[part]): (chosen, rows[chosen] - self.firsts[part])
            for part in np.unique(where).tolist()
            for chosen in (np.flatnonzero(where == part),)
        }

    def first_of(self) -> dict[int, int]:
        """Return the number of the first row of each part."""
        return dict(zip(self.indices.tolist(), self.firsts[:-1].tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class FleetRows(CpuRows):
    """Rows in the processes of a fleet, in one of the versions that these have.

    Attributes are those of the protocol `Rows`. No array of N is on the driver, but for weights
    that the user passed.
    """

    fleet: Fleet
    layout: Layout
    width: int
    """Columns D."""
    kind: np.dtype[Any]
    """float32 or float64."""
    version: int = 0
    """Which version of the rows the holders compute with."""
    versions: "count[int]" = field(default_factory=lambda: count(1))
    """Numbers for new versions."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.layout.firsts[-1])

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self.width

    @property
    def is_in_memory(self) -> bool:
        """Whether X holds all rows at once: it does not."""
        return False

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.kind

    @cached_property
    def moments(self) -> Moments:
        """Mean, variance and extremes of the columns: of the blocks, merged in order."""
        parts = [part for reply in self.fleet.call("moments", self.version) for part in reply]
        blocks = [block for part in sorted(parts) for block in part.blocks]
        return merge(blocks)

    @property
    def block_size(self) -> NoReturn:
        """Blocks are those of the parts."""
        raise NotImplementedError("the holders add up the blocks of their parts")

    @cached_property
    def masses(self) -> Masses:
        """The weights as whole numbers, to draw rows by."""
        return EqualMasses(self.n_rows) if self.scale is None else FleetMasses(self)

    @cached_property
    def scale(self) -> float | None:
        """What makes whole numbers of the weights; None without weights."""
        if self.sample_weight is None:
            return None
        return scale_of(float(self.sample_weight.max()), self.n_rows)

    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Refuse: rows do not come to the driver."""
        raise NotImplementedError("the rows stay with the holders")

    def covariance(
        self, owner: str, before: Covariance = EMPTY, progress: Progress | None = None
    ) -> Covariance:
        """Return mean and scatter of the rows, merged with those of the rows `before`."""
        sums = self.total(covariance.merge, "covariance", owner)
        if progress is not None:
            progress(self.n_rows, self.n_rows)
        return covariance.merge(before, sums)

    def total(self, merge: Merge[Value], verb: str, *arguments: Any) -> Value:
        """Return the sum over all blocks from what a holder's method returns.

        Parameters
        ----------
        merge : callable
            Adds up two runs of blocks; see `tree.Merge`.
        verb : str
            A method that returns the nodes of each part for a version of the rows.
        *arguments
            Its arguments after the version.
        """
        replies = self.fleet.call(verb, self.version, *arguments)
        parts = {index: nodes for reply in replies for index, nodes in reply.items()}
        nodes: list[Node[Value]] = [node for index in sorted(parts) for node in parts[index]]
        return total(nodes, merge)

    def take(self, indices: Array) -> Array:
        """Return some rows [M, D]."""
        indices = np.asarray(indices, dtype=np.int64)
        wanted = self.layout.by_part(indices)

        def own(holder: int) -> tuple[Any, ...]:
            held = [part.index for part in self.fleet.parts_of[holder]]
            return self.version, {index: wanted[index][1] for index in held if index in wanted}

        out = np.empty((len(indices), self.width), self.kind)
        for reply in self.fleet.call_each("take", own):
            for index, rows in reply.items():
                out[wanted[index][0]] = rows
        return out

    def mapped(self, change: Callable[[Any, int], Any]) -> "FleetRows":
        """Refuse: holders change rows by `derive`."""
        raise NotImplementedError("holders change rows by `derive`")

    def about(self, origin: Array) -> "FleetRows":
        """Return the rows as measured from the origin [D] of a fitted model."""
        return replace(self._derived("about", origin), model_origin=origin)

    def centered(self) -> "FleetRows":
        """Return the rows as measured from their own origin, which every holder then knows."""
        return self if self.model_origin is not None else self.about(self.origin)

    def astype(self, dtype: Any) -> "FleetRows":
        """Return the rows in float32 or float64."""
        if np.dtype(dtype) == self.kind:
            return self
        return replace(self._derived("astype", np.dtype(dtype)), kind=np.dtype(dtype))

    def divided(self, scale: Array) -> "FleetRows":
        """Return the rows with their columns divided by `scale` [D]; see `scaling.divided`."""
        return self._derived("divided", scale)

    def normalized(self) -> "FleetRows":
        """Return the rows at unit length; see `directions.unit_rows`."""
        return self._derived("normalized", None)

    def in_memory(self, *, copy: bool = False) -> "FleetRows":
        """Return the rows unchanged."""
        return self

    def rescaled(self) -> "FleetRows":
        """Return the rows times a power of two that keeps squared distances within their type."""
        largest = self.moments.max_abs_about(self.origin).max()
        factor = float(pow2_scale(largest, self.kind))
        if abs(np.log2(factor)) <= np.finfo(self.kind).maxexp // 4:
            return self.centered()
        return self._derived("scaled", factor).about(self.origin * self.kind.type(factor))

    def weighted(self, sample_weight: Any) -> "FleetRows":
        """Return the rows with weights, which are validated; see `arrays.weights`."""
        if sample_weight is None:
            return replace(self, sample_weight=None)
        weight = arrays.weights(sample_weight, self.n_rows, self.kind)
        assert weight is not None
        firsts = self.layout.firsts
        own = {
            int(index): weight[firsts[part] : firsts[part + 1]]
            for part, index in enumerate(self.layout.indices)
        }
        return replace(self._derived("weighted", own), sample_weight=weight)

    def deviations(self) -> Array:
        """Return the standard deviations [D], type of X, that `standardize` divides by."""
        if self.sample_weight is not None:
            raise ValueError(
                "standardize=True with sample_weight is not available with an engine; divide the "
                "columns beforehand, or leave one of them out"
            )
        if scaling.is_extreme(self.moments):
            raise ValueError(
                f"a column of {self.name} has values whose squares leave the range of float64; "
                "divide it by its largest magnitude"
            )
        return scaling.of_variance(self.moments.mean, self.moments.variance, self.kind)

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        *,
        n_local_trials: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Refuse: k-means++ passes over the rows once for each cluster."""
        raise ValueError(
            "init='k-means++' passes over all rows once for each cluster, so it is not available "
            "with an engine; pass init='k-means||', 'random' or an array of centroids"
        )

    def to_callback(self, value: Any) -> Any:
        """Return a result unchanged: labels are gathered when they are read."""
        return value

    def _derived(self, change: str, argument: Any) -> "FleetRows":
        version = next(self.versions)
        name = f"version {version}"
        if change == "weighted":

            def own(holder: int) -> tuple[Any, ...]:
                held = [part.index for part in self.fleet.parts_of[holder]]
                weights = {index: argument[index] for index in held if index in argument}
                return version, self.version, change, weights

            self.fleet.set_up_each(name, "derive", own)
        else:
            self.fleet.set_up(name, "derive", version, self.version, change, argument)
        rows = replace(self, version=version)
        rows.__dict__.pop("moments", None)
        return rows


class FleetMasses:
    """Weights of rows that holders have, as whole numbers.

    Parameters
    ----------
    rows : FleetRows
    """

    def __init__(self, rows: FleetRows) -> None:
        self._rows = rows

    def total(self, excluded: Array) -> int:
        """Return the sum over all rows but some."""
        return sum(self._totals(excluded))

    def locate(self, targets: Sequence[int], excluded: Array) -> Array:
        """Return the rows at which the running sum over all but some first exceeds targets."""
        layout, fleet = self._rows.layout, self._rows.fleet
        sums = np.cumsum([0, *self._totals(excluded)])  # [P + 1]
        numbers = np.array(targets, dtype=np.int64)
        parts = np.searchsorted(sums, numbers, side="right") - 1  # [M]
        without = self._excluded(excluded)
        chosen = {
            int(layout.indices[part]): np.flatnonzero(parts == part)
            for part in np.unique(parts).tolist()
        }
        order = {int(index): part for part, index in enumerate(layout.indices)}

        def own(holder: int) -> tuple[Any, ...]:
            held = [part.index for part in fleet.parts_of[holder] if part.index in chosen]
            wanted = {i: (numbers[chosen[i]] - sums[order[i]]).tolist() for i in held}
            return self._rows.version, self._rows.scale, wanted, without

        rows = np.empty(len(numbers), dtype=np.int64)
        for reply in fleet.call_each("locate", own):
            for index, local in reply.items():
                rows[chosen[index]] = local + layout.firsts[order[index]]
        return rows

    def by_label(self, labels: Array, count: int) -> Array:
        """Holders add up the masses of their own rows."""
        raise NotImplementedError("holders add up the masses of their rows")

    def _totals(self, excluded: Array) -> list[int]:
        """Return the mass of each part, in order."""
        rows = self._rows
        replies = rows.fleet.call("totals", rows.version, rows.scale, self._excluded(excluded))
        masses: Mapping[int, int] = {i: mass for reply in replies for i, mass in reply.items()}
        return [masses[int(index)] for index in rows.layout.indices]

    def _excluded(self, rows: Array) -> dict[int, Array]:
        return {index: local for index, (_, local) in self._rows.layout.by_part(rows).items()}

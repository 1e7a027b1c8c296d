"""A fleet: holders that have the parts of some data between them, and outlive the loss of any.

The state of a holder is a function of the calls that set it up. They are recorded, so a holder that
is lost is made anew elsewhere and brought to the same state, and the call that failed is repeated.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from unsup_fast.distributed._engine import (
    Engine,
    EngineError,
    Handle,
    HolderLost,
    NoWorkerLeft,
    Pending,
)
from unsup_fast.distributed._holder import Build, Holder
from unsup_fast.distributed._parts import Part

TRIES = 5  # of one call on one holder, each after a loss

Each = Callable[[int], tuple[Any, ...]]
"""Returns the arguments of a call for the holder of an index."""


class Fleet:
    """The holders of some parts.

    Parameters
    ----------
    engine : Engine
    create : callable
        Makes a holder, in the process that will be it.
    parts : sequence of Part
    """

    def __init__(self, engine: Engine, create: Callable[[], Holder], parts: Sequence[Part]) -> None:
        self._engine, self._create = engine, create
        self.parts_of = divided(parts, engine.n_holders)
        self._record: dict[str, tuple[str, Each]] = {}
        self._handles: list[Handle | None] = [None] * len(self.parts_of)  # None: lost
        self._build: Build | None = None  # that of all holders, once it is known
        try:
            for index in range(len(self.parts_of)):
                with suppress(HolderLost):  # the first call makes it anew
                    self._handles[index] = engine.make(index, create)
            builds: list[Build] = self.call("build")
            for build in builds[1:]:
                _check_build(builds[0], build)
            self._build = builds[0]
        except BaseException:
            self.close()
            raise

    @property
    def n_holders(self) -> int:
        """How many holders have parts."""
        return len(self.parts_of)

    def call(self, verb: str, *arguments: Any) -> list[Any]:
        """Return the replies of all holders to a call, in their order."""
        return self.call_each(verb, lambda index: arguments)

    def call_each(self, verb: str, arguments: Each) -> list[Any]:
        """Return the replies of all holders, each called with arguments of its own."""
        own = [arguments(i) for i in range(self.n_holders)]
        pending = [self._try_send(i, verb, own[i]) for i in range(self.n_holders)]
        return [self._reply(i, pending[i], verb, own[i]) for i in range(self.n_holders)]

    def set_up(self, key: str, verb: str, *arguments: Any) -> list[Any]:
        """Make a call that holders which replace lost ones repeat, in the order of the calls.

        A later call with the same key replaces the earlier one.
        """
        return self.set_up_each(key, verb, lambda index: arguments)

    def set_up_each(self, key: str, verb: str, arguments: Each) -> list[Any]:
        """Make the call of `set_up` with arguments of each holder's own."""
        replies = self.call_each(verb, arguments)
        self._record.pop(key, None)  # so that it comes last
        self._record[key] = verb, arguments
        return replies

    def forget(self, key: str) -> None:
        """Drop a recorded call, if there is one."""
        self._record.pop(key, None)

    def close(self) -> None:
        """Free the holders."""
        for index in range(len(self._handles)):
            self._release(index)

    def _release(self, index: int) -> None:
        if self._handles[index] is not None:
            self._engine.release(self._handles[index])
            self._handles[index] = None

    def _try_send(self, index: int, verb: str, arguments: tuple[Any, ...]) -> Pending | None:
        handle = self._handles[index]
        if handle is None:
            return None
        try:
            return self._engine.send(handle, verb, arguments)
        except HolderLost:
            return None

    def _reply(
        self, index: int, pending: Pending | None, verb: str, arguments: tuple[Any, ...]
    ) -> Any:
        for _ in range(TRIES):
            try:
                if pending is not None:
                    return self._engine.get(pending)
            except HolderLost:
                pass
            pending = self._try_revive(index, verb, arguments)
        raise NoWorkerLeft(
            f"the worker of holder {index} was lost {TRIES} times in one call ({verb}); see its "
            "log, for instance for a lack of memory"
        )

    def _try_revive(self, index: int, verb: str, arguments: tuple[Any, ...]) -> Pending | None:
        """Make a lost holder anew, and send it a call; return None if it is lost again."""
        warnings.warn(
            f"The worker of holder {index} was lost; its {len(self.parts_of[index])} parts are "
            "loaded again by another one. The result will be the same.",
            RuntimeWarning,
            stacklevel=2,
        )
        self._release(index)
        try:
            handle = self._engine.make(index, self._create)
            self._handles[index] = handle
            if self._build is not None:
                _check_build(self._build, self._engine.get(self._engine.send(handle, "build", ())))
            for repeated, own in self._record.values():
                self._engine.get(self._engine.send(handle, repeated, own(index)))
            return self._engine.send(handle, verb, arguments)
        except HolderLost:
            return None


def divided(parts: Sequence[Part], n_holders: int) -> list[list[Part]]:
    """Return the parts of each holder: the largest part goes to the one with the fewest rows.

    A holder without parts is left out. Where rows are unknown, parts count alike.
    """
    holders: list[list[Part]] = [[] for _ in range(n_holders)]
    loads = [0] * n_holders
    sizes: Mapping[int, int] = {part.index: part.n_rows or 1 for part in parts}
    for part in sorted(parts, key=lambda part: (-sizes[part.index], part.index)):
        emptiest = min(range(n_holders), key=lambda holder: (loads[holder], holder))
        holders[emptiest].append(part)
        loads[emptiest] += sizes[part.index]
    return [sorted(held, key=lambda part: part.index) for held in holders if held]


def _check_build(first: Build, other: Build) -> None:
    """Raise an EngineError if two holders may round differently."""
    if first == other:
        return
    names = [name for name in Build._fields if getattr(first, name) != getattr(other, name)]
    shown = "; ".join(f"{name} {getattr(first, name)} and {getattr(other, name)}" for name in names)
    cure = "install one version of unsup-fast on all workers"
    if names == ["simd"]:
        cure = "set UNSUP_FAST_SIMD to the lower of the two levels on all workers"
    raise EngineError(f"workers differ ({shown}), so near ties may be labelled differently; {cure}")

"""Holders on the workers of a Dask cluster, each an actor of its own."""

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

import cloudpickle

from unsup_fast import _extras
from unsup_fast.distributed._answers import Answers, value_of
from unsup_fast.distributed._dask_workers import Workers
from unsup_fast.distributed._engine import HolderLost, NoWorkerLeft

T = TypeVar("T")

SCHEME = "dask://"


@dataclass(kw_only=True)
class Actor:
    """A holder on a worker."""

    worker: str
    """Address of the worker."""
    future: Any
    """Keeps the actor alive."""
    proxy: Any = None
    """Calls the actor; None before it exists and when it was released."""
    created: Any = None
    """The call that makes the holder, until its end was seen."""
    sent: int = 0
    """How many calls were sent."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that was sent."""

    actor: Actor
    future: Any


@dataclass(frozen=True, kw_only=True)
class DaskEngine:
    """Runs a holder on each worker of a Dask cluster.

    A worker is lost when its actor cannot be reached, when the scheduler no longer lists it, or
    when the scheduler has not heard of it for `timeout` seconds. Its holder then goes to a worker
    that has none; if there is none, to the one that the worker's nanny starts within `timeout`
    seconds, and after that to a worker that has a holder already.
    """

    client: Any
    workers: Workers
    n_parts_wanted: int | None
    n_threads: int | None
    timeout: float
    owns_client: bool
    """Whether `close` closes the client."""
    actors: list[Actor] = field(default_factory=list)
    """Those that were not released."""

    def __enter__(self) -> "DaskEngine":
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client if it was opened by its address."""
        self.close()

    def close(self) -> None:
        """Close the client if it was opened by its address."""
        if self.owns_client:
            self.client.close()

    @property
    def n_holders(self) -> int:
        """How many workers there are; waits for the first."""
        return len(self._waited(self.workers.living, "the cluster has no workers"))

    @property
    def n_parts(self) -> int:
        """How many parts to cut data into: one a worker, or as the user said."""
        return self.n_parts_wanted or self.n_holders

    def make(self, index: int, create: Callable[[], Any]) -> Actor:
        """Make holder `index` on a worker; see `Engine.make`."""
        worker = self._worker()
        future = self.client.submit(
            Answers,
            self.n_threads or worker.n_threads,
            actor=True,
            pure=False,
            workers=[worker.address],
            allow_other_workers=False,
        )
        actor = Actor(worker=worker.address, future=future)
        self.actors.append(actor)
        try:
            proxy = self._polled(actor, future)
            with self.client.as_current():  # the proxy is of whichever client was the default
                actor.proxy = copy(proxy)
            # The first call waits for its end, so that all workers import modules at once.
            actor.created = actor.proxy.create(cloudpickle.dumps(create))
        except BaseException:
            self.release(actor)
            raise
        return actor

    def send(self, handle: Actor, verb: str, arguments: tuple[Any, ...]) -> Call:
        """Begin a call; see `Engine.send`.

        Calls of an actor travel on connections of their own, so the first one waits until the
        holder is made: it could overtake, and find none.
        """
        if handle.created is not None:
            value_of(self._polled(handle, handle.created))
            handle.created = None
        try:
            future = handle.proxy.answer(handle.sent, verb, cloudpickle.dumps(arguments))
        except (OSError, RuntimeError) as error:  # its key is no longer in the cluster
            raise self._lost(handle, str(error)) from error
        handle.sent += 1
        return Call(actor=handle, future=future)

    def get(self, pending: Call) -> Any:
        """Wait for a reply; see `Engine.get`."""
        actor = pending.actor
        reply = self._polled(actor, pending.future)
        if reply is None:
            raise self._lost(actor, "it was started anew, without its state")
        return value_of(reply)

    def release(self, handle: Actor) -> None:
        """Free a holder; a call that it is in ends first."""
        if handle in self.actors:
            self.actors.remove(handle)
        handle.proxy = None
        self.client.cancel([handle.future], force=True)

    def _polled(self, actor: Actor, future: Any) -> Any:
        """Return the result of a future, or raise HolderLost as soon as its worker is lost."""
        distributed, done = _distributed(), False
        while True:
            try:  # that of a call that is done is only fetched, which a busy worker can delay
                return future.result(timeout=self.timeout if done else self.workers.interval)
            except distributed.TimeoutError as error:  # an OSError, too
                if done:
                    raise self._lost(actor, str(error)) from error
                done = future.done()  # its reply may have come just now
                if not done and not self.workers.is_living(actor.worker):
                    raise self._lost(actor, "its worker is gone") from error
            except (OSError, distributed.CancelledError, distributed.KilledWorker) as error:
                raise self._lost(actor, str(error)) from error

    def _lost(self, actor: Actor, why: str) -> HolderLost:
        self.workers.lost.add(actor.worker)
        return HolderLost(f"the holder on {actor.worker} is lost: {why}")

    def _worker(self) -> "Any":
        """Return the worker that a new holder goes to."""
        start = time.monotonic()
        while True:
            living = self._waited(self.workers.living, "no worker of the cluster is left")
            used = [actor.worker for actor in self.actors]
            fewest = min(used.count(worker.address) for worker in living)
            restarting = self.workers.restarting(start, self.timeout)
            if fewest == 0 or not restarting:
                return next(w for w in living if used.count(w.address) == fewest)
            time.sleep(self.workers.interval / 4)

    def _waited(self, ask: Callable[[], list[T]], problem: str) -> list[T]:
        """Return what `ask` returns once that is not empty."""
        deadline = time.monotonic() + self.timeout
        while not (items := ask()):
            if time.monotonic() > deadline:
                raise NoWorkerLeft(
                    f"{problem}, and none came within {self.timeout:g} s; start workers, or pass "
                    "a larger timeout"
                )
            time.sleep(self.workers.interval / 4)
        return items


def dask(
    client: Any = None,
    *,
    n_threads: int | None = None,
    n_parts: int | None = None,
    timeout: float = 60.0,
) -> DaskEngine:
    """Return an engine that divides the data among the workers of a Dask cluster.

    Parameters
    ----------
    client : dask.distributed.Client or str, optional
        The client of the cluster, or the scheduler's address, as "dask://host:8786". None takes the
        current client.
    n_threads : int, optional
        Threads of each holder; None for those of its worker.
    n_parts : int, optional
        Parts that data are cut into which are not a collection; None for one a worker.
    timeout : float
        Seconds after which a worker counts as lost that the scheduler does not hear of, and that
        are waited for a worker where there is none.

    Raises
    ------
    ValueError
        If there is no current client, or `timeout` is not positive.
    ImportError
        If dask.distributed is not installed.
    """
    distributed = _distributed()
    if not timeout > 0:
        raise ValueError(f"timeout={timeout!r} is not a number of seconds; pass a float > 0")
    owns_client = isinstance(client, str)
    if isinstance(client, str):
        address = client.removeprefix(SCHEME)
        client = distributed.Client(address, timeout=timeout, set_as_default=False)
    elif client is None:
        try:
            client = distributed.get_client()
        except ValueError:
            raise ValueError(
                "there is no current client of Dask; create a dask.distributed.Client, or pass "
                "engine=distributed.local(2)"
            ) from None
    return DaskEngine(
        client=client,
        workers=Workers(client=client, timeout=timeout),
        n_parts_wanted=n_parts,
        n_threads=n_threads,
        timeout=timeout,
        owns_client=owns_client,
    )


def _distributed() -> Any:
    return _extras.require("distributed", "dask", "an engine of Dask")

"""Holders on the nodes of a Ray cluster, each an actor of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unsup_fast import _extras
from unsup_fast.distributed._answers import Answers, value_of
from unsup_fast.distributed._engine import HolderLost, NoWorkerLeft

LOOK = 0.5  # seconds between two looks at the nodes, where one is waited for


class Node(NamedTuple):
    """A node that is alive."""

    id: str
    n_cpus: float


@dataclass(kw_only=True)
class Actor:
    """A holder in an actor."""

    node: str
    """Node it is on."""
    proxy: Any
    created: Any
    """The call that makes the holder; None when its end was seen."""
    sent: int = 0
    """How many calls were sent."""


class Call(NamedTuple):
    """A call that was sent."""

    actor: Actor
    ref: Any


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Runs holders on the nodes of a Ray cluster, one a node or as many as the user says.

    A node keeps one CPU free of holders, so that tasks which compute blocks of a data set can run.
    Ray says when an actor or its node is lost; the holder then goes to the node with the fewest.
    """

    n_holders_wanted: int | None
    n_parts_wanted: int | None
    n_threads: int | None
    timeout: float
    owns_ray: bool
    """Whether `close` shuts Ray down."""
    actors: list[Actor] = field(default_factory=list)
    """Those that were not released."""

    def __enter__(self) -> "RayEngine":
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Shut Ray down if the engine initialised it."""
        self.close()

    def close(self) -> None:
        """Shut Ray down if the engine initialised it."""
        if self.owns_ray:
            _ray().shutdown()

    @property
    def n_holders(self) -> int:
        """How many holders there are."""
        return self.n_holders_wanted or len(self._nodes())

    @property
    def n_parts(self) -> int:
        """How many parts to cut data into: one a holder, or as the user said."""
        return self.n_parts_wanted or self.n_holders

    def make(self, index: int, create: Callable[[], Any]) -> Actor:
        """Make holder `index` on a node; see `Engine.make`."""
        ray = _ray()
        nodes = self._nodes()
        used = [actor.node for actor in self.actors]
        node = min(nodes, key=lambda node: used.count(node.id))
        share = max(0.0, node.n_cpus - 1) / -(-self.n_holders // len(nodes))
        n_threads = self.n_threads or max(1, int(share))
        strategy = _ray("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        actor_class = ray.remote(
            num_cpus=min(share, n_threads),
            max_restarts=0,
            scheduling_strategy=strategy(node_id=node.id, soft=False),
        )(Answers)
        proxy = actor_class.remote(n_threads)
        actor = Actor(node=node.id, proxy=proxy, created=proxy.create.remote(create))
        self.actors.append(actor)
        return actor

    def send(self, handle: Actor, verb: str, arguments: tuple[Any, ...]) -> Call:
        """Begin a call; see `Engine.send`."""
        try:
            ref = handle.proxy.answer.remote(handle.sent, verb, arguments)
        except _ray().exceptions.RayActorError as error:
            raise HolderLost(str(error)) from error
        handle.sent += 1
        return Call(actor=handle, ref=ref)

    def get(self, pending: Call) -> Any:
        """Wait for a reply; see `Engine.get`."""
        actor = pending.actor
        if actor.created is not None:
            self._get(actor.created, self.timeout)
            actor.created = None
        return self._get(pending.ref, None)

    def release(self, handle: Actor) -> None:
        """Free a holder, also in the middle of a call."""
        if handle in self.actors:
            self.actors.remove(handle)
        _ray().kill(handle.proxy, no_restart=True)

    def _get(self, ref: Any, timeout: float | None) -> Any:
        ray = _ray()
        errors = ray.exceptions
        try:
            return value_of(ray.get(ref, timeout=timeout))
        except errors.GetTimeoutError as error:
            raise NoWorkerLeft(
                f"Ray started no actor within {timeout:g} s: are the CPUs of its nodes taken? End "
                "other jobs, or pass a larger timeout"
            ) from error
        except (
            errors.RayActorError,
            errors.ActorUnschedulableError,  # its node went before it began
            errors.ObjectLostError,
            errors.NodeDiedError,
        ) as error:
            raise HolderLost(str(error)) from error
        except errors.RayTaskError as error:
            raise error.cause from error

    def _nodes(self) -> list[Node]:
        """Return the nodes that are alive and have CPUs; waits for the first."""
        deadline = time.monotonic() + self.timeout
        while True:
            nodes = [
                Node(id=node["NodeID"], n_cpus=node["Resources"]["CPU"])
                for node in _ray().nodes()
                if node["Alive"] and node["Resources"].get("CPU", 0) > 0
            ]
            if nodes:
                return sorted(nodes)
            if time.monotonic() > deadline:
                raise NoWorkerLeft(
                    f"Ray has no node with CPUs, and none came within {self.timeout:g} s; add "
                    "nodes, or pass a larger timeout"
                )
            time.sleep(LOOK)


def ray(
    *,
    n_holders: int | None = None,
    n_threads: int | None = None,
    n_parts: int | None = None,
    timeout: float = 300.0,
    address: str | None = None,
) -> RayEngine:
    """Return an engine that divides the data among actors of Ray.

    Ray is initialised if it is not: on this machine, quietly and without a dashboard, unless an
    address says where the cluster is.

    Parameters
    ----------
    n_holders : int, optional
        Number of actors; None for one a node.
    n_threads : int, optional
        Threads of each; None for the CPUs of its node less one, divided among its actors.
    n_parts : int, optional
        Parts that data are cut into which are not a collection; None for one an actor.
    timeout : float
        Seconds to wait for an actor to start, or for a node where there is none.
    address : str, optional
        Of a cluster, as `ray.init` takes it: "auto", "host:6379" or "ray://host:10001". None and
        "ray" are this machine, or the cluster that the variable RAY_ADDRESS names.

    Raises
    ------
    ValueError
        If `n_holders` or `timeout` is not positive.
    ImportError
        If Ray is not installed.
    """
    module = _ray()
    if n_holders is not None and n_holders < 1:
        raise ValueError(f"n_holders={n_holders} is not a number of actors; pass an int >= 1")
    if not timeout > 0:
        raise ValueError(f"timeout={timeout!r} is not a number of seconds; pass a float > 0")
    owns_ray = not module.is_initialized()
    if owns_ray:
        if address in (None, "ray"):
            module.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            module.init(address=address, log_to_driver=False, logging_level="ERROR")
    return RayEngine(
        n_holders_wanted=n_holders,
        n_parts_wanted=n_parts,
        n_threads=n_threads,
        timeout=timeout,
        owns_ray=owns_ray,
    )


def _ray(module: str = "ray") -> Any:
    return _extras.require(module, "ray", "an engine of Ray")

"""Which workers of a Dask cluster are alive."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unsup_fast.distributed._engine import NoWorkerLeft

LONGEST = 2.0  # seconds between two looks at the scheduler
LOOKS = 20  # at least, within the time after which a silent worker counts as lost


class Worker(NamedTuple):
    """A worker that is alive."""

    address: str
    n_threads: int


class Heard(NamedTuple):
    """When the scheduler heard of a worker."""

    at: float
    """By the scheduler's clock."""
    since: float
    """When we first saw that, by ours: the two clocks may differ."""


@dataclass(kw_only=True)
class Workers:
    """The workers that a scheduler lists, and when it heard of them.

    The scheduler itself drops silent workers only after minutes (``worker-ttl``).
    """

    client: Any
    timeout: float
    """Seconds of silence after which a worker counts as lost."""
    lost: set[str] = field(default_factory=set)
    """Addresses of lost workers that the scheduler may still list."""
    _heard: dict[str, Heard] = field(default_factory=dict)
    _nannies: set[str] = field(default_factory=set)

    @property
    def interval(self) -> float:
        """Seconds between two looks at the scheduler."""
        return min(LONGEST, self.timeout / LOOKS)

    def living(self) -> list[Worker]:
        """Return the workers that are alive, by address."""
        listed, now = self._listed(), time.monotonic()
        for address in set(self._heard) - set(listed):
            self.lost.discard(address)
            del self._heard[address]
        for address, about in listed.items():
            heard = self._heard.get(address)
            if heard is None or heard.at != about["last_seen"]:
                self._heard[address] = Heard(at=about["last_seen"], since=now)
            if about["nanny"]:
                self._nannies.add(address)
        return [
            Worker(address=address, n_threads=int(listed[address]["nthreads"]))
            for address in sorted(listed)
            if address not in self.lost and now - self._heard[address].since < self.timeout
        ]

    def is_living(self, address: str) -> bool:
        """Return whether a worker is alive."""
        return any(worker.address == address for worker in self.living())

    def restarting(self, since: float, timeout: float) -> bool:
        """Return whether a nanny may be starting another process for a worker that was lost."""
        return bool(self._nannies) and time.monotonic() < since + timeout

    def _listed(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker."""
        scheduler = self.client.scheduler  # None once the client has given up on it
        try:
            if scheduler is None:
                raise ConnectionError("the client is closed")
            about = self.client.sync(
                scheduler.identity, n_workers=-1, callback_timeout=self.timeout
            )
        except (OSError, TimeoutError) as error:
            where = f" at {scheduler.address}" if scheduler is not None else ""
            reason = str(error) or f"no answer within {self.timeout:g} s"
            raise NoWorkerLeft(
                f"the scheduler of Dask{where} cannot be reached ({reason}); start it and its "
                "workers again"
            ) from error
        workers: dict[str, dict[str, Any]] = about["workers"]
        return workers

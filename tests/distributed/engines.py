"""Engines for tests: holders within the process of the test, and processes that are killed."""

import os
import signal

import cloudpickle

from unsup_fast.distributed import HolderLost

# Processes take seconds to start: tests kill them in some phases, with this in all.
ALL_PHASES = "UNSUP_FAST_TEST_ALL_PHASES" in os.environ


class InProcess:
    """Runs holders in this process; what they are sent and return is pickled.

    Parameters
    ----------
    n_holders, n_parts : int
    lose : str, optional
        Calls of this method find their holders lost.
    calls : container of int
        Which of them, from 1.
    """

    def __init__(self, n_holders, n_parts, *, lose=None, calls=(1,)):
        self.n_holders, self.n_parts, self._lose, self._calls = n_holders, n_parts, lose, calls
        self._count = 0

    def make(self, index, create):
        return cloudpickle.loads(cloudpickle.dumps(create))()

    def send(self, handle, verb, arguments):
        return handle, verb, cloudpickle.dumps(arguments)

    def get(self, pending):
        handle, verb, arguments = pending
        self._count += verb == self._lose
        if verb == self._lose and self._count in self._calls:
            raise HolderLost("as the test wants")
        reply = getattr(handle, verb)(*cloudpickle.loads(arguments))
        return cloudpickle.loads(cloudpickle.dumps(reply))

    def release(self, handle):
        pass


class Killer:
    """Kills the process of a holder once, before a call of a method of it is sent.

    Parameters
    ----------
    engine : LocalEngine
    verb : str
        Which method.
    number : int
        How many such calls there are until then, this one included.
    """

    def __init__(self, engine, verb, number=1):
        self._engine, self._verb, self._left = engine, verb, number

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def send(self, handle, verb, arguments):
        self._left -= verb == self._verb
        if self._left == 0:
            self._left = -1
            os.kill(handle.process.pid, signal.SIGKILL)
        return self._engine.send(handle, verb, arguments)


def losses(caught):
    """Return how many warnings are about a lost worker."""
    return sum("was lost" in str(warning.message) for warning in caught)

"""Engines for tests: holders within the process of the test, and processes that are killed."""

import os
import signal

import cloudpickle

from unsup_fast.distributed import HolderLost


class InProcess:
    """Runs holders in this process; what they are sent and return is pickled.

    Parameters
    ----------
    n_holders, n_parts : int
    lose : str, optional
        The first call of this method finds its holder lost.
    """

    def __init__(self, n_holders, n_parts, *, lose=None):
        self.n_holders, self.n_parts, self._lose = n_holders, n_parts, lose

    def make(self, index, create):
        return cloudpickle.loads(cloudpickle.dumps(create))()

    def send(self, handle, verb, arguments):
        return handle, verb, cloudpickle.dumps(arguments)

    def get(self, pending):
        handle, verb, arguments = pending
        if verb == self._lose:
            self._lose = None
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

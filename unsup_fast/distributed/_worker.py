"""The program of a process that `LocalEngine` starts: it answers calls until its caller is gone."""

import sys
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle


def answer(connection: Connection) -> None:
    """Make the holder that the first call sends, and answer those that follow."""
    holder: Any = None
    while True:
        try:
            number, verb, arguments = cloudpickle.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            if verb:
                failed, reply = False, getattr(holder, verb)(*arguments)
            else:
                failed, reply, holder = False, None, arguments[0]()
        except Exception as error:  # whatever it is, the caller raises it
            failed, reply = True, error
        connection.send_bytes(cloudpickle.dumps((number, failed, reply)))


if __name__ == "__main__":
    answer(Connection(int(sys.argv[1])))

"""The program of a process that `LocalEngine` starts: it answers calls until its caller is gone."""

import sys
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

NUMBER = 8  # bytes of a call's number


def answer(connection: Connection) -> None:
    """Make the holder that a call without a verb sends, and answer calls of its methods."""
    holder: Any = None
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return
        try:
            verb, arguments = cloudpickle.loads(message[NUMBER:])
            if verb:
                failed, reply = False, getattr(holder, verb)(*arguments)
            else:
                create = arguments[0]
                failed, reply, holder = False, None, None if create is None else create()
        except Exception as error:  # whatever it is, the caller raises it
            failed, reply = True, error
        connection.send_bytes(message[:NUMBER] + cloudpickle.dumps((failed, reply)))


def main() -> None:
    """Answer calls on the connection whose file descriptor is the program's argument."""
    answer(Connection(int(sys.argv[1])))

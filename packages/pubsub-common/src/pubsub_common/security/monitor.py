"""What libzmq tells of a socket's connections. Shell."""

from __future__ import annotations

import contextlib
import itertools
import sys

import zmq

_numbers = itertools.count()


class Monitor:
    """The events of one socket. `read` is for one thread, which may be another than the
    socket's; `close` belongs to the socket's, before that is closed."""

    def __init__(self, socket: zmq.Socket[bytes], events: int) -> None:
        self._socket = socket
        name = f"inproc://monitor-{next(_numbers)}"
        # libzmq's own thread writes to it, and would wait for room.
        self._reader = socket.context.socket(zmq.PAIR)
        self._reader.set_hwm(0)
        self._reader.linger = 0
        socket.monitor(name, events)
        self._reader.connect(name)
        self.fd: int = self._reader.FD

    def read(self) -> list[tuple[int, int]]:
        """Events since the last call, each with its value."""
        found = []
        with contextlib.suppress(zmq.Again):
            while True:
                event = self._reader.recv_multipart(zmq.NOBLOCK)[0]
                found.append(
                    (
                        int.from_bytes(event[:2], sys.byteorder),
                        int.from_bytes(event[2:6], sys.byteorder),
                    )
                )
        return found

    def close(self) -> None:
        """Stop watching."""
        # In this order: libzmq's thread waits for ever for a reader that is gone.
        with contextlib.suppress(zmq.ZMQError):  # a closed socket has none
            self._socket.disable_monitor()
        self._reader.close(linger=0)

"""Reads libzmq's monitor events about a socket's connections."""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import Final

import zmq

from pubsub_common.net.sockets import option_reader

_POLLIN: Final = int(zmq.POLLIN)
_EVENT: Final = struct.Struct("=HI")
_numbers = itertools.count()


class SocketMonitor:
    """The events of one socket. `read` is for one thread, which may be another than the
    socket's; `close` is for the socket's thread, before the socket is closed."""

    def __init__(self, watched: zmq.Socket[bytes], events: int) -> None:
        self._watched = watched
        name = f"inproc://monitor-{next(_numbers)}"
        self.socket = watched.context.socket(zmq.PAIR)  # to wait for
        # Without a limit: otherwise libzmq's own thread would wait for us, and we for
        # it.
        self.socket.set_hwm(0)
        self.socket.linger = 0
        try:
            watched.monitor(name, events)
        except zmq.ZMQError:  # it takes a socket too, and none may be left
            self.socket.close()
            raise
        self.socket.connect(name)
        self.fd: int = self.socket.FD
        self._state = option_reader(self.socket, zmq.EVENTS)

    def read(self, limit: int | None = None) -> list[tuple[int, int]]:
        """The events since the last call, each with its value; at most ``limit``, the
        rest in the next call."""
        found: list[tuple[int, int]] = []
        # Mostly there are none, and a subscriber may have hundreds of monitors: an
        # exception would cost ten times as much.
        while self.waits() and (limit is None or len(found) < limit):
            event = self.socket.recv_multipart(zmq.NOBLOCK)[0]
            found.append(_EVENT.unpack(event))
        return found

    def waits(self) -> bool:
        """Whether there are events to `read`."""
        return bool(self._state() & _POLLIN)

    def close(self) -> None:
        """Stop monitoring."""
        # In this order: libzmq's thread waits without a limit for a reader that is
        # gone.
        with contextlib.suppress(zmq.ZMQError):  # a closed socket has no monitor
            self._watched.disable_monitor()
        self.socket.close(linger=0)

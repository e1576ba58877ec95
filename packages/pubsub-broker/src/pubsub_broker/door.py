"""The guard at the control port: who comes, and closing connections. Shell."""

from __future__ import annotations

import logging
import os
import socket as sockets
from typing import Final

import zmq

from pubsub_broker.controlport import Received
from pubsub_broker.doorwatch import GONE, describe
from pubsub_broker.guard import Guard, Kind, Limits, Verdict
from pubsub_common.messages import Register, Request, StatusRequest
from pubsub_common.security.monitor import Monitor

_log = logging.getLogger(__name__)

# Comings and goings looked at in a row, before messages are served again.
_BURST: Final = 256


class Door:
    """Judges what comes in at a control socket, and who; closes connections of those
    that go too far. Belongs to the thread of that socket.

    Connections are seen through libzmq's monitor: also those on which nothing is ever
    said, which would take all open files else.
    """

    def __init__(
        self, watched: zmq.Socket[bytes], limits: Limits, *, secure: bool = False
    ) -> None:
        """``secure`` when only clients with keys are let in."""
        self.port = 0  # on which the watched socket listens
        self.refused = 0  # messages, so far
        self._guard = Guard(limits)
        self._secure = secure
        self._addresses: dict[int, str] = {}  # by file descriptor
        self._monitor = Monitor(
            watched,
            zmq.EVENT_ACCEPTED
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        )
        self.socket = self._monitor.socket
        self._failed: str | None = None

    def watch(self, now: float) -> list[tuple[str, str]]:
        """Take note of connections that came and went; returns those whose handshake
        failed: an IP address and what happened."""
        failures = []
        for event, value in self._monitor.read(_BURST):
            if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                # It is that of the connection that ends next.
                self._failed = describe(value, secure=self._secure)
                continue
            before = self._addresses.pop(value, None)
            if before is not None:
                self._guard.disconnected(before)
            if event == zmq.EVENT_ACCEPTED:
                self._accepted(value, now)
            elif self._failed is not None:
                failures.append((before or GONE, self._failed))
                self._failed = None
        return failures

    def _accepted(self, fd: int, now: float) -> None:
        address = self._address_of(fd)
        if address is None:
            return  # it is gone already
        self._addresses[fd] = address
        if not self._guard.connected(address, now):
            self._end(fd, address)

    def admits(self, received: Received, now: float) -> bool:
        """Whether to look into a message at all."""
        address = received.address
        if address is None:
            return True
        size = len(received.data)
        return self._obey(
            self._guard.message(address, received.peer, size, now), received
        )

    def admits_malformed(self, received: Received, now: float) -> bool:
        """Whether to answer a message that was none."""
        return self._admits_kind(received, Kind.MALFORMED, now)

    def admits_request(
        self, received: Received, request: Request, now: float, clients: int
    ) -> bool:
        """Whether to serve a request at a broker with so many clients; if not, it is to be
        answered with "later"."""
        match request:
            case Register():
                return self._admits_kind(received, Kind.REGISTRATIONS, now)
            case StatusRequest():
                return self._admits_kind(received, Kind.STATUS, now, clients)
        return True

    def tick(self, now: float) -> None:
        """Log what is due."""
        for line in self._guard.tick(now):
            _log.warning("%s", line)

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
        return self._guard.next_deadline()

    def close(self) -> None:
        """Stop watching, before the watched socket is closed."""
        self._monitor.close()

    def _admits_kind(
        self, received: Received, kind: Kind, now: float, clients: int = 0
    ) -> bool:
        if received.address is None:
            return True
        verdict = self._guard.request(
            received.address, received.peer, kind, now, clients
        )
        return self._obey(verdict, received)

    def _obey(self, verdict: Verdict, received: Received) -> bool:
        if verdict is Verdict.CLOSE and received.address is not None:
            fd = received.descriptor()
            if fd is not None:
                self._end(fd, received.address)
        if verdict is Verdict.SERVE:
            return True
        self.refused += 1
        return False

    def _address_of(self, fd: int) -> str | None:
        """Who is at the other end of a connection to our port; None: it is none."""
        try:
            with sockets.socket(fileno=os.dup(fd)) as connection:
                if connection.getsockname()[1] == self.port:
                    return str(connection.getpeername()[0])
        except (OSError, IndexError):
            pass
        return None

    def _end(self, fd: int, address: str) -> None:
        """End the connection of ``address`` on ``fd``; libzmq then drops that peer. Should
        it have closed the descriptor and opened it for something else meanwhile, that
        is left alone, unless it is a connection of the same address to our port."""
        try:
            with sockets.socket(fileno=os.dup(fd)) as connection:
                here, there = connection.getsockname(), connection.getpeername()
                if (here[1], there[0]) == (self.port, address):
                    connection.shutdown(sockets.SHUT_RDWR)
        except (OSError, IndexError):
            pass  # it is gone already

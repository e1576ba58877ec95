"""The connections of a secure broker to publishers that may have a message.

So an event does not need a check of every socket. A connection leaves the queue when its socket was
found empty. From then on libzmq makes its descriptor readable for a new message, which an epoll
reports. Any other operation on the socket may consume that notification (see
`pubsub_common.net.sockets`), and puts the connection back into the queue.
"""

from __future__ import annotations

import select
from collections import deque
from typing import Final

import zmq

from pubsub_broker.forwarding.event_output import Message
from pubsub_broker.forwarding.secure_publisher import PublisherConnection
from pubsub_broker.forwarding.sockets import receive

# Messages of one publisher before the next one gets its turn.
_TURN: Final = 64
_POLLIN: Final = int(zmq.POLLIN)


class ConnectionQueue:
    """``polled``: the caller waits with libzmq's own poll, which consumes the notifications of
    all sockets."""

    def __init__(self, *, polled: bool) -> None:
        # The first one has the turn, and has had this many messages in it.
        self._queue: deque[PublisherConnection] = deque()
        self._received_in_turn = 0
        self._polled = polled
        self._by_fd: dict[int, PublisherConnection] = {}
        self._epoll = select.epoll()

    def close(self) -> None:
        self._epoll.close()

    def watch(self, connection: PublisherConnection) -> None:
        """Take a new connection."""
        self._by_fd[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        self.add(connection)

    def remove(self, connection: PublisherConnection) -> None:
        """Before its socket is closed."""
        self._epoll.unregister(connection.fd)
        del self._by_fd[connection.fd]
        if connection.queued:
            if connection is self._queue[0]:
                self._received_in_turn = 0
            self._queue.remove(connection)

    def add(self, connection: PublisherConnection) -> None:
        """The connection may have a message that its descriptor does not report."""
        if not connection.queued:
            connection.queued = True
            self._queue.append(connection)

    def receive(self) -> tuple[PublisherConnection, Message] | None:
        """The next message, and the connection on which it came; None if there is none."""
        queue = self._queue
        while queue or self._add_readable():
            connection = queue[0]
            if (
                self._received_in_turn >= _TURN
            ):  # so that a busy publisher does not block the others
                self._add_readable()
                self._received_in_turn = 0
                queue.rotate(-1)
                continue
            # Mostly one message or none waits, and an exception is a slow way to learn
            # that.
            if self._received_in_turn > 1 or connection.events() & _POLLIN:
                try:
                    message = receive(connection.socket)
                except zmq.Again:
                    pass
                else:
                    self._received_in_turn += 1
                    return connection, message
            queue.popleft()
            connection.queued = False
            self._received_in_turn = 0
        return None

    def has_input(self) -> bool:
        """Whether a message waits. Checks every socket."""
        found = False
        for connection in self._by_fd.values():
            if connection.events() & _POLLIN:
                self.add(connection)
                found = True
        return found

    def _add_readable(self) -> bool:
        """Queue the connections with readable descriptors; returns whether there were
        any."""
        if self._polled:
            return self.has_input()
        found = self._epoll.poll(0)
        for fd, _ in found:
            self.add(self._by_fd[fd])
        return bool(found)

"""The sockets of one forwarder in a secure broker.

Each publisher has its own socket (`connection`), which receives only topics that it may
publish. Messages that name another sender are dropped.
`pubsub_common.security.subscription_guard` checks subscriptions.

A queue holds the connections that may have a message, so that an event does not need a
check of every socket. A connection leaves the queue when its socket was found empty.
From then on libzmq makes its descriptor readable for a new message, which an epoll
reports. Any other operation on the socket may consume that notification (see
`pubsub_common.net.sockets`), and puts the connection back into the queue.
"""

from __future__ import annotations

import errno
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding.event_output import Message
from pubsub_broker.forwarding.secure_publisher import PublisherConnection, masked
from pubsub_broker.forwarding.socket_retries import SocketRetries
from pubsub_broker.forwarding.sockets import (
    SUBSCRIPTIONS_IN_A_TURN,
    ForwarderSockets,
    PlaceOf,
    receive,
)
from pubsub_common.limits.held_subscriptions import Known
from pubsub_common.net.sockets import bound_queues
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.keys import configure_curve_server
from pubsub_common.security.subscription_guard import (
    OnRefused,
    Permits,
    SubscriptionGuard,
    topic_of,
)

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair


# A public key, and the IP address of its owner.
OnForged = Callable[[str, str], None]

# Messages of one publisher before the next one gets its turn.
_TURN: Final = 64
_POLLIN: Final = int(zmq.POLLIN)


class SecureSockets(ForwarderSockets):
    """A SUB for each publisher, and an XPUB towards subscribers, which are known by
    key."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bounds: QueueBounds,
        *,
        blocking: bool,
        polled: bool = False,
        pair: KeyPair,
        publisher_at: Callable[[str], Attach | None],
        permits: Permits,
        on_refused: OnRefused,
        on_forged: OnForged,
        place_of: PlaceOf = lambda address: address,
    ) -> None:
        """Args:
        polled: The caller waits with libzmq's own poll, which consumes the
            notifications of all sockets.
        pair: The broker's keys.
        publisher_at: Returns the publisher that is registered at an address; called
            in the thread that drives this object.
        permits: See `SubscriptionGuard`.
        on_refused: See `SubscriptionGuard`.
        on_forged: Called when a publisher sends a message that names another
            sender.
        """
        super().__init__(context, bounds, blocking=blocking, single_frames=True)
        self.place_of = place_of
        self._context = context
        self._bounds = bounds
        self._pair = pair
        self._threads = 0  # any of libzmq's
        self._publisher_at = publisher_at
        self._on_forged = on_forged
        configure_curve_server(self.xpub, pair)
        self._guard = SubscriptionGuard(self.xpub, permits, on_refused)
        self._connections: dict[str, PublisherConnection] = {}
        self._inputs: tuple[zmq.Socket[bytes], ...] = ()
        # Connections that may have a message. The first one has the turn, and has had
        # this many messages in it.
        self._queue: deque[PublisherConnection] = deque()
        self._received_in_turn = 0
        self._polled = polled
        self._by_fd: dict[int, PublisherConnection] = {}
        self._epoll = select.epoll()
        self._wanted: dict[bytes, str] = {}  # subscriptions, and the topic of each
        self._retries = SocketRetries()

    def known(self, fd: int) -> Known | None:
        return self._guard.known(fd)

    def pin(self, threads: int) -> None:
        super().pin(threads)
        self._threads = threads

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        return self._inputs

    def receive(self) -> Message | None:
        queue = self._queue
        while queue or self._enqueue_readable():
            connection = queue[0]
            if (
                self._received_in_turn >= _TURN
            ):  # so that a busy publisher does not block the others
                self._enqueue_readable()
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
                    frame = message[0]
                    if connection.is_genuine(frame) or self._has_new_session(
                        connection, frame
                    ):
                        return message
                    self._on_forged(connection.key, host_of(connection.address))
                    # not the next connection: a flooding publisher gets one turn only
                    return []
            queue.popleft()
            connection.queued = False
            self._received_in_turn = 0
        return None

    def has_input(self) -> bool:
        found = False
        for connection in self._connections.values():
            if connection.events() & _POLLIN:
                self._enqueue(connection)
                found = True
        return found

    def close(self, linger_s: float) -> None:
        super().close(linger_s)
        self._epoll.close()

    def attached(self, address: str) -> bool:
        return address in self._connections

    def attach(self, address: str) -> None:
        publisher = self._publisher_at(address)
        if publisher is None or publisher.key is None:
            return  # it has left again
        connection = self._connections.get(address)
        lost = address in self.lost
        self.lost.discard(address)
        place = self.place_of(address) or self.attached_place(address)
        if connection is not None and (
            lost or (connection.key, connection.place) != (publisher.key, place)
        ):
            self.disconnect(address)
            connection = None
        if connection is None:
            if place is None:
                return  # until it is known
            try:
                connection = self._connect(publisher, place)
            except zmq.ZMQError as error:
                if error.errno != errno.EMFILE:
                    raise
                self._retries.add(address, error, time.monotonic())
                return
            self._connections[address] = connection
            self._by_fd[connection.fd] = connection
            self._epoll.register(connection.fd, select.EPOLLIN)
            self._enqueue(connection)
            self._changed()
        else:
            self._enqueue(connection)
            connection.follow(publisher, self._wanted)

    def apply(self, changes: Iterable[tuple[bool, str]]) -> None:
        again = [(True, address) for address in self._retries.take()]
        super().apply([*again, *changes])

    def detach_due(self) -> float | None:
        due, retry_at = super().detach_due(), self._retries.due()
        if due is None or retry_at is None:
            return retry_at if due is None else due
        return min(due, retry_at)

    def detach(self, address: str) -> None:
        self._retries.cancel(address)
        if self._publisher_at(address) is None and self.attached(address):
            self._draining.cancel(address)
            self.disconnect(address)
        else:
            super().detach(address)

    def attached_place(self, address: str) -> str | None:
        connection = self._connections.get(address)
        return None if connection is None else connection.place

    def disconnect(self, address: str) -> None:
        connection = self._connections.pop(address)
        self._epoll.unregister(connection.fd)
        del self._by_fd[connection.fd]
        if connection.queued:
            if connection is self._queue[0]:
                self._received_in_turn = 0
            self._queue.remove(connection)
        connection.socket.close(linger=0)
        self._changed()

    def forward_subscriptions(self) -> bool:
        found = False
        for _ in range(SUBSCRIPTIONS_IN_A_TURN):
            message = self._guard.receive()
            if message is None:
                break
            found = True
            subscription = message[1:]
            topic = topic_of(subscription)
            assert topic is not None, "a guard passes nothing else"
            begins = message[:1] == b"\x01"
            if begins:
                self._wanted[subscription] = topic
            else:
                self._wanted.pop(subscription, None)
            masked_subscription = masked(subscription)
            for connection in self._connections.values():
                told = (
                    subscription if topic in connection.topics else masked_subscription
                )
                if told is not None:
                    tell = (
                        connection.socket.subscribe
                        if begins
                        else connection.socket.unsubscribe
                    )
                    tell(told)
                    self._enqueue(connection)
        return found

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        unwanted = set(keys)
        self._guard.recheck(unwanted)
        # Publishers that left are still received for a while, but not after they lost
        # permissions.
        for address in self._draining.addresses():
            connection = self._connections.get(address)
            if connection is not None and connection.key in unwanted:
                self._draining.cancel(address)
                self.disconnect(address)

    def _connect(self, publisher: Attach, place: str) -> PublisherConnection:
        socket = self._context.socket(zmq.SUB)
        bound_queues(socket, self._bounds)
        socket.setsockopt(zmq.AFFINITY, self._threads)
        connection = PublisherConnection(socket, publisher, place)
        connection.follow(publisher, self._wanted)
        connection.connect(self._pair)
        return connection

    def _has_new_session(
        self, connection: PublisherConnection, frame: zmq.Frame
    ) -> bool:
        """Whether a message names a new session of the publisher that this thread does
        not know yet."""
        publisher = self._publisher_at(connection.address)
        if publisher is None or publisher.key != connection.key:
            return False
        assert publisher.session is not None, "a publisher with a key has one"
        connection.sender_check.renew(publisher.session)
        return connection.is_genuine(frame)

    def _enqueue(self, connection: PublisherConnection) -> None:
        """The connection may have a message that its descriptor does not report."""
        if not connection.queued:
            connection.queued = True
            self._queue.append(connection)

    def _enqueue_readable(self) -> bool:
        """Queue the connections with readable descriptors; returns whether there were
        any."""
        if self._polled:
            return self.has_input()
        found = self._epoll.poll(0)
        for fd, _ in found:
            self._enqueue(self._by_fd[fd])
        return bool(found)

    def _changed(self) -> None:
        self._inputs = tuple(
            connection.socket for connection in self._connections.values()
        )

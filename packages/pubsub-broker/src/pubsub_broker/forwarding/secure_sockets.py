"""The sockets of one forwarder in a secure broker.

Each publisher has its own socket (`connection`), which receives only topics that it may
publish. Messages that name another sender are dropped.
`pubsub_common.security.subscription_guard` checks subscriptions.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import zmq

from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding.connection_queue import ConnectionQueue
from pubsub_broker.forwarding.event_output import Message
from pubsub_broker.forwarding.secure_publisher import PublisherConnection, masked
from pubsub_broker.forwarding.socket_retries import SocketRetries
from pubsub_broker.forwarding.sockets import (
    SUBSCRIPTIONS_IN_A_TURN,
    ForwarderSockets,
    PlaceOf,
)
from pubsub_common.earliest import earliest
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
        polled: See `ConnectionQueue`.
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
        self._queue = ConnectionQueue(polled=polled)
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
        found = self._queue.receive()
        if found is None:
            return None
        connection, message = found
        frame = message[0]
        if connection.is_genuine(frame) or self._has_new_session(connection, frame):
            return message
        self._on_forged(connection.key, host_of(connection.address))
        # Not the next connection: a flooding publisher gets one turn only.
        return []

    def has_input(self) -> bool:
        return self._queue.has_input()

    def close(self, linger_s: float) -> None:
        super().close(linger_s)
        self._queue.close()

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
            self._queue.watch(connection)
            self._changed()
        else:
            self._queue.add(connection)
            connection.follow(publisher, self._wanted)

    def apply(self, changes: Iterable[tuple[bool, str]]) -> None:
        again = [(True, address) for address in self._retries.take()]
        super().apply([*again, *changes])

    def detach_due(self) -> float | None:
        return earliest(super().detach_due(), self._retries.due())

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
                    self._queue.add(connection)
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

    def _changed(self) -> None:
        self._inputs = tuple(
            connection.socket for connection in self._connections.values()
        )

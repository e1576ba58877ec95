"""Connects directly to the publishers of a secure broker, with one socket for each.

The socket of a publisher is subscribed to the topics that the broker names for it; libzmq
drops all other messages of that publisher. The socket also has the publisher's key, so no
other process can answer. With a broker that is not secure, one socket for all is cheaper.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.earliest import earliest
from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
)
from pubsub_subscriber.connections.direct import begin, move
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.local_lane import LocalLane
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.streams.stream_table import location_of

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair

_log = logging.getLogger(__name__)

# First and longest delay before another attempt at a publisher that refuses us, and the time
# after which this is logged: the broker may not have told it of us yet. Each attempt costs both
# sides some milliseconds of a processor, which is scarce when hundreds start at once.
_RETRY_S: Final = 0.5
_RETRY_MAX_S: Final = 4.0
_LOG_AFTER: Final = 3

# Events of a publisher that left are received until all have arrived. If it continues to publish,
# it is disconnected after this time: a revocation would not reach us any more.
_MAX_DRAIN_S: Final = 60.0

# Each publisher needs three sockets (its own, and two for the watch on it). Each socket and the
# connection need a descriptor.
_MAX_PUBLISHERS: Final = 4096
MAX_SOCKETS: Final = 3 * _MAX_PUBLISHERS
# The default limit of a process is enough for 250 publishers.
MAX_FILES: Final = 4 * _MAX_PUBLISHERS


@dataclasses.dataclass(slots=True)
class _PublisherConnection:
    """A socket for one publisher."""

    number: int
    sub_socket: SubSocket
    publisher: PublisherInfo
    handshake_monitor: ClientHandshakeMonitor
    refusals: int = 0
    retry_at: float | None = None
    retry_s: float = _RETRY_S
    left_at: float | None = None


class SecureDirectConnections:
    """A socket for each publisher, which must have the key that the broker names."""

    def __init__(
        self,
        sockets: SocketSet,
        new_sub_socket: NewSubSocket,
        pair: KeyPair,
        has_left: Callable[[int], bool],
        places: NamedEndpoints,
        lane: LocalLane | None = None,
    ) -> None:
        """``pair`` are the keys of this client. ``has_left`` returns whether the publisher of
        a session has left."""
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._pair = pair
        self._has_left = has_left
        self._places = places
        self._lane = lane
        self._numbers = itertools.count(1)
        self._connections: dict[int, _PublisherConnection] = {}  # by session
        # Publishers that got no socket, by session.
        self._unconnected: dict[int, PublisherInfo] = {}
        self._throttle = LogThrottle()

    def subscribe(self, topics: Iterable[str]) -> None:
        """Nothing: topics come with each publisher."""

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """Nothing: publishers are connected one by one."""

    def connect(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None or publisher.key is None:
            return False
        connection = self._connections.get(publisher.session) or self._with_new_session(
            publisher
        )
        if connection is not None:
            if location_of(connection.publisher) == location_of(publisher):
                connection.publisher = publisher
                # It may have lost the permission for a topic that it removed.
                given_up = connection.sub_socket.topics - set(publisher.topics)
                arrived = connection.sub_socket.remove(given_up)
                return connection.sub_socket.add(publisher.topics) or arrived
            self._retire(connection)
        try:
            self._open(publisher, publisher.address, publisher.key)
        except zmq.ZMQError as error:
            if error.errno != errno.EMFILE:
                raise
            # Connected publishers stay connected.
            if not self._unconnected and self._throttle.allows(
                "files", time.monotonic()
            ):
                _log.error(
                    "cannot open a socket for publisher %s: %s. Raise `ulimit -n`; retrying",
                    publisher.address,
                    error.strerror,
                )
            self._unconnected[publisher.session] = publisher
        return True

    def _open(self, publisher: PublisherInfo, address: str, key: str) -> None:
        """Raises:
        zmq.ZMQError: There are no more descriptors or sockets.
        """
        from pubsub_common.security.keys import configure_curve_client

        sub_socket = self._new_sub_socket(publisher.topics)
        try:
            sub_socket.restrict_to(publisher.session)
            configure_curve_client(sub_socket.socket, self._pair, key)
            sub_socket.handshake_monitor = handshake_monitor = ClientHandshakeMonitor(
                sub_socket.socket
            )
        except BaseException:
            sub_socket.close(0)
            raise
        if self._lane is not None and publisher.place == self._lane.place:
            sub_socket.lane = self._lane
        number = next(self._numbers)
        self._connections[publisher.session] = _PublisherConnection(
            number, sub_socket, publisher, handshake_monitor
        )
        place = begin(self._places, address)
        if place is not None:
            sub_socket.connect(place)
        self._sockets.add(number, sub_socket)

    def _with_new_session(
        self, publisher: PublisherInfo
    ) -> _PublisherConnection | None:
        """The connection of a publisher that has a new session now. It stays: its messages
        have the new session, and waiting ones the old one."""
        place = location_of(publisher)
        for session, connection in self._connections.items():
            if location_of(connection.publisher) == place:
                self._connections[publisher.session] = self._connections.pop(session)
                connection.sub_socket.other_sessions = {session}
                connection.sub_socket.only_session = publisher.session
                return connection
        return None

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        self._unconnected.pop(publisher.session, None)
        if self._lane is not None:
            self._lane.forget(publisher.session)
        connection = self._connections.get(publisher.session)
        if connection is None:
            return False
        # Waiting messages are not wanted, and those of a flood would not end.
        connection.sub_socket.disconnect(self._place_of(connection))
        self._retire(connection)
        return True

    def unsubscribe(self, topic: str) -> bool:
        arrived = False
        for connection in self._connections.values():
            arrived |= connection.sub_socket.remove([topic])
        return arrived

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        connection = self._connections.get(session)
        return None if connection is None else connection.sub_socket

    def check(self) -> float | None:
        now = time.monotonic()
        due_s: float | None = None
        self._follow(now)
        for connection in self._connections.values():
            for failure in connection.handshake_monitor.failures():
                connection.refusals += 1
                if not failure.retrying:
                    connection.retry_at = now + connection.retry_s
                    connection.retry_s = min(2 * connection.retry_s, _RETRY_MAX_S)
                if connection.refusals == _LOG_AFTER or failure.retrying:
                    self._log_refusal(connection.publisher, failure.reason, now)
            if connection.retry_at is not None and now >= connection.retry_at:
                connection.retry_at = None
                connection.sub_socket.reconnect(self._place_of(connection))
            if not self._has_left(connection.publisher.session):
                connection.left_at = None
                if not connection.refusals:
                    connection.sub_socket.check()
            elif connection.left_at is None:
                connection.left_at = now
            elif now - connection.left_at > _MAX_DRAIN_S:
                connection.retry_at = None
                connection.sub_socket.disconnect(self._place_of(connection))
            lane = connection.sub_socket.lane
            if lane is not None:
                session = connection.publisher.session
                arrived, again_s = lane.subscribe(connection.sub_socket, [session])
                due_s = earliest(due_s, again_s)
                if arrived:
                    self._sockets.wake()
        self._retry_unconnected()
        if self._connections or self._unconnected:
            due_s = earliest(due_s, _RETRY_S)
        return due_s

    def _retry_unconnected(self) -> None:
        for session, publisher in list(self._unconnected.items()):
            if not self._has_left(session):
                self.connect(publisher)
                if session not in self._connections:
                    return  # there is still no socket
            del self._unconnected[session]

    def _log_refusal(
        self, publisher: PublisherInfo, why: FailureReason, now: float
    ) -> None:
        # A publisher that registers repeatedly is another one each time.
        if not self._throttle.allows(publisher.address, now):
            return
        _log.warning(
            "cannot connect to publisher %s: %s; retrying",
            publisher.address,
            why.value,
        )

    def _place_of(self, connection: _PublisherConnection) -> str:
        return self._places.place(connection.publisher.address or "") or ""

    def _follow(self, now: float) -> None:
        """Connect to the new addresses of publishers with names that have moved."""
        for endpoint, before in self._places.look(now):
            for connection in self._connections.values():
                if connection.publisher.address == endpoint:
                    place = self._places.place(endpoint)
                    move(connection.sub_socket, before, place)

    def _retire(self, connection: _PublisherConnection) -> None:
        """The receiving thread takes the remaining messages."""
        del self._connections[connection.publisher.session]
        self._sockets.retire(connection.number)
        address = connection.publisher.address or ""
        if all(
            each.publisher.address != address for each in self._connections.values()
        ):
            self._places.end(address)

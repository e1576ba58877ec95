"""Connects straight to the publishers of a secure broker, with one socket for each.

Where the broker is secure each publisher has a socket of its own: it is subscribed to what
the broker says this publisher may publish, and what else a publisher sends, libzmq throws
away before anybody sees it. It also has the publisher's key, so nobody else can answer.
Elsewhere one socket for all is cheaper.
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

from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
)
from pubsub_subscriber.connections.direct import begin, move
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.streams.stream_table import location_of

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair

_log = logging.getLogger(__name__)

# How often a publisher that does not let us in is asked again, at first and at last, and
# when it is said: the broker may be about to tell it of us. Each time costs both sides some
# milliseconds of a processor, which is what they lack when hundreds start at once.
_RETRY_S: Final = 0.5
_RETRY_MAX_S: Final = 4.0
_LOG_AFTER: Final = 3

# A publisher that left is received until all that was under way has arrived. Should it go
# on publishing, it is disconnected after this time: no revocation would reach us any more.
_MAX_DRAIN_S: Final = 60.0

# Each publisher takes three sockets (its own, and two of the watch on it), and these and
# the connection a file each.
_MAX_PUBLISHERS: Final = 4096
MAX_SOCKETS: Final = 3 * _MAX_PUBLISHERS
# By default a process may open enough for 250 publishers.
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
    ) -> None:
        """``pair`` are our own keys; ``has_left`` tells whether the publisher of a
        session has left."""
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._pair = pair
        self._has_left = has_left
        self._places = places
        self._numbers = itertools.count(1)
        self._connections: dict[int, _PublisherConnection] = {}  # by session
        # Those for which there was no socket, by session.
        self._unconnected: dict[int, PublisherInfo] = {}
        self._throttle = LogThrottle()

    def subscribe(self, topics: Iterable[str]) -> None:
        """Each publisher's topics come with it."""

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """Publishers are connected to, one by one."""

    def connect(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None or publisher.key is None:
            return False
        connection = self._connections.get(publisher.session) or self._with_new_session(
            publisher
        )
        if connection is not None:
            if location_of(connection.publisher) == location_of(publisher):
                connection.publisher = publisher
                # A topic that it gave up may be one that it must not have any more.
                given_up = connection.sub_socket.topics - set(publisher.topics)
                arrived = connection.sub_socket.remove(given_up)
                return connection.sub_socket.add(publisher.topics) or arrived
            self._retire(connection)
        try:
            self._open(publisher, publisher.address, publisher.key)
        except zmq.ZMQError as error:
            if error.errno != errno.EMFILE:
                raise
            # The publishers that have one stay connected.
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
        zmq.ZMQError: there are no more files or sockets.
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
        """The connection to a publisher that has a new session now: it goes on, since what it
        sends by that connection is in the new name, and what is left in the old one."""
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
        connection = self._connections.get(publisher.session)
        if connection is None:
            return False
        # What still waits is not wanted, and one that floods would go on for ever.
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
        self._retry_unconnected()
        return _RETRY_S if self._connections or self._unconnected else None

    def _retry_unconnected(self) -> None:
        for session, publisher in list(self._unconnected.items()):
            if not self._has_left(session):
                self.connect(publisher)
                if session not in self._connections:
                    return  # there is still none
            del self._unconnected[session]

    def _log_refusal(
        self, publisher: PublisherInfo, why: FailureReason, now: float
    ) -> None:
        # One that registers again and again is another publisher each time.
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
        """Connect to where publishers are now whose names have other addresses."""
        for endpoint, before in self._places.look(now):
            for connection in self._connections.values():
                if connection.publisher.address == endpoint:
                    place = self._places.place(endpoint)
                    move(connection.sub_socket, before, place)

    def _retire(self, connection: _PublisherConnection) -> None:
        """What it still holds is taken out by the receiving thread."""
        del self._connections[connection.publisher.session]
        self._sockets.retire(connection.number)
        address = connection.publisher.address or ""
        if all(
            each.publisher.address != address for each in self._connections.values()
        ):
            self._places.end(address)

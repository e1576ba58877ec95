"""Connects directly to publishers, if the broker is not secure."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from pubsub_common.earliest import earliest
from pubsub_common.errors import ConfigError
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.protocol.endpoints import parse_address
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_common.text.printable import cut, printable
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.local_lane import LocalLane
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket

_log = logging.getLogger(__name__)


# The sockets. The second one is made when there are publishers of both kinds.
_FIRST, _SECOND = 0, 1


class DirectConnections:
    """One socket for all publishers; with a ``lane`` another one for those in the same
    place, because all publishers of a socket receive the same subscriptions."""

    def __init__(
        self,
        sockets: SocketSet,
        new_sub_socket: NewSubSocket,
        places: NamedEndpoints,
        lane: LocalLane | None = None,
    ) -> None:
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._places = places
        self._lane = lane
        # The socket of publishers with and without shared memory, of addresses and sessions.
        self._key_of_kind: dict[bool, int] = {}
        self._key_of_address: dict[str, int] = {}
        self._key_of_session: dict[int, int] = {}

    def subscribe(self, topics: Iterable[str]) -> None:
        if self._sockets.get(_FIRST) is None:
            self._sockets.add(_FIRST, self._new_sub_socket(topics))
            return
        for sub_socket in self._open():
            sub_socket.add(topics)

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """Nothing: publishers are connected one by one."""

    def connect(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None:
            return False
        place = begin(self._places, publisher.address)
        key = self._key_for(publisher)
        self._key_of_session[publisher.session] = key
        before = self._key_of_address.get(publisher.address, key)
        self._key_of_address[publisher.address] = key
        sub_socket, other = self._sockets.get(key), self._sockets.get(before)
        if sub_socket is None or place is None:
            return False
        if other is not None and other is not sub_socket:
            other.disconnect(place)  # another publisher was at this address
        return sub_socket.connect(place)

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        key = self._key_of_session.pop(publisher.session, _FIRST)
        if self._lane is not None:
            self._lane.forget(publisher.session)
        if publisher.address is None or address_in_use:
            return False
        self._key_of_address.pop(publisher.address, None)
        sub_socket = self._sockets.get(key)
        place = self._places.place(publisher.address)
        self._places.end(publisher.address)
        if sub_socket is None or place is None:
            return False
        return sub_socket.disconnect(place)

    def unsubscribe(self, topic: str) -> bool:
        arrived = False
        for sub_socket in self._open():
            arrived |= sub_socket.remove([topic])
        return arrived

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        return self._sockets.get(self._key_of_session.get(session, _FIRST))

    def check(self) -> float | None:
        for endpoint, before in self._places.look(time.monotonic()):
            key = self._key_of_address.get(endpoint, _FIRST)
            sub_socket = self._sockets.get(key)
            if sub_socket is not None:
                move(sub_socket, before, self._places.place(endpoint))
        due_s = self._places.due_s(time.monotonic())
        for sub_socket in self._open():
            due_s = earliest(due_s, sub_socket.check())
            lane = sub_socket.lane
            if lane is not None:
                arrived, again_s = lane.subscribe(sub_socket, self._sharing())
                due_s = earliest(due_s, again_s)
                if arrived:
                    self._sockets.wake()
        return due_s

    def _sharing(self) -> list[int]:
        """The publishers with shared memory, by session."""
        wanted = self._key_of_kind.get(True)
        return [each for each, key in self._key_of_session.items() if key == wanted]

    def _key_for(self, publisher: PublisherInfo) -> int:
        """The key of the socket for a publisher, which is made if necessary."""
        lane = self._lane
        shares = lane is not None and publisher.place == lane.place
        key = self._key_of_kind.get(shares)
        first = self._sockets.get(_FIRST)
        if key is not None or first is None:
            return key or _FIRST
        key = _SECOND if self._key_of_kind else _FIRST
        self._key_of_kind[shares] = key
        sub_socket = first
        if key == _SECOND:
            sub_socket = self._new_sub_socket(first.topics)
        if shares:
            sub_socket.lane = lane
        if key == _SECOND:
            self._sockets.add(key, sub_socket)
        return key

    def _open(self) -> list[SubSocket]:
        found = (self._sockets.get(key) for key in (_FIRST, _SECOND))
        return [sub_socket for sub_socket in found if sub_socket is not None]


def begin(
    places: NamedEndpoints, address: str, shown: str = "a publisher"
) -> str | None:
    """The address at which to connect to the publisher at ``address``, as the broker reports
    it; None if its name is unknown so far, or if it is not valid. ``shown`` is for the log,
    where the address may be another one."""
    try:
        parse_address(address)
    except ConfigError as error:
        _log.warning("cannot connect to %s: %s", shown, printable(cut(str(error))))
        return None
    return places.begin(address, time.monotonic())


def move(sub_socket: SubSocket, before: str | None, place: str | None) -> None:
    """Receive from ``place`` instead of ``before``; either may be None."""
    if before is not None:
        sub_socket.disconnect(before)
    if place is not None:
        sub_socket.connect(place)

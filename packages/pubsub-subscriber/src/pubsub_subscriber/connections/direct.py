"""Connects directly to publishers, with one socket for all, if the broker is not secure."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from pubsub_common.errors import ConfigError
from pubsub_common.net.named_endpoints import NamedEndpoints, sooner
from pubsub_common.printable import cut, printable
from pubsub_common.protocol.endpoints import parse_address
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket

_log = logging.getLogger(__name__)


class DirectConnections:
    """One socket for all publishers."""

    def __init__(
        self, sockets: SocketSet, new_sub_socket: NewSubSocket, places: NamedEndpoints
    ) -> None:
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._places = places

    def subscribe(self, topics: Iterable[str]) -> None:
        sub_socket = self._sockets.get(0)
        if sub_socket is None:
            self._sockets.add(0, self._new_sub_socket(topics))
        else:
            sub_socket.add(topics)

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """Nothing: publishers are connected one by one."""

    def connect(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None:
            return False
        sub_socket = self._sockets.get(0)
        place = begin(self._places, publisher.address)
        if sub_socket is None or place is None:
            return False
        return sub_socket.connect(place)

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        if publisher.address is None or address_in_use:
            return False
        sub_socket = self._sockets.get(0)
        place = self._places.place(publisher.address)
        self._places.end(publisher.address)
        if sub_socket is None or place is None:
            return False
        return sub_socket.disconnect(place)

    def unsubscribe(self, topic: str) -> bool:
        sub_socket = self._sockets.get(0)
        return sub_socket is not None and sub_socket.remove([topic])

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        return self._sockets.get(0)

    def check(self) -> float | None:
        sub_socket = self._sockets.get(0)
        if sub_socket is None:
            return None
        for endpoint, before in self._places.look(time.monotonic()):
            move(sub_socket, before, self._places.place(endpoint))
        return sooner(sub_socket.check(), self._places.due_s(time.monotonic()))


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

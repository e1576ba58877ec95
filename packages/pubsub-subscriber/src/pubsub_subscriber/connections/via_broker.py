"""Connects to the broker, with a socket for each place that it names: one of its own ports,
or ``host:port`` of another broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pubsub_common.earliest import earliest
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.protocol.endpoints import join
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_subscriber.connections.direct import begin, move
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket


class BrokerConnections:
    """The sockets of a subscriber that receives from a broker."""

    def __init__(
        self,
        sockets: SocketSet,
        new_sub_socket: NewSubSocket,
        host: Callable[[], str],
        places: NamedEndpoints,
    ) -> None:
        """``host`` returns the host of the broker that named the ports."""
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._host = host
        self._places = places
        self._endpoints: dict[str, str] = {}  # ``host:port`` by topic

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        host = self._host()
        self._endpoints = {
            topic: port if isinstance(port, str) else join(host, port)
            for topic, port in ports.items()
        }
        topics_of: dict[str, list[str]] = {}
        for topic, endpoint in self._endpoints.items():
            topics_of.setdefault(endpoint, []).append(topic)
        for gone in self._sockets.open_keys() - topics_of.keys():
            # Another broker forwards the topics now, or this one from other ports. The receiving
            # thread takes the remaining messages of the old socket.
            self._sockets.retire(gone)
            self._places.end(str(gone))
        for endpoint, topics in topics_of.items():
            sub_socket = self._sockets.get(endpoint)
            if sub_socket is None:
                sub_socket = self._new_sub_socket(())
            # A publisher counts the ready requests from all places of its topics.
            total = topic_count if len(topics) < topic_count else 0
            # Else topics that have moved to another place would come from both.
            sub_socket.remove(sub_socket.topics - set(topics))
            sub_socket.add(topics, total_topics=total)
            if self._sockets.get(endpoint) is None:
                place = begin(self._places, endpoint, "a broker")
                if place is not None:
                    sub_socket.connect(place)
                self._sockets.add(endpoint, sub_socket)
        self._sockets.wake()

    def subscribe(self, topics: Iterable[str]) -> None:
        """Nothing: the broker names the ports of topics."""

    def connect(self, publisher: PublisherInfo) -> bool:
        return False

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        return False

    def unsubscribe(self, topic: str) -> bool:
        sub_socket = self.socket_for(0, topic)
        self._endpoints.pop(topic, None)
        return sub_socket is not None and sub_socket.remove([topic])

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        return self._sockets.get(self._endpoints.get(topic, ""))

    def check(self) -> float | None:
        for endpoint, before in self._places.look(time.monotonic()):
            sub_socket = self._sockets.get(endpoint)
            if sub_socket is not None:
                move(sub_socket, before, self._places.place(endpoint))
        due_s = self._places.due_s(time.monotonic())
        for each in self._sockets.open:
            due_s = earliest(due_s, each.check())
        return due_s

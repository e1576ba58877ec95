"""Connects to the broker, with a socket for each port that it forwards from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_subscriber.connections.interface import NewSubSocket
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket


class BrokerConnections:
    """The sockets of a subscriber that listens to a broker."""

    def __init__(
        self,
        sockets: SocketSet,
        new_sub_socket: NewSubSocket,
        total_topics: Callable[[Sequence[str]], int],
    ) -> None:
        """``total_topics`` is how many topics we have, if those of one port are not all; else
        0."""
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._total_topics = total_topics
        self.host = ""  # of the broker, found when the subscriber is configured
        self.ports: Mapping[str, int] = {}  # by topic

    def listen(self, ports: Mapping[str, int]) -> None:
        """Listen to the broker at `host` on the `ports` that it forwards topics from, and
        to no others."""
        topics_of: dict[int, list[str]] = {}
        for topic, port in ports.items():
            topics_of.setdefault(port, []).append(topic)
        for port in self._sockets.numbers() - topics_of.keys():
            # A broker that restarted forwards from other ports. What the old socket
            # still holds is taken out by the receiving thread.
            self._sockets.retire(port)
        for port, topics in topics_of.items():
            sub_socket = self._sockets.get(port)
            if sub_socket is None:
                sub_socket = self._new_sub_socket(topics)
                sub_socket.connect(f"{self.host}:{port}")
                self._sockets.add(port, sub_socket)
            else:
                sub_socket.add(topics, total_topics=self._total_topics(topics))
        self.ports = dict(ports)
        self._sockets.changed()

    def subscribe(self, topics: Iterable[str]) -> None:
        """The broker tells the ports of topics."""

    def connect(self, publisher: PublisherInfo) -> bool:
        return False

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        return False

    def may_unsubscribe(self) -> bool:
        # Publishers count ours, over all connections. They would take one that we
        # have just given up for another that they do not know yet.
        return len(self._sockets.open) <= 1

    def unsubscribe(self, topic: str) -> bool:
        sub_socket = self.socket_for(0, topic)
        self.ports = {name: self.ports[name] for name in self.ports if name != topic}
        return sub_socket is not None and sub_socket.remove([topic])

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        return self._sockets.get(self.ports.get(topic, 0))

    def check(self) -> float | None:
        return None

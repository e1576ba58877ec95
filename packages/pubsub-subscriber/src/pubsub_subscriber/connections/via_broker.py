"""Connects to the broker, with a socket for each port that it forwards from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pubsub_common.protocol.endpoints import join
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
        host: Callable[[], str],
    ) -> None:
        """``host`` tells the broker's."""
        self._sockets = sockets
        self._new_sub_socket = new_sub_socket
        self._host = host
        self._listens_to = ""  # the host of all sockets
        self._ports: dict[str, int] = {}  # by topic

    def listen(self, ports: Mapping[str, int], topic_count: int) -> None:
        topics_of: dict[int, list[str]] = {}
        for topic, port in ports.items():
            topics_of.setdefault(port, []).append(topic)
        host, before = self._host(), self._listens_to
        self._listens_to = host
        stays = topics_of.keys() if host == before else set()
        for port in self._sockets.numbers() - stays:
            # A broker that restarted forwards from other ports, or at another address. What
            # the old socket still holds is taken out by the receiving thread.
            self._sockets.retire(port)
        for port, topics in topics_of.items():
            sub_socket = self._sockets.get(port)
            if sub_socket is None:
                sub_socket = self._new_sub_socket(())
            # A publisher counts us ready by all ports from which we have its topics.
            total = topic_count if len(topics) < topic_count else 0
            # Else those that come from another port now, of a broker that restarted, would
            # come from both.
            sub_socket.remove(sub_socket.topics - set(topics))
            sub_socket.add(topics, total_topics=total)
            if self._sockets.get(port) is None:
                sub_socket.connect(join(host, port))
                self._sockets.add(port, sub_socket)
        self._ports = dict(ports)
        self._sockets.wake()

    def subscribe(self, topics: Iterable[str]) -> None:
        """The broker tells the ports of topics."""

    def connect(self, publisher: PublisherInfo) -> bool:
        return False

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        return False

    def unsubscribe(self, topic: str) -> bool:
        sub_socket = self.socket_for(0, topic)
        self._ports.pop(topic, None)
        return sub_socket is not None and sub_socket.remove([topic])

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        return self._sockets.get(self._ports.get(topic, 0))

    def check(self) -> float | None:
        due = [sub_socket.check() for sub_socket in self._sockets.open]
        return min((each for each in due if each is not None), default=None)

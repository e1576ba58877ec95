"""The way through the broker, centralized: a socket for each port it forwards from. Shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_subscriber.connections.interface import NewInlet
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import Inlet


class BrokerWays:
    """The sockets of a subscriber that listens to a broker."""

    def __init__(
        self,
        sockets: SocketSet,
        new_inlet: NewInlet,
        in_all: Callable[[Sequence[str]], int],
    ) -> None:
        """``in_all`` is how many topics we have, if those of one port are not all; else
        0."""
        self._sockets = sockets
        self._new_inlet = new_inlet
        self._in_all = in_all
        self.ports: Mapping[str, int] = {}  # by topic

    def listen(self, host: str, ports: Mapping[str, int]) -> None:
        """Listen to the broker at ``host`` on the `ports` that it forwards topics from, and
        to no others."""
        topics_of: dict[int, list[str]] = {}
        for topic, port in ports.items():
            topics_of.setdefault(port, []).append(topic)
        for port in self._sockets.numbers() - topics_of.keys():
            # A broker that restarted forwards from other ports. What the old socket
            # still holds is taken out by the receiving thread.
            self._sockets.retire(port)
        for port, topics in topics_of.items():
            inlet = self._sockets.get(port)
            if inlet is None:
                inlet = self._new_inlet(topics)
                inlet.connect(f"{host}:{port}")
                self._sockets.add(port, inlet)
            else:
                inlet.add(topics, in_all=self._in_all(topics))
        self.ports = dict(ports)
        self._sockets.changed()

    def begin(self, names: Iterable[str]) -> None:
        """The broker tells the ports of topics."""

    def join(self, publisher: PublisherInfo) -> bool:
        return False

    def leave(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        return False

    def may_forget(self) -> bool:
        # Publishers count ours, over all connections. They would take one that we
        # have just given up for another that they have not heard of yet.
        return len(self._sockets.open) <= 1

    def forget(self, topic: str) -> bool:
        inlet = self.inlet(0, topic)
        self.ports = {name: self.ports[name] for name in self.ports if name != topic}
        return inlet is not None and inlet.remove([topic])

    def inlet(self, session: int, topic: str) -> Inlet | None:
        return self._sockets.get(self.ports.get(topic, 0))

    def look(self) -> float | None:
        return None

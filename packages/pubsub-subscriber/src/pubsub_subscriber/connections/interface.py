"""The interface that the connections in `direct` and `via_broker` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_subscriber.connections.sub_socket import SubSocket

# Makes a socket that is subscribed to topics and not connected yet.
NewSubSocket = Callable[[Iterable[str]], SubSocket]


class Connections(Protocol):
    """The sockets of a subscriber. For the control thread and the user's thread, under the
    subscriber's lock."""

    def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to these topics."""

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """The broker forwards ``topic_count`` topics in all, from these ports."""

    def connect(self, publisher: PublisherInfo) -> bool:
        """Connect to a publisher. True if the receiver must be woken."""

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        """Disconnect from a publisher that has left; ``address_in_use`` if another publisher
        has its address now. True if the receiver must be woken."""

    def unsubscribe(self, topic: str) -> bool:
        """Unsubscribe from a topic. True if the receiver must be woken."""

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        """The socket for requests to a publisher about a topic."""

    def check(self) -> float | None:
        """Check whether publishers accept the connections. Returns the seconds until the next
        check."""

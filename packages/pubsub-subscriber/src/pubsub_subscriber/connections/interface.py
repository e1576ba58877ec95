"""The interface that the connections in `direct` and `via_broker` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_subscriber.connections.sub_socket import SubSocket

# Makes a socket that is subscribed to topics, and not yet connected.
NewSubSocket = Callable[[Iterable[str]], SubSocket]


class Connections(Protocol):
    """The sockets of a subscriber. For the control thread and the user's, under the
    subscriber's lock."""

    def subscribe(self, topics: Iterable[str]) -> None:
        """We want these topics."""

    def listen(self, ports: Mapping[str, TopicPort], topic_count: int) -> None:
        """The broker forwards our topics, ``topic_count`` in all, from these ports."""

    def connect(self, publisher: PublisherInfo) -> bool:
        """Connect to a publisher; True when the receiver must be woken."""

    def disconnect(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        """Disconnect from a publisher that is gone; ``address_in_use`` when another has
        taken its address over. True when the receiver must be woken."""

    def unsubscribe(self, topic: str) -> bool:
        """We want this topic no longer. True when the receiver must be woken."""

    def socket_for(self, session: int, topic: str) -> SubSocket | None:
        """The socket by which a publisher can be asked about a topic."""

    def check(self) -> float | None:
        """See whether publishers let us in; the seconds after which to look again."""

"""How a subscriber is connected to where its events come from: what the ways in `direct` and
`viabroker` have in common. Shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_subscriber.connections.sub_socket import Inlet

# Makes a socket that is subscribed to topics, and not yet connected.
NewInlet = Callable[[Iterable[str]], Inlet]


class Ways(Protocol):
    """The sockets of a subscriber. For the control thread and the user's, under the
    subscriber's lock."""

    def begin(self, names: Iterable[str]) -> None:
        """We want these topics."""

    def join(self, publisher: PublisherInfo) -> bool:
        """Connect to a publisher; True when the receiver must be woken."""

    def leave(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        """Disconnect from a publisher that is gone; ``address_in_use`` when another has
        taken its address over. True when the receiver must be woken."""

    def may_forget(self) -> bool:
        """Whether a topic can be given up."""

    def forget(self, topic: str) -> bool:
        """We want this topic no longer. True when the receiver must be woken."""

    def inlet(self, session: int, topic: str) -> Inlet | None:
        """The socket by which a publisher can be asked about a topic."""

    def look(self) -> float | None:
        """See whether publishers let us in; the seconds after which to look again."""

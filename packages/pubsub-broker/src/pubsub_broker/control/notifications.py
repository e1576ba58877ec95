"""Per-client connection and queued notifications.

Notifications (publishers that joined, left or changed) are collected for a short time, so
that many publishers that start together cost each subscriber a few messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from pubsub_broker.control.effects import Send
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.defaults import NOTIFY_DELAY_S
from pubsub_common.protocol.filter_tree import matching_topics
from pubsub_common.protocol.messages import (
    Departure,
    Farewell,
    PublisherInfo,
    PublishersChanged,
    Vouched,
    VouchedChanged,
)
from pubsub_common.protocol.wildcards import is_filter

Ports = Callable[[Iterable[str]], Mapping[str, int]]


@dataclasses.dataclass(slots=True)
class ClientConnection:
    """Connection to one client: its peer id, the pushes sent, and what waits.

    ``changed`` are publishers that the client knows already: should one of them leave
    before it is told of the change, it must still be told that it left. ``vouched`` is
    for a publisher: the keys that it may accept now.
    """

    peer: bytes
    revision: int = 0
    joined: dict[int, PublisherInfo] = dataclasses.field(default_factory=dict)
    changed: dict[int, PublisherInfo] = dataclasses.field(default_factory=dict)
    left: dict[int, Departure] = dataclasses.field(default_factory=dict)
    vouched: list[Vouched] | None = None

    def forget_pending(self) -> None:
        self.vouched = None
        self.joined.clear()
        self.changed.clear()
        self.left.clear()

    def push(self, ports: Ports) -> Send | None:
        """The queued notifications as a message; None without any. ``ports`` tells where the
        topics in it are forwarded, if the client does not know."""
        if self.vouched is not None:
            self.revision += 1
            vouched, self.vouched = self.vouched, None
            return Send(
                self.peer, VouchedChanged(revision=self.revision, vouched=vouched)
            )
        if not self.joined and not self.changed and not self.left:
            return None
        self.revision += 1
        joined = [*self.joined.values(), *self.changed.values()]
        push = PublishersChanged(
            revision=self.revision,
            joined=joined,
            left=list(self.left.values()),
            ports=dict(
                ports({topic: None for info in joined for topic in info.topics})
            ),
        )
        self.forget_pending()
        return Send(self.peer, push)


class Notifications:
    """The connections of all registered clients. ``info`` tells what a subscriber (its
    second argument) is to know of a publisher (its first), ``ports`` where topics are
    forwarded, if they are."""

    def __init__(
        self,
        registry: Registry,
        info: Callable[[Client, Client], PublisherInfo],
        ports: Ports = lambda _topics: {},
    ) -> None:
        self._registry = registry
        self._info = info
        self._ports = ports
        self._connections: dict[int, ClientConnection] = {}
        self._session_by_peer: dict[
            bytes, int
        ] = {}  # by the connection they last spoke on
        self._pending: set[int] = set()
        self.flush_at: float | None = None  # when `flush` is due

    def update_peer(self, session: int, peer: bytes) -> ClientConnection:
        """A client speaks on this connection now; returns its connection, a new one if it
        had none."""
        connection = self._connections.setdefault(session, ClientConnection(peer))
        if (
            connection.peer != peer
            and self._session_by_peer.get(connection.peer) == session
        ):
            del self._session_by_peer[connection.peer]
        connection.peer = peer
        self._session_by_peer[peer] = session
        return connection

    def get(self, session: int) -> ClientConnection | None:
        """The connection of this session."""
        return self._connections.get(session)

    def session_at(self, peer: bytes) -> int | None:
        """The session of the client that last spoke on this connection."""
        return self._session_by_peer.get(peer)

    def close(self, session: int) -> None:
        """Forget a client, and its queued notifications."""
        connection = self._connections.pop(session, None)
        if (
            connection is not None
            and self._session_by_peer.get(connection.peer) == session
        ):
            del self._session_by_peer[connection.peer]
        self._pending.discard(session)

    # Notifications

    def joined(self, publisher: Client, now: float) -> None:
        """Queue a new publisher for the subscribers of its topics."""
        for subscriber, connection in self._subscribers(publisher):
            connection.joined[publisher.session] = self._info(publisher, subscriber)
            self._schedule(subscriber.session, now)

    def changed(self, publisher: Client, now: float) -> None:
        """Queue for them what a publisher has changed."""
        for subscriber, connection in self._subscribers(publisher):
            unseen = publisher.session in connection.joined
            queue = connection.joined if unseen else connection.changed
            queue[publisher.session] = self._info(publisher, subscriber)
            self._schedule(subscriber.session, now)

    def set_vouched(
        self, publisher: Client, vouched: list[Vouched], now: float
    ) -> None:
        """Queue for a publisher which keys it may accept."""
        self._connections[publisher.session].vouched = vouched
        self._schedule(publisher.session, now)

    def left(
        self,
        publisher: Client,
        next_sequences: Mapping[str, int],
        now: float,
        *,
        revoked: bool = False,
    ) -> None:
        """Queue for them that a publisher is gone; ``revoked``: and that they must not
        listen to it any more."""
        session = publisher.session
        for subscriber, connection in self._subscribers(publisher):
            # Of its topics: the peer chose how many next_sequences there are.
            ends = {
                topic: next_sequences[topic]
                for topic in matching_topics(publisher.topics, subscriber.topics)
                if topic in next_sequences
            }
            connection.changed.pop(session, None)
            # A publisher that came and went since the last push is not told of, unless the
            # subscriber knows it from before.
            unseen = connection.joined.pop(session, None) is not None
            if not unseen or session in connection.left:
                connection.left[session] = Departure(
                    session=session, next_sequences=ends, revoked=revoked
                )
                self._schedule(subscriber.session, now)

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Send]:
        """The queued notifications: all, or only those for the subscribers of ``topics``,
        or only those for ``session``."""
        chosen = set(self._pending)
        if topics is not None:
            matching = self._registry.matching("subscriber", topics)
            chosen &= {client.session for client in matching}
        if session is not None:
            chosen &= {session}
        self._pending -= chosen
        if not self._pending:
            self.flush_at = None
        pushes = (
            self._connections[key].push(self._ports_for(key)) for key in sorted(chosen)
        )
        return [push for push in pushes if push is not None]

    def farewell(self, epoch: int) -> list[Send]:
        """A farewell to every client."""
        farewell = Farewell(epoch=epoch)
        return [
            Send(connection.peer, farewell) for connection in self._connections.values()
        ]

    def _ports_for(self, session: int) -> Ports:
        """Where topics are forwarded, for a subscriber that was not told of them when it
        registered."""
        client = self._registry.get(session)
        if client is None or not any(map(is_filter, client.topics)):
            return lambda _topics: {}
        return self._ports

    def _subscribers(
        self, publisher: Client
    ) -> Iterable[tuple[Client, ClientConnection]]:
        for subscriber in self._registry.matching("subscriber", publisher.topics):
            yield subscriber, self._connections[subscriber.session]

    def _schedule(self, session: int, now: float) -> None:
        self._pending.add(session)
        if self.flush_at is None:
            self.flush_at = now + NOTIFY_DELAY_S

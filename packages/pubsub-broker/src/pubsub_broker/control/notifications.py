"""The connections of clients, with their queued notifications.

Notifications (publishers that joined, left or changed) are collected for a short time,
so that many publishers that start together cost each subscriber a few messages. The
queue only holds the publishers. Their topics are matched with each subscriber's when
the messages are made, with limited work per turn, even for a publisher with thousands
of topics and many subscribers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping

from pubsub_broker.control.client_connection import ClientConnection, Left, own_ends
from pubsub_broker.control.effects import Send
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.defaults import NOTIFY_DELAY_S, NOTIFY_TOPICS
from pubsub_common.protocol.matching import matching_topics
from pubsub_common.protocol.messages import (
    BrokersChanged,
    Departure,
    Farewell,
    PublisherInfo,
    PublishersChanged,
    TopicPort,
    Vouched,
    VouchedChanged,
)
from pubsub_common.protocol.wildcards import is_filter

Ports = Callable[[Iterable[str]], Mapping[str, TopicPort]]


class Notifications:
    """The connections of all clients that are registered here.

    Args:
        registry: The clients of this broker.
        info: What a subscriber (second argument) needs to know of a publisher (first).
        ports: The ports that forward these topics, if the model forwards.
        brokers: The addresses of the group's brokers.
    """

    def __init__(
        self,
        registry: Registry,
        info: Callable[[Client, Client], PublisherInfo],
        ports: Ports = lambda _topics: {},
        brokers: Callable[[], list[str]] = list,
    ) -> None:
        self._brokers = brokers
        self._registry = registry
        self._info = info
        self._ports = ports
        self._connections: dict[int, ClientConnection] = {}
        self._session_by_peer: dict[bytes, int] = {}  # by their last connection
        # The sessions with queued notifications, in turn.
        self._pending: OrderedDict[int, None] = OrderedDict()
        self.flush_at: float | None = None  # when `flush` is due
        # The number of topics queued so far, summed over publishers and subscribers.
        self.queued = 0

    def update_peer(self, session: int, peer: bytes) -> ClientConnection:
        """A client now uses this connection; returns its record, a new one if it had
        none."""
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
        """The session of the client that last used this connection."""
        return self._session_by_peer.get(peer)

    def close(self, session: int) -> None:
        """Forget a client, and its queued notifications."""
        connection = self._connections.pop(session, None)
        if (
            connection is not None
            and self._session_by_peer.get(connection.peer) == session
        ):
            del self._session_by_peer[connection.peer]
        self._pending.pop(session, None)

    # Notifications

    def joined(self, publisher: Client, now: float) -> None:
        """Queue a new publisher for the subscribers of its topics."""
        for session, connection in self._subscribers(publisher):
            connection.joined[publisher.session] = publisher
            self._schedule(session, now)

    def changed(self, publisher: Client, now: float) -> None:
        """Queue the change of a publisher for its subscribers."""
        for session, connection in self._subscribers(publisher):
            unseen = publisher.session in connection.joined
            queue = connection.joined if unseen else connection.changed
            queue[publisher.session] = publisher
            self._schedule(session, now)

    def set_vouched(
        self, publisher: Client, vouched: list[Vouched], now: float
    ) -> None:
        """Queue for a publisher the keys that it may accept."""
        connection = self._connections.get(publisher.session)
        if connection is not None:
            connection.vouched = vouched
            self._schedule(publisher.session, now)

    def relocated(self, session: int, topic: str, port: TopicPort, now: float) -> None:
        """Queue for a subscriber that a topic has moved. This is due immediately, as
        the move has been delayed already."""
        connection = self._connections.get(session)
        if connection is not None:
            connection.ports[topic] = port
            self._pending[session] = None
            self.flush_at = now

    def brokers_changed(self, now: float) -> None:
        """Queue the new list of the group's brokers for all clients."""
        for session, connection in self._connections.items():
            connection.brokers = True
            self._schedule(session, now)

    def left(
        self,
        publisher: Client,
        next_sequences: Mapping[str, int],
        now: float,
        *,
        revoked: bool = False,
    ) -> None:
        """Queue the departure of a publisher; ``revoked``: subscribers must disconnect
        from it."""
        left = Left(publisher, own_ends(publisher, next_sequences), revoked)
        for session, connection in self._subscribers(publisher):
            connection.changed.pop(publisher.session, None)
            # A publisher that came and went since the last push is left out, unless the
            # subscriber knew it before.
            unseen = connection.joined.pop(publisher.session, None) is not None
            if not unseen or publisher.session in connection.left:
                connection.left[publisher.session] = left
                self._schedule(session, now)

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Send]:
        """Send queued notifications: all, or only those for the subscribers of
        ``topics``, or only those for ``session``."""
        chosen = set(self._pending)
        if topics is not None:
            matching = self._registry.matching("subscriber", topics)
            chosen &= {client.session for client in matching}
        if session is not None:
            chosen &= {session}
        pushes = [push for key in sorted(chosen) for push, _ in self._pushes(key)]
        if not self._pending:
            self.flush_at = None
        return pushes

    def flush_some(self) -> list[Send]:
        """Send as many queued notifications as one turn allows, one subscriber after
        another. `flush_at` says when the rest is due."""
        pushes: list[Send] = []
        cost = 0
        while self._pending and cost < NOTIFY_TOPICS:
            session = next(iter(self._pending))
            for push, push_cost in self._pushes(session):
                pushes.append(push)
                cost += push_cost
                if session in self._pending:
                    self._pending.move_to_end(session)
                    break
        if not self._pending:
            self.flush_at = None
        return pushes

    def farewell(self) -> list[Send]:
        """A farewell to every client."""
        return [
            Send(connection.peer, Farewell())
            for connection in self._connections.values()
        ]

    # Private

    def _pushes(self, session: int) -> Iterator[tuple[Send, int]]:
        """The queued changes of a client, in messages of a few topics each, with the
        cost of making each message. The client is off the queue when the last message
        is made."""
        connection = self._connections[session]
        for push in _small_pushes(connection, self._brokers):
            self._settle(session)
            yield Send(connection.peer, push), 1
        client = self._registry.get(session)
        if client is None:
            connection.forget_pending()
        while client is not None and connection.waits:
            yield self._push(client, connection)
        self._settle(session)

    def _push(self, client: Client, connection: ClientConnection) -> tuple[Send, int]:
        """Some of the queued changes of a subscriber."""
        joined: list[PublisherInfo] = []
        left: list[Departure] = []
        moved, connection.ports = connection.ports, {}
        cost = len(client.topics) + len(moved)
        while connection.waits and cost < NOTIFY_TOPICS:
            # Departures come first: a publisher that has returned is among the joined
            # ones, too.
            if connection.left:
                each = connection.left.pop(next(iter(connection.left)))
                left.append(_departure(each, client))
                cost += 1 + len(each.next_sequences)
                continue
            queue = connection.joined or connection.changed
            publisher = queue.pop(next(iter(queue)))
            joined.append(self._info(publisher, client))
            cost += 1 + len(publisher.topics)
        self._settle(client.session)
        topics = {topic: None for info in joined for topic in info.topics}
        push = PublishersChanged(
            revision=connection.next_revision(),
            joined=joined,
            left=left,
            ports={**moved, **self._ports_for(client)(topics)},
        )
        return Send(connection.peer, push), cost

    def _settle(self, session: int) -> None:
        """Forget a client without queued notifications."""
        connection = self._connections.get(session)
        if connection is None or connection.idle:
            self._pending.pop(session, None)

    def _ports_for(self, client: Client) -> Ports:
        """The ports of topics, for a subscriber that did not get them when it
        registered."""
        if not any(map(is_filter, client.topics)):
            return lambda _topics: {}
        return self._ports

    def _subscribers(self, publisher: Client) -> Iterable[tuple[int, ClientConnection]]:
        for session, topics in self._registry.subscribed(publisher.topics).items():
            self.queued += 1 + topics
            # A client that the engine has restored may not have reported its connection
            # yet.
            connection = self._connections.get(session)
            if connection is not None:
                yield session, connection

    def _schedule(self, session: int, now: float) -> None:
        self._pending[session] = None
        if self.flush_at is None:
            self.flush_at = now + NOTIFY_DELAY_S


def _departure(left: Left, subscriber: Client) -> Departure:
    publisher, ends = left.publisher, left.next_sequences
    if ends:
        common = matching_topics(publisher.topics, subscriber.topics)
        ends = {topic: ends[topic] for topic in common if topic in ends}
    return Departure(
        session=publisher.session, next_sequences=dict(ends), revoked=left.revoked
    )


def _small_pushes(
    connection: ClientConnection, brokers: Callable[[], list[str]]
) -> Iterator[VouchedChanged | BrokersChanged]:
    if connection.vouched is not None:
        vouched, connection.vouched = connection.vouched, None
        revision = connection.next_revision()
        yield VouchedChanged(revision=revision, vouched=vouched)
    if connection.brokers:
        connection.brokers = False
        yield BrokersChanged(revision=connection.next_revision(), brokers=brokers())

"""Keeps streams, topics and connections in step with the publishers that the broker names."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol.messages import PublisherInfo, Registered
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.via_broker import BrokerConnections
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.streams.publisher_events import PublisherEvents
from pubsub_subscriber.streams.stream_table import GRACE_S, StreamTable
from pubsub_subscriber.streams.subscribed_topics import SubscribedTopics


class PublisherSync:
    """For the control thread, except `disconnect_gone`. ``updates`` are those that the
    broker has sent and `apply_updates` has yet to apply, ``epoch`` is that of the broker."""

    def __init__(
        self,
        streams: StreamTable,
        subscribed: SubscribedTopics,
        fast_path: FastPath,
        connections: Connections,
        publisher_events: PublisherEvents,
        lock: threading.Lock,
        wake: Callable[[], None],
    ) -> None:
        """``lock`` guards the streams, and that connections follow them. ``wake`` has the
        receiving thread look at everything again."""
        self.updates: deque[PublishersUpdated] = deque()
        self._streams = streams
        self._subscribed = subscribed
        self._fast_path = fast_path
        self._connections = connections
        self._broker = (
            connections if isinstance(connections, BrokerConnections) else None
        )
        self._publisher_events = publisher_events
        self._lock = lock
        self._wake = wake
        self.epoch: int | None = None

    def on_registered(self, reply: Registered) -> None:
        """The broker's full state, at each registration."""
        broker = self._broker
        with self._lock:
            self._streams.grace_s = max(GRACE_S, reply.lease_s)
            restarted = reply.epoch != self.epoch
            self.epoch = reply.epoch
            if broker is not None and restarted:
                self._streams.clear_replies()  # they came through another broker
            self._add_wildcard_topics(reply.publishers)
            if broker is None:
                self._connections.subscribe(self._subscribed)
            elif restarted:
                self._subscribed.replace(reply.ports)
                broker.listen(reply.ports)
            else:
                # A publisher that is not there at present may come back: a connection that
                # was given up meanwhile would lose events, and the others count its topics.
                broker.listen({**broker.ports, **reply.ports})
            new = self._streams.replace(
                reply.publishers, time.monotonic(), restarted=restarted
            )
            if broker is None:
                self.connect(new)
        self._wake()
        self._publisher_events.replace(reply.publishers)

    def apply_updates(self) -> None:
        """Apply what the broker has told about publishers since the last call."""
        broker = self._broker
        applied: list[PublishersUpdated] = []
        with self._lock:
            while self.updates:
                update = self.updates.popleft()
                applied.append(update)
                now = time.monotonic()
                for departure in update.left:
                    info = self._streams.publisher(departure.session)
                    self._streams.leave(departure, now)
                    if departure.revoked and info is not None and broker is None:
                        self._connections.disconnect(info, address_in_use=False)
                for info in update.joined:
                    self._streams.join(info)
                if self._add_wildcard_topics(update.joined) or update.ports:
                    if broker is not None:
                        broker.listen({**broker.ports, **update.ports})
                    else:
                        self._connections.subscribe(self._subscribed)
                if broker is None:
                    self.connect(update.joined)
        self._wake()  # departures have deadlines, joins change readiness
        for update in applied:
            # Without the lock, which the user may need for `counts`.
            self._publisher_events.change(
                update.joined, [each.session for each in update.left]
            )

    def connect(self, publishers: Iterable[PublisherInfo]) -> None:
        """Connect to publishers. The caller holds the lock."""
        for info in publishers:
            if self._connections.connect(info):
                self._wake()

    def check_connections(self) -> float | None:
        """Retry connections where it is time; the seconds after which to call again."""
        with self._lock:
            return self._connections.check()

    def disconnect_gone(self, gone: list[PublisherInfo]) -> bool:
        """End the connections to publishers, and give up topics that were there by a
        wildcard, if nobody publishes them any more. True when events may have arrived
        meanwhile. The caller holds the lock."""
        arrived = False
        for info in gone:
            if info.address:
                in_use = self._streams.address_in_use(info.address)
                arrived |= self._connections.disconnect(info, address_in_use=in_use)
        if self._connections.may_unsubscribe():
            for topic in {topic for info in gone for topic in info.topics}:
                if self._streams.published(topic):
                    continue
                if self._subscribed.remove(topic):
                    self._fast_path.remove(topic)
                    arrived |= self._connections.unsubscribe(topic)
        return arrived

    def _add_wildcard_topics(self, publishers: Iterable[PublisherInfo]) -> bool:
        """Take in topics that a wildcard of ours stands for; True when one is new."""
        new = self._subscribed.add_of(publishers)
        for topic in new:
            self._fast_path.add(topic)
        return bool(new)

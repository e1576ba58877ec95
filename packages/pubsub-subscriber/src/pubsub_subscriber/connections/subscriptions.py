"""The subscriptions of one SUB socket: to events, ready topics, positions and shared memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import zmq

from pubsub_common.protocol.events import (
    ATTEMPTS,
    ReadyRequest,
    ready_topic,
    topic_prefix,
)
from pubsub_common.protocol.local_lane import (
    REFERENCES,
    narrow_prefixes,
    narrow_subscription,
    reads_subscription,
)
from pubsub_common.protocol.recovery_messages import position_prefix


class Subscriptions:
    """The callers hold the socket's lock.

    ``on_change`` is called when the first ready topic may be another one, before the old one is
    removed. ``positions``: subscribe to the positions of the publishers too.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        session: int,
        on_change: Callable[[], None],
        *,
        positions: bool = False,
    ) -> None:
        self._socket = socket
        self._session = session
        self._on_change = on_change
        self._positions = positions
        # The ready topic of each topic, as it was requested last.
        self.ready_requests: dict[str, ReadyRequest] = {}
        self.total_topics = 0
        # It subscribes new topics to the usual forms of frames alone, and reads the memory of
        # these publishers, by session.
        self.is_narrow = False
        self.reads: set[int] = set()
        # Topics with a subscription to all forms.
        self.wide: dict[str, None] = {}

    def first_ready_topic(self) -> bytes | None:
        """A topic to which the socket subscribes, if there is one."""
        ready = next(iter(self.ready_requests.values()), None)
        return None if ready is None else ready_topic(*ready)

    # Topics

    def add(self, topics: Iterable[str], total_topics: int) -> None:
        """Subscribe to more topics, and then to their ready topics."""
        new = [topic for topic in topics if topic not in self.ready_requests]
        self.total_topics = total_topics
        if total_topics:  # else a new publisher would take these for all topics
            asked = self.ready_requests.items()
            self.repeat_ready_requests([t for t, was in asked if not was.topics])
        for topic in new:
            self._subscribe(topic)
            if self._positions:
                self._socket.subscribe(position_prefix(topic))
        for topic in new:
            ready = ReadyRequest(topic, self._session, total_topics)
            self.ready_requests[topic] = ready
            self._socket.subscribe(ready_topic(*ready))
        self._on_change()

    def remove(self, topics: Iterable[str]) -> None:
        """Unsubscribe from these topics."""
        for topic in topics:
            ready = self.ready_requests.pop(topic, None)
            if ready is not None:
                self._socket.unsubscribe(ready_topic(*ready))
                self._unsubscribe(topic)
                if self._positions:
                    self._socket.unsubscribe(position_prefix(topic))
        self._on_change()

    def repeat_ready_requests(self, topics: Collection[str]) -> None:
        """Repeat the ready requests of these topics that are here. The new request differs, and
        the old one is removed last, so that there is always one."""
        for topic in topics:
            before = self.ready_requests.get(topic)
            if before is None:
                continue
            attempt = (before.attempt + 1) % ATTEMPTS
            again = before._replace(topics=self.total_topics, attempt=attempt)
            self.ready_requests[topic] = again
            self._socket.subscribe(ready_topic(*again))
            self._on_change()
            self._socket.unsubscribe(ready_topic(*before))

    # Shared memory

    def narrow(self, publishers: Collection[int]) -> None:
        """Receive references, and read the memory of these publishers. `drop_wide` comes
        later."""
        socket, wanted = self._socket, set(publishers)
        if not self.is_narrow:
            self.is_narrow = True
            # First, because the answer to the next one is a reference.
            socket.subscribe(REFERENCES)
            socket.subscribe(narrow_subscription(self._session))
            for topic in self.ready_requests:
                self._subscribe(topic)
        for publisher in wanted - self.reads:
            socket.subscribe(reads_subscription(self._session, publisher))
        for publisher in self.reads - wanted:
            socket.unsubscribe(reads_subscription(self._session, publisher))
        self.reads = wanted

    def drop_wide(self) -> None:
        """No publisher sends events in other forms alone any more, and none is on its way:
        libzmq would drop it here too."""
        for topic in self.wide:
            self._socket.unsubscribe(topic_prefix(topic))
        self.wide.clear()

    def widen(self) -> None:
        """The opposite of `narrow`. It still receives references, which may be on their way."""
        socket, self.is_narrow = self._socket, False
        for topic in self.ready_requests:
            if topic not in self.wide:
                self._subscribe(topic)
            for prefix in narrow_prefixes(topic):
                socket.unsubscribe(prefix)
        socket.unsubscribe(narrow_subscription(self._session))
        for publisher in self.reads:
            socket.unsubscribe(reads_subscription(self._session, publisher))
        self.reads = set()

    def _subscribe(self, topic: str) -> None:
        """Subscribe to the events of a topic."""
        if self.is_narrow:
            for prefix in narrow_prefixes(topic):
                self._socket.subscribe(prefix)
        else:
            self._socket.subscribe(topic_prefix(topic))
            self.wide[topic] = None

    def _unsubscribe(self, topic: str) -> None:
        if self.is_narrow:
            for prefix in narrow_prefixes(topic):
                self._socket.unsubscribe(prefix)
        if topic in self.wide:
            del self.wide[topic]
            self._socket.unsubscribe(topic_prefix(topic))

"""Calls the core, and performs what it asks for.

The control thread and the user's share this, and the core behind it. One lock guards both, and
that connections follow what the core knows. It is taken before a socket's. No call of the user's
and no log call is made while it is held: losses wait in a queue until `report`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from typing import Any

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol.messages import Model, PublisherInfo, Registered
from pubsub_common.protocol.sequence import Counts, Gap
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket, is_interrupt
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.effects import (
    Connect,
    Deliver,
    Disconnect,
    Effect,
    Listen,
    Lost,
    Malformed,
    NoHistory,
    PublisherJoined,
    PublisherLeft,
    Request,
    Subscribe,
    Unsubscribe,
    Withdraw,
)

_log = logging.getLogger(__name__)

OnPublisher = Callable[[PublisherInfo, bool], None]


class Performer:
    """The core of a subscriber, with its lock and its connections.

    ``due_at`` is when `tick` has something to do at the latest (time.monotonic), None:
    never; ``urgent_at`` the same while not all that arrived was looked at. Any thread may
    read them.
    """

    def __init__(
        self,
        core: SubscriberCore,
        sockets: SocketSet,
        new_connections: Callable[[Model], Connections],
        *,
        on_gap: Callable[[Gap], None] | None = None,
        on_publisher: OnPublisher | None = None,
    ) -> None:
        self.core = core
        self.due_at: float | None = None
        self.urgent_at: float | None = None
        self._lock = threading.Lock()
        self.sockets = sockets
        self._new_connections = new_connections
        self._connections: Connections | None = None
        self._model: Model | None = None
        self._on_gap = on_gap
        self._on_publisher = on_publisher
        self._updates: deque[PublishersUpdated] = deque()
        # What users and logs are told without the lock: by the control thread, and by the
        # user's.
        self._publisher_news: deque[PublisherJoined | PublisherLeft] = deque()
        self._news: deque[Lost | Malformed | NoHistory] = deque()
        self._told_malformed = self._told_no_history = False

    # For the user's thread, or for one that works in its place

    def take(
        self,
        frame: bytes,
        received_ns: int,
        sub_socket: SubSocket,
        items: MutableSequence[Any],
    ) -> None:
        """A frame that is not as usual; append the events that come next to ``items``.
        Must not be cut short."""
        if is_interrupt(frame):
            return
        now = time.monotonic()
        with self._lock:
            effects = self.core.receive(frame, sub_socket, received_ns, now)
            self._perform(effects, items)

    def tick(self, items: MutableSequence[Any], *, idle: bool) -> bool:
        """Do what is due, and append the events that this frees to ``items``. ``idle``: all
        that arrived was looked at. True when there are some, or something to `report`, or some
        may have arrived meanwhile, of which the descriptors may then not tell. Must not be cut
        short."""
        now = time.monotonic()
        at = self.due_at if idle else self.urgent_at
        if at is None or (not idle and now < at):
            return False
        before = len(items)
        with self._lock:
            arrived = self._perform(self.core.tick(now, idle=idle), items)
        return arrived or len(items) > before or bool(self._news)

    @property
    def has_reports(self) -> bool:
        """Whether `report` has something to tell."""
        return bool(self._news)

    def report(self) -> None:
        """Tell the user what was lost, and the log what else was found, since the last
        call. Calls the user's function, which may raise."""
        while self._news:
            match self._news.popleft():
                case Lost(gap):
                    _log.info(
                        "lost %d events of %s (%d to %d)",
                        *(gap.count, gap.topic, gap.first, gap.last),
                    )
                    if self._on_gap is not None:
                        self._on_gap(gap)
                case Malformed(detail):
                    _log.warning(
                        "ignoring malformed event frame (further ones are counted, not "
                        "logged): %s",
                        detail,
                    )
                case NoHistory(publisher, topic):
                    _log.warning(
                        "publisher (%s) has nothing from before of topic %r: it keeps no "
                        "history, or too short a one (pubsub-publisher --history); this is "
                        "not said again",
                        *(self._address_of(publisher), topic),
                    )

    # For the control thread

    def register(self, reply: Registered) -> None:
        """The broker has registered us, again perhaps. May raise what the user's
        ``on_publisher`` does."""
        with self._lock:
            if reply.model != self._model:
                self._connect_by(reply.model)
            self._perform(self.core.register(reply, time.monotonic()), [])
        self._wake()
        self._tell_publishers()

    def update(self, update: PublishersUpdated) -> None:
        """The broker tells which publishers came and went: for `apply_updates`."""
        self._updates.append(update)

    def apply_updates(self) -> None:
        """Take in what the broker has told since the last call. May raise what the user's
        ``on_publisher`` does."""
        with self._lock:
            while self._updates:
                update = self._updates.popleft()
                effects = self.core.change_publishers(update, time.monotonic())
                self._perform(effects, [])
        self._wake()  # departures have deadlines, joins change readiness
        self._tell_publishers()

    def check_connections(self) -> float | None:
        """Retry connections where it is time; the seconds after which to call again."""
        with self._lock:
            connections = self._connections
            return None if connections is None else connections.check()

    def use(self, connections: Connections) -> None:
        """Connect by these."""
        self._connections = connections

    # For any thread

    def counts(self) -> Counts:
        """What became of all events that were decoded so far."""
        with self._lock:
            return self.core.streams.counts()

    def lost(self) -> dict[str, int]:
        """How many events of each topic are known to be lost."""
        with self._lock:
            return dict(self.core.lost)

    def awaited_replies(self) -> int:
        """How many answers of publishers are still to come before all are ready."""
        return self.core.streams.ready.awaited()

    def awaited_publishers(self) -> list[str]:
        """The publishers of which an answer is still to come, by address or session."""
        with self._lock:
            sessions = self.core.streams.ready.awaited_sessions()
            return sorted(map(self._address_of, sessions))

    def repeat_ready_requests(self) -> bool:
        """Ask again where an answer is still to come: it may have been dropped where a
        queue was full. True when events may have arrived meanwhile."""
        with self._lock:
            topics = self.core.streams.ready.awaited_topics()
        arrived = False
        for sub_socket in self.sockets.open:
            arrived |= sub_socket.repeat_ready_requests(topics)
        return arrived

    def subscribe(self) -> None:
        """Subscribe to our topics, at publishers."""
        with self._lock:
            self._perform([self.core.subscribe()], [])

    def listen(self, ports: Mapping[str, int]) -> None:
        """Listen to the broker on these ports, by topic."""
        with self._lock:
            self._perform([self.core.listen(dict(ports))], [])

    def connect(self, publishers: Iterable[PublisherInfo]) -> None:
        """Connect to publishers."""
        with self._lock:
            self._perform(list(map(Connect, publishers)), [])
        self._wake()

    def close(self) -> None:
        """Perform nothing any more: the sockets are about to be closed."""
        with self._lock:
            self._connections = None

    # Inside

    def _connect_by(self, model: Model) -> None:
        """The broker is of this model: of another one, if it was restarted so."""
        for number in self.sockets.numbers():
            self.sockets.retire(number)
        self.use(self._new_connections(model))
        self._model = model

    def _perform(self, effects: Iterable[Effect], items: MutableSequence[Any]) -> bool:
        """Perform effects. Whether events may have arrived meanwhile. The caller holds the
        lock."""
        arrived = False
        for effect in effects:
            match effect:
                case Deliver(events):
                    items.extend(events)
                case Lost():
                    self._news.append(effect)
                case Malformed():
                    if not self._told_malformed:
                        self._told_malformed = True
                        self._news.append(effect)
                case NoHistory():
                    if not self._told_no_history:
                        self._told_no_history = True
                        self._news.append(effect)
                case PublisherJoined() | PublisherLeft():
                    self._publisher_news.append(effect)
                case _:
                    if self._connections is not None:
                        arrived |= self._change(self._connections, effect)
        self.due_at = self.core.next_deadline()
        self.urgent_at = self.core.urgent_deadline()
        return arrived

    def _change(self, connections: Connections, effect: Effect) -> bool:
        """Change connections and subscriptions."""
        match effect:
            case Request(publisher, topic, raw):
                sub_socket = connections.socket_for(publisher, topic)
                # Without a connection it is asked again.
                return sub_socket is not None and sub_socket.change_subscription(
                    raw, begins=True
                )
            case Withdraw(publisher, topic, raw):
                sub_socket = connections.socket_for(publisher, topic)
                return sub_socket is not None and sub_socket.change_subscription(
                    raw, begins=False
                )
            case Connect(publisher):
                return connections.connect(publisher)
            case Disconnect(publisher, in_use):
                return connections.disconnect(publisher, address_in_use=in_use)
            case Subscribe(topics):
                connections.subscribe(topics)
            case Unsubscribe(topic):
                return connections.unsubscribe(topic)
            case Listen(ports, topic_count):
                connections.listen(ports, topic_count)
        return False

    def _tell_publishers(self) -> None:
        while self._publisher_news:
            news = self._publisher_news.popleft()
            if self._on_publisher is not None:
                joined = isinstance(news, PublisherJoined)
                self._on_publisher(news.publisher, joined)

    def _address_of(self, session: int) -> str:
        info = self.core.streams.publisher(session)
        known = None if info is None else info.address
        return known or f"session {session}"

    def _wake(self) -> None:
        self.sockets.wake()

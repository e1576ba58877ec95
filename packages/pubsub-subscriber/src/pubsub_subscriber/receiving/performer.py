"""Calls the core, and performs what it asks for.

The control thread and the user's share this, and the core behind it. One lock guards both, and
that connections follow what the core knows. It is taken before a socket's. No call of the user's
and no log call is made while it is held: what is for them waits in `reports`. The main thread,
where signal handlers run, never holds it (`pubsub_common.uninterrupted`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol.messages import Model, PublisherInfo, Registered
from pubsub_common.protocol.sequence import Counts, Gap
from pubsub_subscriber.connections.changes import change
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.interrupter import is_interrupt
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving.reports import PublisherReports, ReceptionReports
from pubsub_subscriber.streams.effects import (
    Deliver,
    Effect,
    Jumped,
    Lost,
    Malformed,
    NoHistory,
    OwnerIdle,
    PublisherJoined,
    PublisherLeft,
)
from pubsub_subscriber.streams.repetition import Repetition


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
        on_publisher: Callable[[PublisherInfo, bool], None] | None = None,
    ) -> None:
        self.core = core
        self.due_at: float | None = None
        self.urgent_at: float | None = None
        self._lock = threading.Lock()
        self.sockets = sockets
        self._new_connections = new_connections
        self._connections: Connections | None = None
        self._model: Model | None = None
        self.repetition = Repetition()
        self._updates: deque[PublishersUpdated] = deque()
        self.reports = ReceptionReports(on_gap)
        self._publisher_reports = PublisherReports(on_publisher)

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
        that arrived was looked at. True when there are some, or some `reports`, or some
        may have arrived meanwhile, of which the descriptors may then not tell. Must not be cut
        short."""
        now = time.monotonic()
        at = self.due_at if idle else self.urgent_at
        if at is None or (not idle and now < at):
            return False
        before = len(items)
        with self._lock:
            arrived = self._perform(self.core.tick(now, idle=idle), items)
        return arrived or len(items) > before or bool(self.reports)

    # For the control thread

    def register(self, reply: Registered) -> None:
        """The broker has registered us, again perhaps. May raise what the user's
        ``on_publisher`` does."""
        with self._lock:
            if reply.model != self._model:
                self._connect_by(reply.model)
            self._perform(self.core.register(reply, time.monotonic()), [])
        self.sockets.wake()
        self._publisher_reports.tell()

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
        self.sockets.wake()  # departures have deadlines, joins change readiness
        self._publisher_reports.tell()

    def check_connections(self) -> float | None:
        """Retry connections where it is time, and ask publishers again that have not answered;
        the seconds after which to call again."""
        with self._lock:
            connections = self._connections
            due_s = None if connections is None else connections.check()
        if self.ask_again(looked=False):
            self.sockets.wake()
        at = self.repetition.at
        times = due_s, None if at is None else max(0.0, at - time.monotonic())
        return min((each for each in times if each is not None), default=None)

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
            return sorted(map(self.core.streams.name_of, sessions))

    def ask_again(self, *, looked: bool) -> bool:
        """If it is time, ask again where an answer is still to come. ``looked``: all that
        arrived was looked at. Else only sockets are asked by at which nothing waits: the
        answers may be there, and nobody receives. True when events may have arrived
        meanwhile."""
        with self._lock:
            ready = self.core.streams.ready
            if not self.repetition.is_due(ready.awaited(), time.monotonic()):
                return False
            topics = ready.awaited_topics()
        arrived = False
        for sub_socket in self.sockets.open:
            if looked or sub_socket.attended:
                arrived |= sub_socket.repeat_ready_requests(topics)
            else:
                arrived = True
                self.repetition.put_off(time.monotonic())
        return arrived

    def perform(self, effects: Callable[[SubscriberCore], Iterable[Effect]]) -> None:
        """Perform what ``effects`` asks of the core. Must not be cut short."""
        with self._lock:
            self._perform(effects(self.core), [])
        self.sockets.wake()

    def close(self) -> None:
        """Perform nothing any more: the sockets are about to be closed."""
        with self._lock:
            self._connections = None

    # Inside

    def _connect_by(self, model: Model) -> None:
        """The broker is of this model: of another one, if it was restarted so."""
        for key in self.sockets.open_keys():
            self.sockets.retire(key)
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
                case Lost() | Malformed() | Jumped() | NoHistory() | OwnerIdle():
                    self.reports.add(effect)
                case PublisherJoined() | PublisherLeft():
                    self._publisher_reports.add(effect)
                case _:
                    if self._connections is not None:
                        arrived |= change(self._connections, effect)
        self.due_at = self.core.next_deadline()
        self.urgent_at = self.core.urgent_deadline()
        return arrived

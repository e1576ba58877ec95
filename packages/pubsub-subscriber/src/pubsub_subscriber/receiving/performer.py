"""Calls the core, and performs its effects.

The control thread and the user's thread share this and the core. One lock guards both, and
the connections. It is taken before a socket's lock. The user's functions and the log are not
called while it is held: their data waits in `reports`. The main thread, where signal handlers
run, never holds it (`pubsub_common.uninterrupted`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.earliest import earliest
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

    ``due_at`` is when `tick` has work at the latest (time.monotonic), None: never;
    ``urgent_at`` the same while arrivals are not all checked. Any thread may read them.
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

    # For the user's thread, or a thread that works for it

    def take(
        self,
        frame: bytes,
        received_ns: int,
        sub_socket: SubSocket,
        items: MutableSequence[Any],
    ) -> None:
        """Process an unusual frame; append the next events to ``items``. Must not be
        interrupted."""
        if is_interrupt(frame):
            return
        now = time.monotonic()
        with self._lock:
            effects = self.core.receive(frame, sub_socket, received_ns, now)
            self._perform(effects, items)

    def tick(self, items: MutableSequence[Any], *, idle: bool) -> bool:
        """Do the due work, and append the events that become deliverable to ``items``.
        ``idle``: all arrivals were checked. True if there are events or `reports`, or if
        events may have arrived meanwhile that the descriptors no longer signal. Must not
        be interrupted."""
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
        """The broker has registered this subscriber, the first time or again. Raises the
        errors of the user's ``on_publisher``."""
        with self._lock:
            if reply.model != self._model:
                self._connect_by(reply.model)
            self._perform(self.core.register(reply, time.monotonic()), [])
        self.sockets.wake()
        self._publisher_reports.tell()

    def update(self, update: PublishersUpdated) -> None:
        """The broker reports publishers that came and left; for `apply_updates`."""
        self._updates.append(update)

    def apply_updates(self) -> None:
        """Apply the broker's reports since the last call. Raises the errors of the user's
        ``on_publisher``."""
        with self._lock:
            while self._updates:
                update = self._updates.popleft()
                effects = self.core.change_publishers(update, time.monotonic())
                self._perform(effects, [])
        self.sockets.wake()  # departures have deadlines, joins change readiness
        self._publisher_reports.tell()

    def check_connections(self) -> float | None:
        """Retry connections that are due, and repeat unanswered requests to publishers.
        Returns the seconds until the next call."""
        with self._lock:
            connections = self._connections
            due_s = None if connections is None else connections.check()
        if self.ask_again(looked=False):
            self.sockets.wake()
        at = self.repetition.at
        again_s = None if at is None else max(0.0, at - time.monotonic())
        return earliest(due_s, again_s)

    def use(self, connections: Connections) -> None:
        """Use these connections."""
        self._connections = connections

    # For any thread

    def counts(self) -> Counts:
        """Numbers of all events that were decoded so far."""
        with self._lock:
            return self.core.streams.counts()

    def lost(self) -> dict[str, int]:
        """Number of lost events of each topic."""
        with self._lock:
            return dict(self.core.lost)

    def awaited_replies(self) -> int:
        """Number of publishers' replies that are missing before all are ready."""
        return self.core.streams.ready.awaited()

    def awaited_publishers(self) -> list[str]:
        """The publishers with a missing reply, by address or session."""
        with self._lock:
            sessions = self.core.streams.ready.awaited_sessions()
            return sorted(map(self.core.streams.name_of, sessions))

    def ask_again(self, *, looked: bool) -> bool:
        """If it is time, repeat requests without a reply. ``looked``: all arrivals were
        checked. Else only sockets are used at which nothing waits: the replies may be
        there, and no thread receives. True if events may have arrived meanwhile."""
        with self._lock:
            ready = self.core.streams.ready
            if not self.repetition.is_due(ready.awaited(), time.monotonic()):
                return False
            topics = ready.awaited_topics()
        arrived = asked = False
        for sub_socket in self.sockets.open:
            if looked or sub_socket.attended:
                arrived |= sub_socket.repeat_ready_requests(topics)
                asked = True
            else:
                arrived = True
        if not asked:
            self.repetition.put_off(time.monotonic())
        return arrived

    def perform(self, effects: Callable[[SubscriberCore], Iterable[Effect]]) -> None:
        """Perform effects of the core. Must not be interrupted."""
        with self._lock:
            self._perform(effects(self.core), [])
        self.sockets.wake()

    def close(self) -> None:
        """Perform nothing more: the sockets are about to be closed."""
        with self._lock:
            self._connections = None

    # Inside

    def _connect_by(self, model: Model) -> None:
        """The broker has this model: another one, if it was restarted so."""
        for key in self.sockets.open_keys():
            self.sockets.retire(key)
        self.use(self._new_connections(model))
        self._model = model

    def _perform(self, effects: Iterable[Effect], items: MutableSequence[Any]) -> bool:
        """Perform effects. Returns whether events may have arrived meanwhile. The caller
        holds the lock."""
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

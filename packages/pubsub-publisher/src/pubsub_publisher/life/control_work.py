"""The work of a publisher's control thread apart from the control connection: it serves the
data socket and performs the effects of the core."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Final

from pubsub_common.client.session_updates import Accepted, DemandUpdated
from pubsub_common.earliest import earliest
from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.protocol.local_lane import encode_reference, reference_head
from pubsub_common.shared_memory.samples import PROBE
from pubsub_publisher.core import (
    AcceptClients,
    Effect,
    EndConnection,
    InvalidSubscription,
    PublisherCore,
    ReadyChanged,
    RefuseEvents,
)
from pubsub_publisher.sending.slow_subscribers import SlowSubscribers
from pubsub_publisher.sending.stall_log import StallLog

if TYPE_CHECKING:
    from pubsub_common.client.session_updates import SessionUpdate
    from pubsub_publisher.security.authenticator import Authenticator
    from pubsub_publisher.sending.event_socket import EventSocket
    from pubsub_publisher.subscribers.local_subscribers import LocalSubscribers
    from pubsub_publisher.topics.topic_set import TopicSet

_log = logging.getLogger(__name__)

# How soon an answer is tried again for which there was no room.
_ANSWER_S: Final = 0.02


class ControlWork:
    """For the control thread. ``ready_changed`` is called when the ready subscribers have
    changed. No lock is held during log calls and callbacks."""

    def __init__(
        self,
        core: PublisherCore,
        events: EventSocket,
        authenticator: Authenticator | None,
        topics: TopicSet,
        ready_changed: Callable[[], None],
    ) -> None:
        self._core = core
        self._events = events
        self._authenticator = authenticator
        self._topics = topics
        self._ready_changed = ready_changed
        self._stall_log = StallLog()
        self._slow_subscribers = SlowSubscribers(events)
        self._throttle = LogThrottle()
        self._answered_arrivals = 0

    def serve(self) -> float | None:
        """Serve the data socket, and log a stall. Returns the seconds until the next call."""
        effects: list[Effect] = []
        again_s = self._events.serve(effects)
        self._perform(effects)
        now = time.monotonic()
        for due_s in (self._slow_subscribers.look(now), self._share_memory(now)):
            again_s = earliest(again_s, due_s)
        if not self._events.waiting:
            return again_s
        published = sum(self._topics.published().values())
        check_s = self._stall_log.check(published, self._events.port, time.monotonic())
        return earliest(again_s, check_s)

    def _share_memory(self, now: float) -> float | None:
        """As `LocalLane.work`, once there is a subscriber that shares memory."""
        local, events = self._core.local, self._events
        if local is None:
            return None
        again_s = self._answer_arrivals(local)
        if events.lane is None:
            if not local.wanted:
                return again_s
            # With the extra, and only now: it takes time and memory.
            from pubsub_publisher.sending.local_lane import LocalLane

            events.lane = LocalLane(events, local)
        return earliest(again_s, events.lane.work(now))

    def _answer_arrivals(self, local: LocalSubscribers) -> float | None:
        """Tell new narrow subscribers and readers that they are known, and make them look for
        memory. Returns the seconds until the next call."""
        arrivals = local.arrivals
        if arrivals == self._answered_arrivals or self._core.session < 0:
            return None
        head = reference_head(self._core.session)
        if not self._events.tell(encode_reference(head, PROBE, ())):
            return _ANSWER_S
        self._answered_arrivals = arrivals
        return None

    def update(self, update: SessionUpdate) -> None:
        """Apply an update from the broker."""
        guard = self._events.port_guard
        if guard is not None:
            match update:
                case Accepted(reply) if reply.demand is not None:
                    guard.meet(reply.demand)
                case DemandUpdated(demand):
                    guard.meet(demand)
        self._perform(self._core.update(update))

    def _perform(self, effects: Iterable[Effect]) -> None:
        changed = False
        for effect in effects:
            match effect:
                case ReadyChanged():
                    changed = True
                case AcceptClients(vouched):
                    if self._authenticator is not None:
                        self._authenticator.update(vouched)
                case RefuseEvents():
                    self._events.refuse_events()
                    changed = True
                case EndConnection(origin):
                    self._log_ended(origin)
                case InvalidSubscription():
                    _log.warning("ignoring invalid subscription message (logged once)")
        if changed:
            self._ready_changed()

    def _log_ended(self, origin: Hashable) -> None:
        remote = getattr(origin, "remote", ("?", 0))
        if self._throttle.allows(group_of(remote[0]), time.monotonic()):
            _log.warning(
                "disconnected %s:%s: it asks for missing events and does not read them, "
                "while others wait for theirs",
                *remote,
            )

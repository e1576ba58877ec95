"""The subscriber's core: takes frames, the broker's updates and times, and returns effects.

Theory of operation
-------------------

Most frames are the next event of a known stream. The receiving thread decodes those itself
(`pubsub_subscriber.receiving.fast_path`): it looks up their topic in `topics` and their
stream in `trackers`, and advances the tracker's expected number. It passes every other frame
to `receive`: the first event of a stream, one that comes too early or again, a publisher's
reply, other bytes.

The broker's updates go to `register` and `change_publishers`. `tick` does the work that is
due. All of them return effects (`pubsub_subscriber.streams.effects`), which the shell
performs in order before its next call. The caller makes sure that one thread at a time calls.

The core has no socket, thread, lock or clock. Times are seconds of one monotonic clock,
except time stamps of events, which are nanoseconds of the clock that was named at the
registration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.defaults import RECOVER_BYTES
from pubsub_common.earliest import earliest
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Model, Registered
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.streams.connection import Connection, check_sender
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.effects import (
    Deliver,
    Effect,
    Lost,
    Malformed,
    NoHistory,
    OwnerIdle,
)
from pubsub_subscriber.streams.frames import (
    Frame,
    Position,
    RecoveryReply,
    read_frame,
)
from pubsub_subscriber.streams.lost_counts import count_lost
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.sources import Sources
from pubsub_subscriber.streams.stream_table import StreamTable
from pubsub_subscriber.streams.subscribed_topics import SubscribedTopics
from pubsub_subscriber.streams.trackers import Key


class SubscriberCore:
    """All decisions of a subscriber.

    ``session`` is its own, -1 before it has one. ``lost`` counts lost events by topic, for at
    most `MAX_TOPICS_PER_CLIENT` topics; ``malformed_count`` counts ignored frames.
    """

    def __init__(
        self,
        topics: Sequence[str] = (),
        *,
        recover_timeout_s: float | None = None,
        max_held: int = 1,
        held_bytes: int = RECOVER_BYTES,
        from_start: bool = False,
        grace_s: float = GRACE_S,
    ) -> None:
        """``topics`` are topics and wildcards. With a ``recover_timeout_s`` missing events
        are requested, and count as lost after that time. Then at most ``max_held`` events
        of a stream, and ``held_bytes`` of all, wait for earlier ones, and with
        ``from_start`` streams begin with the oldest event of their publisher."""
        self.session = -1
        self.lost: dict[str, int] = {}
        self.malformed_count = 0
        self.topics = SubscribedTopics(topics)
        self.streams = StreamTable(grace_s)
        self.trackers = self.streams.trackers
        self.sources = Sources(self.topics, self.streams)
        self._recovery: Recovery | None = None
        if recover_timeout_s is not None:
            self._recovery = Recovery(
                self.session,
                recover_timeout_s,
                max_held=max_held,
                held_bytes=held_bytes,
                from_start=from_start,
            )

    # Frames

    def receive(
        self, frame: bytes, connection: Connection, received_ns: int, now: float
    ) -> list[Effect]:
        """A frame from ``connection`` at ``received_ns``."""
        items: list[Event] = []
        try:
            found = read_frame(
                frame,
                self.topics.by_event,
                received_ns,
                recovering=self._recovery is not None,
            )
            check_sender(found.session, connection, self.streams)
            if isinstance(found, Position) and found.ready:
                # The path works, with any number.
                self.streams.ready.receive(found.session, found.topic)
            jumps = self.streams.jumps(found.session, found.topic, found.sequence)
        except ProtocolError as error:
            self.malformed_count += 1
            return [Malformed(str(error))]
        if jumps:
            self.malformed_count += 1
            return self._end_stream(found.session, found.topic)
        idle: list[OwnerIdle] = []
        if isinstance(found, Event | Batch):
            idle = self.streams.watch_owner(found.session, found.topic, now)
        known = self.trackers.get((found.session, found.topic))
        before = 0 if known is None else known.duplicated
        gaps = self._take(found, now, items)
        if known is not None and connection.repeats(found.session):
            known.duplicated = before
        gaps += self.streams.close_surplus(self._abandoning(items))
        return [*idle, *self._effects(items, gaps)]

    def _take(self, found: Frame, now: float, items: list[Event]) -> list[Gap]:
        match found:
            case Event():
                return self._observe(found, now, items)
            case Batch():
                return [
                    gap for event in found for gap in self._observe(event, now, items)
                ]
            case Position():
                return self._reach(found, now, items)
            case RecoveryReply(request, batch):
                assert self._recovery is not None, "only then it is read"
                return self._recovery.on_reply(request, batch, now, items)

    def _observe(self, event: Event, now: float, items: list[Event]) -> list[Gap]:
        """Count an event. It is delivered unless it is a duplicate, must wait for earlier
        events, or is skipped."""
        session, topic, number = event.session, event.topic, event.sequence
        if self._is_skipped(session, topic, number + 1):
            return []
        tracker = self.streams.tracker(session, topic)
        tracker.publisher = event.publisher
        if self._recovery is not None:
            self._recovery.on_event(tracker, event, now, items)
            return []
        before = tracker.duplicated
        gap = tracker.observe(number)
        if tracker.duplicated == before:
            items.append(event)
        return [] if gap is None else [gap]

    def _reach(self, position: Position, now: float, items: list[Event]) -> list[Gap]:
        """Process the position of a publisher."""
        session, topic, sequence = position.session, position.topic, position.sequence
        if self._is_skipped(session, topic, sequence):
            return []
        tracker = self.streams.tracker(session, topic)
        if self._recovery is not None:
            self._recovery.on_position(tracker, sequence, now, items)
            return []
        gap = tracker.expect(sequence)
        return [] if gap is None else [gap]

    def _is_skipped(self, session: int, topic: str, sequence: int) -> bool:
        recovery = self._recovery
        if recovery is not None and recovery.has_gap((session, topic)):
            return False
        return self.streams.skip(session, topic, sequence)

    # Time

    def next_deadline(self) -> float | None:
        """When `tick` has work at the latest."""
        recovery = self._recovery
        return earliest(
            self.streams.departures.next_deadline(),
            None if recovery is None else recovery.next_deadline(),
        )

    def urgent_deadline(self) -> float | None:
        """The same, while arrivals are not all checked."""
        return None if self._recovery is None else self._recovery.next_deadline()

    def tick(self, now: float, *, idle: bool) -> list[Effect]:
        """Do the due work. ``idle``: all arrivals were checked. Otherwise an elapsed time
        proves little, but missing events are still requested again, and count as lost in
        the end."""
        recovery = self._recovery
        items: list[Event] = []
        if recovery is not None and idle:
            for tracker, end in self.streams.departures.unfinished():
                recovery.on_position(tracker, end, now, items)
        gaps = [] if recovery is None else recovery.poll(now, items, idle=idle)
        if not idle:
            return self._effects(items, gaps)
        gone, lost = self.streams.finish_departed(now, self._abandoning(items))
        gaps += lost
        return [*self._effects(items, gaps), *self.sources.drop(gone)]

    # What the broker tells

    @property
    def model(self) -> Model | None:
        """The broker's model; None before it is known."""
        return self.sources.model

    def register(self, reply: Registered, now: float) -> list[Effect]:
        """The broker's full state, at each registration."""
        self.use_session(reply.session)
        return self.sources.register(reply, now)

    def use_session(self, session: int) -> None:
        """Set this subscriber's session, which publishers' replies contain."""
        self.session = session
        if self._recovery is not None:
            self._recovery.session = session

    def change_publishers(self, update: PublishersUpdated, now: float) -> list[Effect]:
        """The broker's report on publishers that have joined or left."""
        jumps: list[Effect] = []
        for departure in update.left:
            session = departure.session
            for topic, end in departure.next_sequences.items():
                tracker = self.trackers.get((session, topic))
                if tracker is not None and tracker.jumps_to(end):
                    jumps += self._end_stream(session, topic)
        return [*jumps, *self.sources.change(update, now)]

    # Inside

    def _end_stream(self, session: int, topic: str) -> list[Effect]:
        """A stream jumps in its numbers: deliver its held events, and ignore all later ones."""
        items: list[Event] = []
        gaps = self._abandoning(items)((session, topic))
        return [*self._effects(items, gaps), self.streams.end(session, topic)]

    def _abandoning(self, items: list[Event]) -> Callable[[Key], list[Gap]]:
        """A function that ends a stream without further events."""
        recovery = self._recovery
        return lambda key: [] if recovery is None else recovery.abandon(key, items)

    def _effects(self, items: list[Event], gaps: Iterable[Gap]) -> list[Effect]:
        """The effects for lost events, deliveries and requests."""
        effects: list[Effect] = []
        for gap in gaps:
            count_lost(self.lost, gap)
            effects.append(Lost(gap))
        if items:
            effects.append(Deliver(items))
        recovery = self._recovery
        if recovery is not None and recovery.effects:
            effects += recovery.effects
            recovery.effects = []
        while recovery is not None and recovery.without_history:
            session, topic = recovery.without_history.pop()
            effects.append(NoHistory(self.streams.name_of(session), topic))
        return effects

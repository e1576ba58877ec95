"""The subscriber's core: frames, news of the broker and times in, effects out.

Theory of operation
-------------------
Most frames are the next event of a stream that is known. The receiving thread decodes those by
itself (`pubsub_subscriber.receiving.fast_path`): it looks their topic up in `topics`, their stream
in `trackers`, and advances the number that the tracker expects. Every other frame it hands to
`receive`: the first event of a stream, one that comes too soon or again, an answer of a
publisher, garbage.

What the broker tells goes to `register` and `change_publishers`. What is due at some time is
done by `tick`. All of them return effects (`pubsub_subscriber.streams.effects`), which the shell
performs in order before it calls again. The caller sees to it that one thread at a time calls.

The core has no socket, thread, lock or clock. Times are seconds of one monotonic clock, but
those in events, which are nanoseconds of the clock that was named at the registration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.defaults import RECOVER_BYTES
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Model, PublisherInfo, Registered
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.streams.connection import Connection, check_sender
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.effects import (
    Connect,
    Deliver,
    Disconnect,
    Effect,
    Listen,
    Lost,
    Malformed,
    NoHistory,
    OwnerIdle,
    Subscribe,
    Unsubscribe,
)
from pubsub_subscriber.streams.frames import (
    Frame,
    Position,
    RecoveryReply,
    read_frame,
)
from pubsub_subscriber.streams.lost_counts import count_lost
from pubsub_subscriber.streams.present_publishers import PresentPublishers
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.stream_table import StreamTable
from pubsub_subscriber.streams.subscribed_topics import SubscribedTopics
from pubsub_subscriber.streams.trackers import Key


class SubscriberCore:
    """Everything a subscriber decides.

    ``session`` is its own, -1 before it has one. ``model`` is its broker's, None before it is
    known. ``lost`` counts lost events by topic, of at most
    `MAX_TOPICS_PER_CLIENT` topics, ``malformed_count`` frames that were ignored.
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
        """``topics`` are topics and wildcards. Missing events are asked for if there is a
        ``recover_timeout_s``, the time after which they count as lost; then at most
        ``max_held`` events of a stream, and ``held_bytes`` of all, wait for those before
        them, and ``from_start`` says that
        streams begin with the oldest event that their publisher has."""
        self.session = -1
        self.model: Model | None = None
        self.lost: dict[str, int] = {}
        self.malformed_count = 0
        self.topics = SubscribedTopics(topics)
        self.streams = StreamTable(grace_s)
        self.trackers = self.streams.trackers
        self._ports: dict[str, int] = {}  # of the broker, by topic
        self._epoch: int | None = None
        self._present = PresentPublishers()
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
        """A frame that came by ``connection`` at ``received_ns``."""
        items: list[Event] = []
        try:
            found = read_frame(
                frame,
                self.topics.by_event,
                received_ns,
                recovering=self._recovery is not None,
            )
            check_sender(found.session, connection, self.streams)
        except ProtocolError as error:
            self.malformed_count += 1
            return [Malformed(str(error))]
        idle: list[OwnerIdle] = []
        if isinstance(found, Event | Batch):
            idle = self.streams.watch_owner(found.session, found.topic, now)
        gaps = self._take(found, now, items)
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
                if found.ready:
                    self.streams.ready.receive(found.session, found.topic)
                return self._reach(found, now, items)
            case RecoveryReply(request, batch):
                assert self._recovery is not None, "only then it is read"
                return self._recovery.on_reply(request, batch, now, items)

    def _observe(self, event: Event, now: float, items: list[Event]) -> list[Gap]:
        """Count an event; it is to be delivered unless it is a duplicate, must wait for
        those before it, or is not ours to have."""
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
        """How far a publisher is."""
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
        """When `tick` has something to do at the latest."""
        deadlines = [self.streams.departures.next_deadline()]
        if self._recovery is not None:
            deadlines.append(self._recovery.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def urgent_deadline(self) -> float | None:
        """The same, while not all that arrived was looked at."""
        return None if self._recovery is None else self._recovery.next_deadline()

    def tick(self, now: float, *, idle: bool) -> list[Effect]:
        """What is due. ``idle``: all that arrived was looked at; while it was not, time
        proves little, but what is missing is asked for again, and given up in the end."""
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
        return [*self._effects(items, gaps), *self._disconnect(gone)]

    def _disconnect(self, gone: list[PublisherInfo]) -> list[Effect]:
        """End the connections to publishers that are gone, and give up topics that were
        there by a wildcard, if nobody publishes them any more."""
        in_use = self.streams.addresses_in_use() if gone else set()
        effects: list[Effect] = [
            Disconnect(info, info.address in in_use) for info in gone if info.address
        ]
        # Publishers count ours, over all connections to the broker. They would take one that
        # we have just given up for another that they do not know yet.
        if len(set(self._ports.values())) <= 1:
            for topic in dict.fromkeys(topic for info in gone for topic in info.topics):
                if not self.streams.published(topic) and self.topics.remove(topic):
                    self._ports.pop(topic, None)
                    effects.append(Unsubscribe(topic))
        return effects

    # What the broker tells

    def register(self, reply: Registered, now: float) -> list[Effect]:
        """The broker's full state, at each registration."""
        self.use_session(reply.session)
        self.model = reply.model
        self.streams.departures.grace_s = max(GRACE_S, reply.lease_s)
        self.streams.idle_owners.timeout_s = reply.owner_idle_s
        restarted = reply.epoch != self._epoch
        self._epoch = reply.epoch
        effects: list[Effect] = []
        if reply.model == "centralized" and restarted:
            self.streams.ready.forget_all()  # they came through another broker
        self.topics.add_of(reply.publishers)
        if reply.model == "decentralized":
            effects.append(self.subscribe())
        elif restarted:
            self.topics.replace(reply.ports)
            effects.append(self.listen(reply.ports))
        else:
            # A publisher that is not there at present may come back: a connection that
            # was given up meanwhile would lose events, and the others count its topics.
            effects.append(self.listen({**self._ports, **reply.ports}))
        new = self.streams.replace(reply.publishers, now, restarted=restarted)
        if reply.model == "decentralized":
            effects += map(Connect, new)
        return effects + self._present.replace(reply.publishers)

    def use_session(self, session: int) -> None:
        """This subscriber has this session, by which publishers answer it."""
        self.session = session
        if self._recovery is not None:
            self._recovery.session = session

    def change_publishers(self, update: PublishersUpdated, now: float) -> list[Effect]:
        """The broker tells who came and who left since the last time."""
        direct = self.model == "decentralized"
        effects: list[Effect] = []
        for departure in update.left:
            info = self.streams.publisher(departure.session)
            self.streams.leave(departure, now)
            if departure.revoked and info is not None and direct:
                effects.append(Disconnect(info))
        for info in update.joined:
            self.streams.join(info)
        new_topics = self.topics.add_of(update.joined)
        if direct and new_topics:
            effects.append(Subscribe(new_topics))
        elif not direct and (new_topics or update.ports):
            effects.append(self.listen({**self._ports, **update.ports}))
        if direct:
            effects += map(Connect, update.joined)
        left = [each.session for each in update.left]
        return effects + self._present.change(update.joined, left)

    def subscribe(self) -> Subscribe:
        """We want our topics of the publishers."""
        return Subscribe(tuple(self.topics))

    def listen(self, ports: dict[str, int]) -> Listen:
        """The broker forwards our topics from these ports, and no others."""
        self._ports = dict(ports)
        return Listen(dict(ports), len(self.topics))

    # Inside

    def _abandoning(self, items: list[Event]) -> Callable[[Key], list[Gap]]:
        """What is to be done with a stream of which nothing more will come."""
        recovery = self._recovery
        return lambda key: [] if recovery is None else recovery.abandon(key, items)

    def _effects(self, items: list[Event], gaps: Iterable[Gap]) -> list[Effect]:
        """What is lost, what is to be delivered, and what is to be asked."""
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

"""Decides for a publisher, except about sending events: which requests of subscribers it
answers, which subscribers are ready, and the effects of updates from the broker.

It is pure. The caller holds the lock of the data socket, because a reply promises the number
of the next event, and sends the result of `PublisherCore.tick` before it releases the lock.

libzmq itself serves subscriptions to events. Private topics among the subscriptions are
requests: whether a subscriber is connected (the ready handshake,
`pubsub_common.protocol.events`), for missed events, and for the publisher's position
(`pubsub_common.protocol.recovery_messages`).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from pubsub_common.client.session_updates import (
    Accepted,
    GrantsUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.earliest import earliest
from pubsub_common.protocol.events import (
    ReadyRequest,
    encode_ready_reply,
    parse_ready_request,
)
from pubsub_common.protocol.messages import Vouched
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    encode_position,
    encode_recovery_reply,
    parse_position_prefix,
    parse_recovery_request,
)
from pubsub_publisher.subscribers.local_subscribers import LocalSubscribers
from pubsub_publisher.subscribers.questions import Questions, Request
from pubsub_publisher.subscribers.ready_subscribers import ReadySubscribers
from pubsub_publisher.topics.topic_state import TopicState

_BEGINS: Final = b"\x01"
_ENDS: Final = b"\x00"
# The most that one `tick` sends: an event may have to wait for so long.
_PORTION: Final = 64
_PORTION_BYTES: Final = 65_536
# Bytes that libzmq uses for a message, without its content.
_MESSAGE_BYTES: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Send a frame, if there is room. A reply has its ``request``, and goes to the connection
    ``origin``."""

    frame: bytes
    request: Request | None = None
    origin: Hashable = None

    @property
    def size(self) -> int:
        """Bytes that it uses until it has arrived."""
        return len(self.frame) + _MESSAGE_BYTES


@dataclasses.dataclass(frozen=True, slots=True)
class EndConnection:
    """Close this connection: it requests events and does not read them, and others wait."""

    origin: Hashable


@dataclasses.dataclass(frozen=True, slots=True)
class InvalidSubscription:
    """The first message that is not a subscription. For the log."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadyChanged:
    """The ready subscribers have changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class AcceptClients:
    """From now on accept connections of these clients only."""

    vouched: Sequence[Vouched]


@dataclasses.dataclass(frozen=True, slots=True)
class RefuseEvents:
    """The broker refused this publisher: take no more events."""


Effect = (
    Send
    | EndConnection
    | InvalidSubscription
    | ReadyChanged
    | AcceptClients
    | RefuseEvents
)


class PublisherCore:
    """Decides for a publisher with these ``topics``, present and removed ones.

    The owner sets ``address`` before the first event.
    """

    def __init__(self, topics: Mapping[str, TopicState]) -> None:
        self.address = ""
        self.session = -1
        self.ready = ReadySubscribers(topics)
        # Subscribers of these topics that the broker knows, by session.
        self.listeners: Mapping[int, int] = {}
        self.invalid_count = 0  # messages that are not subscriptions
        # Topics that have had a subscriber.
        self.subscribed: set[str] = set()
        self.last_request_at = 0.0  # time of the last request for events
        self._topics = topics
        # Of a publisher that may share memory.
        self.local: LocalSubscribers | None = None
        # Requests that wait for a session and for room.
        self.questions = Questions()
        # Topics with a subscriber to their position; those that are still to be sent, and
        # when all are sent again.
        self._position_topics: dict[str, None] = {}
        self._positions_due: deque[str] = deque()
        self._position_at = 0.0

    @property
    def positions_wanted(self) -> bool:
        """Whether a subscriber has subscribed to positions."""
        return bool(self._position_topics)

    def update(self, update: SessionUpdate) -> list[Effect]:
        """Apply an update from the broker. A publisher keeps its session and numbers when it
        registers again, so little changes."""
        match update:
            case Accepted(reply):
                if self.session < 0:
                    self.session = reply.session
                    if self.local is not None:
                        self.local.use_session(reply.session)
                self.listeners = reply.listeners
                changed = self.ready.expect(reply.listeners)
                news: list[Effect] = [ReadyChanged()] if changed else []
                return [AcceptClients(reply.vouched), *news]
            case GrantsUpdated(vouched):
                return [AcceptClients(vouched)]
            case Rejected():
                return [RefuseEvents()]
        return []

    def receive(
        self, message: bytes, now: float, origin: Hashable = None
    ) -> list[Effect]:
        """Apply a subscription, as an XPUB socket reports it, from the connection ``origin``."""
        kind, raw = message[:1], message[1:]
        if kind not in (_BEGINS, _ENDS):
            self.invalid_count += 1
            return [InvalidSubscription()] if self.invalid_count == 1 else []
        begins = kind == _BEGINS
        if self.local is not None and self.local.receive(raw, begins=begins):
            return []
        ready = parse_ready_request(raw)
        if ready is not None:
            # A broker also forwards requests for its other publishers.
            state = self._topics.get(ready.topic)
            if state is not None:
                ready = ready._replace(topic=state.name)  # one copy for all requests
                self._ask(ready, origin, begins=begins)
                self.subscribed.add(state.name)
            changed = self.ready.update(ready, origin, begins=begins)
            return [ReadyChanged()] if changed else []
        request = parse_recovery_request(raw)
        if request is not None:
            state = self._topics.get(request.topic)
            if state is not None:
                request = request._replace(topic=state.name)
                self._ask(request, origin, begins=begins)
            return []
        topic = parse_position_prefix(raw)
        if topic is not None and topic in self._topics:
            if begins:
                self._position_topics[topic] = None
                self._position_at = min(self._position_at, now)
            else:
                self._position_topics.pop(topic, None)
        elif begins:
            self._note_subscription(raw)
        return []

    def tick(self, now: float) -> list[Send | EndConnection]:
        """The next portion of messages that are due at ``now``, before any event. The caller
        has called `Questions.progress` for the connections in turn."""
        if self.session < 0:
            return []
        sends: list[Send | EndConnection] = []
        hindrance = self.questions.hindrance(now)
        if hindrance is not None:
            sends.append(EndConnection(hindrance))
        size = 0
        for _ in range(_PORTION):
            taken = self.questions.take(now)
            if taken is None:
                break
            origin, request = taken
            frame = self._reply(request, now)
            if frame is not None:
                send = Send(frame, request, origin)
                self.questions.answered(origin, send.size, now)
                sends.append(send)
                size += send.size
                if size >= _PORTION_BYTES:
                    break
        if self._position_topics and now >= self._position_at:
            self._position_at = now + POSITION_INTERVAL_S
            self._positions_due = deque(self._position_topics)
        while self._positions_due and len(sends) < _PORTION:
            topic = self._positions_due.popleft()
            number = self._topics[topic].next_sequence
            sends.append(
                Send(encode_position(topic, self.address, self.session, number))
            )
        return sends

    def no_room(self, unsent: Sequence[Send], now: float) -> None:
        """There was no room for these messages of `tick`. Replies are due again shortly;
        positions are not repeated, because the next one has the same information."""
        for send in reversed(unsent):
            if send.request is not None:
                self.questions.no_room(send.origin, send.request, send.size, now)

    def next_deadline(self) -> float | None:
        """When `tick` is due; None: only after the next message."""
        if self.session < 0:
            return None
        if self._positions_due:
            return 0.0
        positions_at = self._position_at if self._position_topics else None
        return earliest(self.questions.next_deadline(), positions_at)

    def tell_positions(self, now: float) -> None:
        """Send all positions at the next `tick`."""
        self._position_at = now

    def _note_subscription(self, raw: bytes) -> None:
        """Note the topics of a subscription to events. A plain SUB socket may subscribe to
        everything, or omit the zero byte."""
        if not raw:
            self.subscribed.update(self._topics)
            return
        topic = raw.partition(b"\0")[0].decode(errors="replace")
        if topic in self._topics:
            self.subscribed.add(topic)

    def _ask(self, request: Request, origin: Hashable, *, begins: bool) -> None:
        if begins:
            self.questions.add(origin, request)
        else:
            self.questions.withdraw(origin, request)

    def _reply(self, request: Request, now: float) -> bytes | None:
        state = self._topics[request.topic]
        if isinstance(request, ReadyRequest):
            topic, subscriber, topics, attempt = request
            start = self.address, self.session, state.next_sequence
            return encode_ready_reply(topic, subscriber, *start, topics, attempt)
        if request.publisher != self.session:
            return None
        self.last_request_at = now
        if state.history is None:
            # At once: the subscriber need not wait for events that are gone.
            first = max(request.first, state.next_sequence)
            part: tuple[int, list[int], list[bytes]] = (first, [], [])
        else:
            part = state.history.select(request.first, request.last)
        return encode_recovery_reply(request, self.address, *part)

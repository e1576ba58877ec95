"""What a publisher decides, apart from publishing itself: which requests of subscribers it
replies to, which subscribers are ready, what news of the broker means for it.

It is pure. Who calls it holds the lock of the data socket, as a reply promises the number
of the next event, and sends what `PublisherCore.tick` returns before letting go of it.

Subscriptions to events libzmq serves itself. The private topics among the subscriptions are
requests: whether a subscriber is connected (the ready handshake,
`pubsub_common.protocol.events`), for events that it missed, and for how far we are
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
from pubsub_publisher.questions import Questions, Request
from pubsub_publisher.ready_subscribers import ReadySubscribers
from pubsub_publisher.topics.topic_state import TopicState

_BEGINS: Final = b"\x01"
_ENDS: Final = b"\x00"
# What one `tick` sends at most: it is the time for which an event may have to wait.
_PORTION: Final = 64
_PORTION_BYTES: Final = 65_536
# What libzmq needs for a message, beside its content.
_MESSAGE_BYTES: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Send a frame, if there is room; it replies to ``request``, if it is a reply, which
    came by the connection ``origin``."""

    frame: bytes
    request: Request | None = None
    origin: Hashable = None

    @property
    def size(self) -> int:
        """What it costs until it has arrived."""
        return len(self.frame) + _MESSAGE_BYTES


@dataclasses.dataclass(frozen=True, slots=True)
class EndConnection:
    """End this connection: it asks for events and does not read them, and others wait."""

    origin: Hashable


@dataclasses.dataclass(frozen=True, slots=True)
class InvalidSubscription:
    """Something came in that is no subscription, for the first time. For the log."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadyChanged:
    """Other subscribers than before are ready."""


@dataclasses.dataclass(frozen=True, slots=True)
class AcceptClients:
    """From here on accept connections of these clients, and of no others."""

    vouched: Sequence[Vouched]


@dataclasses.dataclass(frozen=True, slots=True)
class RefuseEvents:
    """The broker will not have this publisher: take no more events."""


Effect = (
    Send
    | EndConnection
    | InvalidSubscription
    | ReadyChanged
    | AcceptClients
    | RefuseEvents
)


class PublisherCore:
    """Decides for a publisher with these ``topics``, each that there ever was.

    ``address`` is set by the owner before the first event.
    """

    def __init__(self, topics: Mapping[str, TopicState]) -> None:
        self.address = ""
        self.session = -1
        self.ready = ReadySubscribers(topics)
        # Subscribers of our topics that the broker knows, by session.
        self.listeners: Mapping[int, int] = {}
        self.invalid_count = 0  # messages that were no subscriptions
        # Our topics that somebody has subscribed to, even if only for a while.
        self.subscribed: set[str] = set()
        self.last_request_at = 0.0  # when events were asked for last, or were being so
        self._topics = topics
        # What is to be replied to, as soon as we have a session to reply with, and room.
        self.questions = Questions()
        # Topics of which somebody wants to know how far we are; those that are to be
        # told yet, and when they are all told again.
        self._position_topics: dict[str, None] = {}
        self._positions_due: deque[str] = deque()
        self._position_at = 0.0

    @property
    def positions_wanted(self) -> bool:
        """Whether somebody wants to know how far we are."""
        return bool(self._position_topics)

    def update(self, update: SessionUpdate) -> list[Effect]:
        """News of the broker. A publisher keeps its session and numbers when it
        registers again, so there is little to change."""
        match update:
            case Accepted(reply):
                if self.session < 0:
                    self.session = reply.session
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
        """A subscription, as an XPUB socket tells of it, that came by the connection
        ``origin``."""
        kind, raw = message[:1], message[1:]
        if kind not in (_BEGINS, _ENDS):
            self.invalid_count += 1
            return [InvalidSubscription()] if self.invalid_count == 1 else []
        begins = kind == _BEGINS
        ready = parse_ready_request(raw)
        if ready is not None:
            # A broker also passes on what its other publishers are asked.
            state = self._topics.get(ready.topic)
            if state is not None:
                ready = ready._replace(topic=state.name)  # kept once, not with each
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
        """What is to be sent at ``now``, before anything else is: a portion of it. Before,
        `Questions.progress` was told of those whose turn it is."""
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
        """There was no room for these of what `tick` returned. Replies are due again
        shortly; the next position says the same."""
        for send in reversed(unsent):
            if send.request is not None:
                self.questions.no_room(send.origin, send.request, send.size, now)

    def next_deadline(self) -> float | None:
        """When `tick` is due; None: not before something is received."""
        if self.session < 0:
            return None
        if self._positions_due:
            return 0.0
        positions_at = self._position_at if self._position_topics else None
        times = self.questions.next_deadline(), positions_at
        return min((at for at in times if at is not None), default=None)

    def tell_positions(self, now: float) -> None:
        """Positions are due, whenever they were told last."""
        self._position_at = now

    def _note_subscription(self, raw: bytes) -> None:
        """A plain SUB socket may also subscribe to all, or leave out the zero byte."""
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
            # At once, so that nobody waits for what is not to be had.
            first = max(request.first, state.next_sequence)
            part: tuple[int, list[int], list[bytes]] = (first, [], [])
        else:
            part = state.history.select(request.first, request.last)
        return encode_recovery_reply(request, self.address, *part)

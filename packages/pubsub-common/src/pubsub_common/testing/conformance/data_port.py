"""A port that events come from: a publisher's, or one of a broker's forwarders."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import zmq

from pubsub_common.defaults import LOOPBACK
from pubsub_common.protocol.batches import Batch, encode_batch
from pubsub_common.protocol.events import (
    ReadyRequest,
    encode_event,
    encode_ready_reply,
    topic_prefix,
)
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.recovery_messages import (
    REPLY_MAX_EVENTS,
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
)
from pubsub_common.testing.conformance.bound_socket import bound_socket
from pubsub_common.testing.conformance.ledger import Item
from pubsub_common.testing.conformance.subscription_checks import (
    Position,
    Subscription,
    read_subscription,
)
from pubsub_common.testing.conformance.transcript import Transcript

_BEGINS: Final = b"\x01"


@dataclasses.dataclass
class Source:
    """A publisher. ``numbers`` are those of its next events. It answers the ready handshake as
    long as it ``answers``, and recovery from ``kept``, if it keeps anything."""

    session: int
    topics: tuple[str, ...]
    address: str
    strengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    answers: bool = True
    kept: dict[tuple[str, int], bytes] | None = None

    def info(self, *, centralized: bool = False) -> PublisherInfo:
        """As the broker tells of it."""
        return PublisherInfo(
            session=self.session,
            topics=list(self.topics),
            address=None if centralized else self.address,
            strengths=dict(self.strengths),
        )

    def next(self, topic: str) -> int:
        return self.numbers.setdefault(topic, 0)

    def event(self, topic: str, payload: bytes | None = None) -> Item:
        """Its next event of a topic."""
        number = self.next(topic)
        self.numbers[topic] = number + 1
        if payload is None:
            payload = f"{topic} {number}".encode()
        if self.kept is not None:
            self.kept[topic, number] = payload
        return Item(topic, self.address, number, payload)


class DataPort:
    """An XPUB socket. ``topics`` come from here; ready topics may tell one of these
    ``numbers`` of topics. ``subscribed`` has the current
    subscriptions, ``history`` all of them, with True for a beginning and False for an end."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        transcript: Transcript,
        now_s: Callable[[], float],
        topics: Collection[str] = (),
    ) -> None:
        self.topics = topics
        self.numbers: set[int] = set()
        self.sources: list[Source] = []
        self.subscribed: set[Subscription] = set()
        self.history: list[tuple[bool, Subscription]] = []
        self.check: Callable[[Subscription], None] = lambda _: None
        self._transcript = transcript
        self._now_s = now_s
        self._context = context
        self.socket, self.port = bound_socket(context, zmq.XPUB)
        self.address = f"{LOOPBACK}:{self.port}"

    def reconnect(self) -> None:
        """Lose all connections."""
        self._transcript.went(self._now_s(), f"(port {self.port} closed and opened)")
        self.socket.close(linger=0)
        self.subscribed.clear()
        self.socket, _ = bound_socket(self._context, zmq.XPUB, self.port)

    @property
    def questions(self) -> list[ReadyRequest]:
        return [
            each
            for begins, each in self.history
            if begins and isinstance(each, ReadyRequest)
        ]

    @property
    def recoveries(self) -> list[RecoveryRequest]:
        return [
            each
            for begins, each in self.history
            if begins and isinstance(each, RecoveryRequest)
        ]

    def has(self, topic: str) -> bool:
        """Whether events of a topic are subscribed to."""
        return topic in self.subscribed

    # What it sends

    def send(self, frame: bytes, what: str) -> None:
        """Send a frame to the subscribers of its topic."""
        self._transcript.went(self._now_s(), f"{what} from port {self.port}")
        self.socket.send(frame)

    def publish(self, source: Source, item: Item) -> None:
        """Send an event of a publisher."""
        self.send(event_frame(source, item), f"event {item}")

    def publish_batch(self, source: Source, items: Sequence[Item]) -> None:
        """Send events of one topic, numbered one after the other, in one frame."""
        now_ns = time.time_ns()
        frame = encode_batch(
            Batch(
                source.address,
                source.session,
                items[0].sequence,
                now_ns,
                [index * 10 for index in range(len(items))],
                [item.payload for item in items],
                items[0].topic,
            )
        )
        self.send(frame, f"batch of {len(items)} from {items[0]}")

    def answer(self, source: Source, question: ReadyRequest) -> None:
        """Answer a ready question for a publisher."""
        topic, session, topics, attempt = question
        number = source.next(topic)
        frame = encode_ready_reply(
            topic, session, source.address, source.session, number, topics, attempt
        )
        self.send(frame, f"ready answer of {source.address} to {question}: {number}")

    def tell_position(self, source: Source, topic: str) -> None:
        """Say how far a publisher is."""
        number = source.next(topic)
        frame = encode_position(topic, source.address, source.session, number)
        self.send(frame, f"position {number} of {source.address}, {topic}")

    # What it reads

    def read(self) -> None:
        """Take in the subscriptions that came, and answer.

        Raises:
            Failed: the client must not subscribe to that.
        """
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            begins, raw = frames[0][:1] == _BEGINS, frames[0][1:]
            what = read_subscription(raw)
            verb = "subscribes to" if begins else "unsubscribes from"
            self._transcript.came(
                self._now_s(), f"{verb} {what} at port {self.port}", _name(what, begins)
            )
            self.history.append((begins, what))
            if begins:
                self.check(what)
                self.subscribed.add(what)
                self._serve(what)
            else:
                self.subscribed.discard(what)

    def _serve(self, what: Subscription) -> None:
        for source in self.sources:
            match what:
                case ReadyRequest(topic=topic):
                    if source.answers and topic in source.topics:
                        self.answer(source, what)
                case RecoveryRequest(topic=topic, publisher=session):
                    if source.session == session and source.answers:
                        self.recover(source, what)
                case Position(topic=topic):
                    if topic in source.topics:
                        self.tell_position(source, topic)

    def recover(self, source: Source, question: RecoveryRequest) -> None:
        """Answer a question for events."""
        topic, kept = question.topic, source.kept or {}
        # Not number by number: a question may be for 2^40 of them.
        first = min(
            (
                number
                for name, number in kept
                if name == topic and question.first <= number <= question.last
            ),
            default=max(question.first, source.next(topic)),
        )
        run = [
            payload
            for number in range(first, min(question.last + 1, first + REPLY_MAX_EVENTS))
            if (payload := kept.get((topic, number))) is not None
        ]
        stamps = [time.time_ns()] * len(run)
        frame = encode_recovery_reply(question, source.address, first, stamps, run)
        self.send(frame, f"recovery answer to {question}: {len(run)} from {first}")


def event_frame(source: Source, item: Item) -> bytes:
    """The frame of an event."""
    return encode_event(
        item.topic,
        source.address,
        source.session,
        item.sequence,
        time.time_ns(),
        item.payload,
    )


def odd_frame(topic: str, kind: bytes, array: bytes) -> bytes:
    """A frame as no publisher of today sends it."""
    return topic_prefix(topic) + kind + array


def _name(what: Subscription, begins: bool) -> str:
    kinds = {
        ReadyRequest: "ready question",
        RecoveryRequest: "recovery question",
        Position: "position subscription",
    }
    name = kinds.get(type(what), "event subscription")
    return name if begins else f"{name} taken back"

"""Faults of publishers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pubsub_common.protocol.events import (
    ReadyRequest,
    encode_ready_reply,
    parse_ready_request,
)
from pubsub_common.protocol.messages import Heartbeat
from pubsub_common.protocol.recovery_messages import RecoveryRequest
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending import frame_sender
from pubsub_publisher.sending.event_socket import EventSocket
from support.broken_clients import fault, replaced, says, with_fields


def answers(change: Callable[[Any, bytes | None], bytes | None]) -> None:
    """Change answers to requests; None: do not answer."""

    def reply(before: Any, self: PublisherCore, request: Any, now: float) -> Any:
        return change(request, before(self, request, now))

    replaced(PublisherCore, "_reply", reply)


def sends(change: Callable[[Any], Any]) -> None:
    """Change the elements of events."""

    def encode(before: Any, fields: Any) -> bytes:
        return bytes(before(change(fields)))

    replaced(frame_sender, "encode_body", encode)


@fault("publishes")
def more_elements() -> None:
    """The array has one element too many."""
    sends(lambda fields: (*fields, None))


@fault("no-subscriber")
def counts_from_0() -> None:
    answers(
        lambda request, frame: (
            None
            if isinstance(request, ReadyRequest) and request.topic == "B"
            else frame
        )
    )


@fault("told-numbers")
def tells_too_much() -> None:
    def more(sent: Heartbeat) -> Mapping[str, int] | None:
        if sent.published is None:
            return None
        return {topic: number + 10_000 for topic, number in sent.published.items()}

    says(with_fields(Heartbeat, published=more))


@fault("odd-subscriptions")
def ends_by_odd_subscriptions() -> None:
    def receive(before: Any, self: PublisherCore, message: bytes, *more: Any) -> Any:
        if message[1:] == b"\xffA":
            raise ValueError("no question")
        return before(self, message, *more)

    replaced(PublisherCore, "receive", receive)


@fault("ready-answer")
def skips_a_number() -> None:
    def later(fields: Any) -> Any:
        publisher, session, number, *rest = fields
        return publisher, session, number + (number > 20), *rest

    sends(later)


@fault("three-connections")
def knows_no_forwarders() -> None:
    answers(
        lambda request, frame: (
            None if isinstance(request, ReadyRequest) and request.topics else frame
        )
    )


@fault("many-questions")
def drops_answers() -> None:
    """Like with a small ZMQ_SNDHWM."""
    room = iter(range(1000))
    answers(lambda request, frame: None if next(room, None) is None else frame)


@fault("early-question")
def forgets_early_questions() -> None:
    def receive(before: Any, self: PublisherCore, *more: Any) -> Any:
        return before(self, *more) if self.session >= 0 else []

    replaced(PublisherCore, "receive", receive)


@fault("ready-other-topic")
def answers_for_all() -> None:
    def receive(
        before: Any, self: PublisherCore, message: bytes, now: float, origin: Any
    ) -> Any:
        question = parse_ready_request(message[1:])
        if question is not None and question.topic not in self._topics:
            self.questions.add(origin, question)
        return before(self, message, now, origin)

    def reply(before: Any, self: PublisherCore, request: Any, now: float) -> Any:
        if request.topic in self._topics:
            return before(self, request, now)
        topic, session, topics, attempt = request
        mine = self.address, self.session, 0
        return encode_ready_reply(topic, session, *mine, topics, attempt)

    replaced(PublisherCore, "receive", receive)
    replaced(PublisherCore, "_reply", reply)


@fault("second-connection")
def minds_no_attempt() -> None:
    answers(
        lambda request, frame: (
            None if isinstance(request, ReadyRequest) and request.attempt else frame
        )
    )


@fault("recovery-answer")
def never_recovers() -> None:
    answers(
        lambda request, frame: None if isinstance(request, RecoveryRequest) else frame
    )


@fault("recovery-other-session")
def answers_for_others() -> None:
    def reply(before: Any, self: PublisherCore, request: Any, now: float) -> Any:
        mine = self.session
        if isinstance(request, RecoveryRequest):
            self.session = request.publisher
        try:
            return before(self, request, now)
        finally:
            self.session = mine

    replaced(PublisherCore, "_reply", reply)


@fault("positions")
def ignores_positions() -> None:
    def receive(before: Any, self: PublisherCore, message: bytes, *more: Any) -> Any:
        return [] if message[1:2] == b"\xfd" else before(self, message, *more)

    replaced(PublisherCore, "receive", receive)


@fault("last-position")
def tells_no_last_position() -> None:
    replaced(PublisherCore, "tell_positions", lambda *_: None)


@fault("last-questions")
def answers_no_last_questions() -> None:
    replaced(EventSocket, "serve_last_requests", lambda *_: None)

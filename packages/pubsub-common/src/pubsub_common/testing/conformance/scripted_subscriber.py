"""A subscriber that does what a scenario says: one connection to a publisher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq

from pubsub_common.protocol.events import (
    Event,
    ReadyRequest,
    ready_topic,
    topic_prefix,
)
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    position_prefix,
    recovery_topic,
)
from pubsub_common.testing.conformance.frame_checks import (
    Answer,
    Position,
    Recovered,
    read_sent,
)
from pubsub_common.testing.conformance.transcript import Transcript

_BEGIN: Final = b"\x01"
_END: Final = b"\x00"


class ScriptedSubscriber:
    """Received messages are in ``events``, ``answers``, ``recovered`` and ``positions``.
    ``session`` is its own."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        session: int,
        transcript: Transcript,
        now_s: Callable[[], float],
    ) -> None:
        self.session = session
        self.events: list[Event] = []
        self.answers: list[Answer] = []
        self.recovered: list[Recovered] = []
        self.positions: list[Position] = []
        self.check: Callable[[Event], None] = lambda _: None
        self._transcript = transcript
        self._now_s = now_s
        self.socket: zmq.Socket[bytes] | None = context.socket(zmq.XSUB)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        # When the publisher has ended, another one may take its port.
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.connect(f"tcp://{address}")

    def close(self) -> None:
        """End the connection."""
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = None

    # What it asks for

    def raw(self, subscription: bytes, *, begins: bool = True) -> None:
        """Subscribe to anything, or no longer."""
        assert self.socket is not None
        verb = "subscribes to" if begins else "unsubscribes from"
        self._transcript.went(
            self._now_s(), f"subscriber {self.session} {verb} {subscription!r}"
        )
        self.socket.send((_BEGIN if begins else _END) + subscription)

    def subscribe(self, topic: str) -> None:
        self.raw(topic_prefix(topic))

    def ask(self, topic: str, *, topics: int = 0, attempt: int = 0) -> ReadyRequest:
        """Ask whether the publisher has seen the subscriptions before this."""
        self.raw(ready_topic(topic, self.session, topics, attempt))
        return ReadyRequest(topic, self.session, topics, attempt)

    def listen(self, topic: str) -> ReadyRequest:
        """Subscribe to a topic, and ask."""
        self.subscribe(topic)
        return self.ask(topic)

    def recover(self, question: RecoveryRequest) -> None:
        """Ask for events."""
        self.raw(recovery_topic(question))

    def ask_position(self, topic: str) -> None:
        """Ask how far the publisher is, from now on."""
        self.raw(position_prefix(topic))

    # Received

    def answer_to(self, question: ReadyRequest) -> Event | None:
        """The answer to a ready question."""
        return next((event for asked, event in self.answers if asked == question), None)

    def of(self, topic: str) -> list[Event]:
        """The events of a topic."""
        return [event for event in self.events if event.topic == topic]

    def read(self) -> None:
        """Process received messages.

        Raises:
            Failed: a publisher must not send that.
        """
        while self.socket is not None:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        sent = read_sent(frame)
        match sent:
            case Answer():
                self.answers.append(sent)
                found, name = [sent.event], f"ready answer to {sent.question}"
            case Recovered():
                self.recovered.append(sent)
                found, name = sent.batch.events(), f"recovery answer to {sent.question}"
            case Position():
                self.positions.append(sent)
                found, name = [sent.event], f"position of {sent.topic!r}"
            case _:
                self.events += sent
                found, name = sent, f"event of {sent[0].topic!r}"
        shown = f"{found[0].sequence}, session {found[0].session}" if found else "empty"
        self._transcript.came(
            self._now_s(),
            f"{name}: {shown}",
            name.partition(" of")[0].partition(" to")[0],
        )
        for event in found:
            self.check(event)

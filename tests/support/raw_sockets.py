"""Hand-written ZeroMQ sockets that act as a publisher or a subscriber."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import zmq

from pubsub_common.protocol.batches import Batch, item_at
from pubsub_common.protocol.events import (
    Event,
    decode_ready_reply,
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    ready_topic,
)
from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.recovery_messages import (
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_common.testing import WAIT_S
from support.ports import bound_port
from support.threads import WAIT_MS


class RawPublisher:
    """An XPUB socket, bound like that of a publisher or of a broker's forwarder."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *topics: str,
        session: int = 1,
        port: int = 0,
    ) -> None:
        self.socket = context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.rcvtimeo = WAIT_MS
        self.socket.sndhwm = 0
        self._bind(port)
        self.port = bound_port(self.socket)
        self.address = f"127.0.0.1:{self.port}"
        self.session = session
        self.topics = topics
        self.next_sequence = dict.fromkeys(topics, 0)
        # messages that came in before the test asked for them
        self._seen: deque[bytes] = deque()
        # The attempt of each subscriber's last request about a topic.
        self._attempts: dict[tuple[str, int], int] = {}

    def _bind(self, port: int) -> None:
        """Bind, even to the port of a socket that libzmq is about to close."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while True:
            try:
                self.socket.bind(f"tcp://127.0.0.1:{port}")
            except zmq.ZMQError:
                if time.monotonic() > deadline:
                    self.socket.close(linger=0)
                    raise
                time.sleep(0.01)
            else:
                return

    @property
    def info(self) -> PublisherInfo:
        """This publisher in the messages of a decentralized broker."""
        return PublisherInfo(
            session=self.session, topics=list(self.topics), address=self.address
        )

    @property
    def hidden_info(self) -> PublisherInfo:
        """This publisher in the messages of a centralized broker."""
        return PublisherInfo(session=self.session, topics=list(self.topics))

    @property
    def departure(self) -> Departure:
        """This publisher's normal departure."""
        return Departure(session=self.session, next_sequences=dict(self.next_sequence))

    @property
    def death(self) -> Departure:
        """This publisher's end without a message."""
        return Departure(session=self.session)

    def publish(
        self, topic: str, payload: bytes = b"", *, sequence: int | None = None
    ) -> None:
        """Send an event; with a ``sequence``, one out of turn."""
        if sequence is None:
            sequence = self.next_sequence[topic]
            self.next_sequence[topic] += 1
        self.socket.send(
            encode_event(
                topic, self.address, self.session, sequence, time.time_ns(), payload
            )
        )

    def next_subscription(self) -> tuple[bool, bytes]:
        """(whether it begins, topic) of the next subscription that comes in."""
        message = self._seen.popleft() if self._seen else self.socket.recv()
        return message[0] == 1, message[1:]

    def _learn_attempts(self) -> None:
        """A subscriber that waits too long repeats its request with another attempt,
        and only accepts an answer to that."""
        while self.socket.poll(0):
            self._seen.append(self.socket.recv())
        for message in self._seen:
            question = parse_ready_request(message[1:])
            if message[0] == 1 and question is not None:
                self._attempts[question.topic, question.session] = question.attempt

    def wait_for_ready(self, count: int = 1) -> list[tuple[str, int]]:
        """(topic, subscriber) of the next ``count`` ready subscriptions."""
        asked: list[tuple[str, int]] = []
        while len(asked) < count:
            begins, topic = self.next_subscription()
            parsed = parse_ready_request(topic)
            if begins and parsed is not None:
                self._attempts[parsed.topic, parsed.session] = parsed.attempt
                asked.append((parsed.topic, parsed.session))
        return asked

    def answer(self, topic: str, subscriber: int) -> None:
        """Answer a ready subscription."""
        self._learn_attempts()
        self.socket.send(
            encode_ready_reply(
                topic,
                subscriber,
                self.address,
                self.session,
                self.next_sequence.get(topic, 0),
                attempt=self._attempts.get((topic, subscriber), 0),
            )
        )

    def get_ready(self, count: int = 1) -> None:
        """Wait for ``count`` ready subscriptions and answer them."""
        for topic, subscriber in self.wait_for_ready(count):
            self.answer(topic, subscriber)

    def answer_waiting(self) -> None:
        """Answer the ready subscriptions that have come."""
        self._learn_attempts()
        while self._seen:
            begins, topic = self.next_subscription()
            parsed = parse_ready_request(topic)
            if begins and parsed is not None:
                self.answer(parsed.topic, parsed.session)

    def refuse_recovery(self) -> None:
        """Wait for a request for missing events, and answer like a publisher without a
        history."""
        while True:
            begins, topic = self.next_subscription()
            request = parse_recovery_request(topic)
            if begins and request is not None:
                break
        first = max(request.first, self.next_sequence[request.topic])
        self.socket.send(encode_recovery_reply(request, self.address, first, [], []))

    def wait_until_gone(self, turn: Callable[[], object] = lambda: None) -> None:
        """Return when the subscriber has disconnected. ``turn`` is called meanwhile: a
        socket that is not used does not finish disconnecting."""
        deadline = time.monotonic() + WAIT_S
        while True:
            assert time.monotonic() < deadline, "the subscriber did not disconnect"
            turn()
            if self._seen or self.socket.poll(10):
                begins, topic = self.next_subscription()
                # The end of a ready topic may be that of an attempt.
                if not begins and parse_ready_request(topic) is None:
                    return

    def close(self) -> None:
        self.socket.close(linger=0)


def events_of(frame: bytes) -> list[Event]:
    """The events in a frame, which may be a batch."""
    topic = frame.partition(b"\0")[0]
    item = item_at(frame, len(topic))
    item.topic = topic.decode()
    item.received_ns = time.time_ns()
    return item.events() if isinstance(item, Batch) else [item]


class RawSubscriber:
    """A SUB socket, connected like that of a subscriber or of a broker's forwarder."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        *topics: str,
        session: int | None = None,
        queue_limit: int | None = None,
    ) -> None:
        """With a ``session``, also subscribe to its ready topics."""
        self._waiting: deque[Event] = deque()  # the rest of a batch
        self.socket = context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvtimeo = WAIT_MS
        if queue_limit is not None:
            self.socket.rcvhwm = queue_limit
        for topic in topics:
            self.socket.subscribe(topic.encode() + b"\0")
        if session is not None:
            self.get_ready(session, *topics)
        self.socket.connect(f"tcp://{address}")

    def get_ready(self, session: int, *topics: str) -> None:
        """Subscribe to the ready topics of ``session``."""
        for topic in topics:
            self.socket.subscribe(ready_topic(topic, session))

    def next_event(self) -> Event:
        """The next event; answers of the ready handshake are skipped."""
        while not self._waiting:
            frame = self.socket.recv()
            if decode_ready_reply(frame) is None:
                self._waiting += events_of(frame)
        return self._waiting.popleft()

    def next_answer(self) -> tuple[str, Event]:
        """The next answer of the ready handshake; events are skipped."""
        while True:
            answer = decode_ready_reply(self.socket.recv())
            if answer is not None:
                return answer

    def events(self, count: int) -> list[Event]:
        """The next ``count`` events."""
        return [self.next_event() for _ in range(count)]

    def close(self) -> None:
        self.socket.close(linger=0)

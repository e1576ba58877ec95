"""What a subscriber talks to, written by hand: a broker's control port and publishers.

Not tests; imported by those of this folder.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import pytest
import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.net.sockets import Waker, terminate_context
from pubsub_common.protocol import messages
from pubsub_common.protocol.events import (
    encode_event,
    encode_ready_reply,
    parse_ready_topic,
)
from pubsub_common.protocol.messages import (
    Alive,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Request,
)
from pubsub_subscriber import Subscriber

# Longer than anything takes on the busiest machine; only a failing test waits for it.
WAIT_S: Final = 30.0
WAIT_MS: Final = round(WAIT_S * 1000)

NewSubscriber = Callable[..., Subscriber]

_M = TypeVar("_M", bound=Request)


def wait_for(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return when ``condition`` holds; fail when it does not for `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.002)


def free_port() -> int:
    """A port that is free and that the kernel gives to nobody who does not ask."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class FakeBroker:
    """A control port that registers whoever asks, and remembers what was asked.

    Its attributes may be changed at any time; they hold for the next request.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.malformed = 0
        self.session = 7
        self.epoch = 1
        self.lease_s = 3600.0  # so that no heartbeat heals a missed wake-up
        self.model: Model = "decentralized"
        self.ports: dict[str, int] = {}
        self.publishers: list[PublisherInfo] = []
        self.silent = False
        self.knows_sessions = True
        self.refusal: tuple[str, str] | None = None
        self._revision = 0
        self._outbox: list[Reply | bytes] = []
        self._peer = b""
        self._stopping = False
        self._waker = Waker()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self.port = free_port()
        self._router.bind(f"tcp://127.0.0.1:{self.port}")
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._waker.wake()
        self._thread.join()
        self._router.close(linger=0)
        terminate_context(self._context)
        self._waker.close()

    def of(self, kind: type[_M]) -> list[_M]:
        """The requests of one kind so far."""
        return [request for request in self.requests if isinstance(request, kind)]

    def send(self, message: Reply | bytes) -> None:
        """Send ``message`` to the client that spoke last."""
        self._outbox.append(message)
        self._waker.wake()

    def tell(
        self,
        joined: Iterable[PublisherInfo] = (),
        left: Iterable[Departure] = (),
    ) -> None:
        """Push that publishers came or went."""
        self._revision += 1
        self.send(
            PublishersChanged(
                revision=self._revision, joined=list(joined), left=list(left)
            )
        )

    def restart(self) -> None:
        """Be another broker at the same port, after a goodbye; return when the client
        has registered again."""
        registered = len(self.of(Register))
        self.epoch += 1
        self.send(Farewell(epoch=self.epoch - 1))
        wait_for(lambda: len(self.of(Register)) > registered, "another registration")

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not self._stopping:
            ready = dict(poller.poll())
            self._waker.clear()
            while self._outbox:
                self._reply(self._outbox.pop(0))
            if self._router in ready:
                self._peer, data = self._router.recv_multipart()
                self._answer(data)

    def _answer(self, data: bytes) -> None:
        try:
            request = messages.decode_request(data)
        except ProtocolError:
            self.malformed += 1
            return
        self.requests.append(request)
        reply = None if self.silent else self._reply_to(request)
        if reply is not None:
            self._reply(reply)

    def _reply(self, message: Reply | bytes) -> None:
        data = message if isinstance(message, bytes) else messages.encode(message)
        self._router.send_multipart([self._peer, data])

    def _reply_to(self, request: Request) -> Reply | None:
        match request:
            case Register():
                if self.refusal is not None:
                    code, detail = self.refusal
                    return Error(id=request.id, code=code, detail=detail)
                self.knows_sessions = True
                return Registered(
                    id=request.id,
                    session=self.session,
                    epoch=self.epoch,
                    lease_s=self.lease_s,
                    model=self.model,
                    revision=self._revision,
                    ports=self.ports,
                    publishers=self.publishers,
                )
            case Heartbeat():
                return Alive(
                    id=request.id,
                    epoch=self.epoch,
                    known=self.knows_sessions,
                    revision=self._revision,
                )
            case Disconnect():
                return Disconnected(id=request.id)
        return None


class RawPublisher:
    """An XPUB socket, as a publisher or a broker's forwarder would bind it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *topics: str,
        session: int = 1,
        port: int | None = None,
    ) -> None:
        self.socket = context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.rcvtimeo = WAIT_MS
        self.socket.sndhwm = 0
        self.port = free_port() if port is None else port
        self.address = f"127.0.0.1:{self.port}"
        self._bind()
        self.session = session
        self.topics = topics
        self.next_sequence = dict.fromkeys(topics, 0)

    def _bind(self) -> None:
        """Bind, even to the port of a socket that libzmq is about to close."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while True:
            try:
                self.socket.bind(f"tcp://{self.address}")
            except zmq.ZMQError:
                if time.monotonic() > deadline:
                    self.socket.close(linger=0)
                    raise
                time.sleep(0.01)
            else:
                return

    @property
    def info(self) -> PublisherInfo:
        """This publisher as a decentralized broker names it."""
        return PublisherInfo(
            session=self.session, topics=list(self.topics), address=self.address
        )

    @property
    def hidden_info(self) -> PublisherInfo:
        """This publisher as a centralized broker names it."""
        return PublisherInfo(session=self.session, topics=list(self.topics))

    @property
    def departure(self) -> Departure:
        """This publisher's orderly leave."""
        return Departure(session=self.session, next_sequences=dict(self.next_sequence))

    @property
    def death(self) -> Departure:
        """This publisher's end without a word."""
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
        message = self.socket.recv()
        return message[0] == 1, message[1:]

    def wait_for_ready(self, count: int = 1) -> list[tuple[str, int]]:
        """(topic, subscriber) of the next ``count`` ready subscriptions."""
        asked: list[tuple[str, int]] = []
        while len(asked) < count:
            begins, topic = self.next_subscription()
            parsed = parse_ready_topic(topic)
            if begins and parsed is not None:
                asked.append(parsed)
        return asked

    def answer(self, topic: str, subscriber: int) -> None:
        """Answer a ready subscription."""
        self.socket.send(
            encode_ready_reply(
                topic,
                subscriber,
                self.address,
                self.session,
                self.next_sequence.get(topic, 0),
            )
        )

    def get_ready(self, count: int = 1) -> None:
        """Wait for ``count`` ready subscriptions and answer them."""
        for topic, subscriber in self.wait_for_ready(count):
            self.answer(topic, subscriber)

    def wait_until_gone(self, turn: Callable[[], object] = lambda: None) -> None:
        """Return when the subscriber has disconnected. ``turn`` is called meanwhile: a
        socket that nobody uses does not get on with disconnecting."""
        deadline = time.monotonic() + WAIT_S
        while True:
            assert time.monotonic() < deadline, "the subscriber did not disconnect"
            turn()
            if self.socket.poll(10) and not self.next_subscription()[0]:
                return

    def close(self) -> None:
        self.socket.close(linger=0)


BOTH_MODELS = pytest.mark.parametrize("model", ["centralized", "decentralized"])


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run ``work`` in a thread that a failing test does not have to wait for."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    """Whether the thread ends in good time."""
    thread.join(WAIT_S)
    return not thread.is_alive()


def connect(
    broker: FakeBroker,
    model: Model,
    publisher: RawPublisher,
    new: NewSubscriber,
    *topics: str,
    **options: Any,
) -> Subscriber:
    """A subscriber that has told ``publisher`` its topics. In the centralized model
    ``publisher`` is both the broker's port for events and whoever stands behind."""
    broker.model = model
    if model == "centralized":
        broker.ports = dict.fromkeys(topics or ("A",), publisher.port)
        broker.publishers = [publisher.hidden_info]
    else:
        broker.publishers = [publisher.info]
    subscriber = new(*topics, **options)
    publisher.get_ready(len(topics or ("A",)))
    return subscriber

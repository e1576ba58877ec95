"""What a publisher talks to, written by hand: a broker's control port and subscribers.

Not tests; imported by those of this folder.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.net.sockets import Waker, terminate_context
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import decode_batch_body, is_batch
from pubsub_common.protocol.events import (
    Event,
    decode_event,
    decode_ready_reply,
    ready_topic,
)
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Disconnected,
    Error,
    Heartbeat,
    Register,
    Registered,
    Reply,
    Request,
)

# Longer than anything takes on the busiest machine; only a failing test waits for it.
WAIT_S: Final = 30.0
WAIT_MS: Final = round(WAIT_S * 1000)

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

    def __init__(self, port: int | None = None) -> None:
        self.requests: list[Request] = []
        self.malformed = 0
        self.session = 7
        self.epoch = 1
        self.lease_s = 3600.0  # so that no heartbeat heals a missed wake-up
        self.silent = False
        self.knows_sessions = True
        self.refusal: tuple[str, str] | None = None
        self._outbox: list[Reply] = []
        self._peer = b""
        self._stopping = False
        self._waker = Waker()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self.port = free_port() if port is None else port
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

    def send(self, message: Reply) -> None:
        """Send ``message`` to the client that spoke last."""
        self._outbox.append(message)
        self._waker.wake()

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

    def _reply(self, message: Reply) -> None:
        self._router.send_multipart([self._peer, messages.encode(message)])

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
                    model="decentralized",
                )
            case Heartbeat():
                return Alive(id=request.id, epoch=self.epoch, known=self.knows_sessions)
            case Disconnect():
                return Disconnected(id=request.id)
        return None


def events_of(frame: bytes) -> list[Event]:
    """The events in a frame, which may be a batch."""
    topic, _, body = frame.partition(b"\0")
    if not is_batch(frame, len(topic)):
        return [decode_event(frame, time.time_ns())]
    batch = decode_batch_body(body)
    batch.topic = topic.decode()
    return batch.events()


class RawSubscriber:
    """A SUB socket, as a subscriber or a broker's forwarder would connect it."""

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
        """The next event; answers of the ready handshake are passed over."""
        while not self._waiting:
            frame = self.socket.recv()
            if decode_ready_reply(frame) is None:
                self._waiting += events_of(frame)
        return self._waiting.popleft()

    def next_answer(self) -> tuple[str, Event]:
        """The next answer of the ready handshake; events are passed over."""
        while True:
            answer = decode_ready_reply(self.socket.recv())
            if answer is not None:
                return answer

    def events(self, count: int) -> list[Event]:
        """The next ``count`` events."""
        return [self.next_event() for _ in range(count)]

    def close(self) -> None:
        self.socket.close(linger=0)

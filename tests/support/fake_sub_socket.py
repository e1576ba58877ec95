"""A substitute for the SUB socket of a subscriber: frames that wait to be received."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import zmq

from pubsub_common.protocol.events import ready_topic
from pubsub_subscriber.connections.interrupter import interrupt_message

SUBSCRIBER = 9
# The result of a wait in the socket that another thread interrupts.
INTERRUPT = interrupt_message(ready_topic("A", SUBSCRIBER))


class FakeSubSocket:
    """The part of `SubSocket` that the receiving thread uses. A wait for more frames
    than there are is interrupted."""

    only_session: int | None = None
    lane: None = None
    interrupt_message = INTERRUPT
    patience_ms = -1

    def __init__(self, fd: int, frames: Iterable[bytes]) -> None:
        self.fd = fd
        self.other_sessions: set[int] = set()
        self.shared: set[int] = set()  # memory of these publishers
        self.lock = threading.RLock()
        self.frames = deque(frames)
        self.closed = False
        self.most_held = 10_000

    def repeats(self, session: int) -> bool:
        return session in self.shared

    def receive_into(self, buffer: memoryview, *, flags: int = 0) -> int:
        if not self.frames:
            if flags:
                raise zmq.Again
            self.frames.append(INTERRUPT)
        frame = self.frames.popleft()
        buffer[: len(frame)] = frame
        return len(frame)

    def set_patience(self, patience_ms: int) -> None:
        self.patience_ms = patience_ms

    def receive_frame(self, _flags: int) -> Any:
        if not self.frames:
            raise zmq.Again
        return zmq.Frame(self.frames.popleft())

    def drop_parts(self, _buffer: memoryview) -> bool:
        return False

    def events(self) -> int:
        return zmq.POLLIN if self.frames else 0

    def waits(self) -> bool:
        return bool(self.frames)

    def close(self, _linger_s: float) -> None:
        self.closed = True

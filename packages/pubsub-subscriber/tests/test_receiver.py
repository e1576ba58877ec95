"""From several sockets to events: nothing that waits is overlooked."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import zmq
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.events import encode_event, encode_ready_answer
from pubsub_common.sockets import Waker
from pubsub_subscriber.intake import Intake
from pubsub_subscriber.receiver import Receiver
from pubsub_subscriber.streams import Streams

PUBLISHER, SUBSCRIBER = 7, 9


class FakeInlet:
    """A socket with frames in it."""

    only = None

    def __init__(self, fd: int, frames: list[bytes]) -> None:
        self.fd = fd
        self.also: set[int] = set()
        self.lock = threading.Lock()
        self.frames = deque(frames)

    def receive_frame(self, _flags: int, copy: bool = True) -> Any:
        if not self.frames:
            raise zmq.Again
        frame = self.frames.popleft()
        return frame if copy else zmq.Frame(frame)

    def events(self) -> int:
        return zmq.POLLIN if self.frames else 0

    def waits(self) -> bool:
        return bool(self.frames)


FRAMES = st.lists(st.sampled_from(["answer", "event", "large", "garbage"]), max_size=8)


@given(st.tuples(FRAMES, FRAMES, FRAMES))
def test_who_fetches_until_nothing_waits_has_it_all(
    kinds: tuple[list[str], ...],
) -> None:
    streams = Streams()
    intake = Intake(["A"], streams, threading.Lock(), lambda: 5, lambda _gap: None)
    receiver = Receiver(intake, None, lambda: None, lambda: False, lambda: None)
    receiver.waker = Waker()
    sent = 0
    for number, one in enumerate(kinds):
        frames = []
        for index, kind in enumerate(one):
            payload = bytes(5000 if kind == "large" else 1)
            sent += kind in ("event", "large")
            frames.append(
                {
                    "answer": encode_ready_answer("A", SUBSCRIBER, "p", number, 0),
                    "garbage": b"A\0\x95garbage",
                }.get(kind)
                or encode_event("A", "p", number, index, 1, payload)
            )
        receiver.inlets[number] = FakeInlet(number, frames)  # type: ignore[assignment]

    items: list[Any] = []
    while receiver.fetch(items):
        pass
    receiver.waker.close()

    assert len(items) == sent
    assert not intake.held
    assert not any(inlet.events() for inlet in receiver.inlets.values())

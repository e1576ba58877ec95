"""From several sockets to events: nothing that waits is overlooked."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, cast

import zmq
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.net.sockets import Waker
from pubsub_common.protocol.batches import Batch, encode_batch_body
from pubsub_common.protocol.events import (
    encode_event,
    encode_ready_reply,
    ready_topic,
    topic_prefix,
)
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.receiving.fast_path import Intake
from pubsub_subscriber.receiving.receiver import Receiver
from pubsub_subscriber.streams.stream_table import Streams

PUBLISHER, SUBSCRIBER = 7, 9
RING = ready_topic("A", SUBSCRIBER) + b"\0\xc0"


class FakeInlet:
    """A socket with frames in it."""

    only = None
    bell_message = RING

    def __init__(self, fd: int, frames: list[bytes]) -> None:
        self.fd = fd
        self.also: set[int] = set()
        self.lock = threading.Lock()
        self.frames = deque(frames)

    def receive_frame(self, flags: int, copy: bool = True) -> Any:
        if not self.frames:
            if flags == 0:  # who would wait is called
                return RING if copy else zmq.Frame(RING)
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
    receiver = Receiver(intake, None, lambda: None, lambda _: False, lambda: None)
    receiver.waker = Waker()
    sent = 0
    for number, one in enumerate(kinds):
        frames = []
        for index, kind in enumerate(one):
            payload = bytes(5000 if kind == "large" else 1)
            sent += kind in ("event", "large")
            frames.append(
                {
                    "answer": encode_ready_reply("A", SUBSCRIBER, "p", number, 0),
                    "garbage": b"A\0\x95garbage",
                }.get(kind)
                or encode_event("A", "p", number, index, 1, payload)
            )
        receiver.sockets.add(number, cast(Inlet, FakeInlet(number, frames)))

    items: list[Any] = []
    while receiver.fetch(items):
        pass
    receiver.waker.close()

    assert len(items) == sent
    assert not intake.held
    assert not any(inlet.events() for inlet in receiver.sockets.open)


KINDS = ["event", "large", "other topic", "batch", "gap", "again", "garbage", "answer"]


def frames_of(kinds: list[str]) -> list[bytes]:
    """Messages of one publisher, one for each kind."""
    frames: list[bytes] = []
    following = {"A": 0, "B": 0}
    for kind in kinds:
        topic = "B" if kind == "other topic" else "A"
        number = following[topic] + 3 * (kind == "gap")
        if kind == "again":
            number = max(0, number - 1)
        payload = bytes(5000 if kind == "large" else number % 7)
        if kind == "garbage":
            frames.append(b"A\0\x95garbage")
        elif kind == "answer":
            frames.append(
                encode_ready_reply("A", SUBSCRIBER, "p", PUBLISHER, following["A"])
            )
        elif kind == "batch":
            body = encode_batch_body("p", PUBLISHER, number, [1, 2], [b"x", b"y"])
            frames.append(topic_prefix("A") + body)
            following["A"] += 2
        else:
            frames.append(encode_event(topic, "p", PUBLISHER, number, 1, payload))
            following[topic] = max(following[topic], number + 1)
    return frames


def new_intake(streams: Streams) -> Intake:
    return Intake(["A", "B"], streams, threading.Lock(), lambda: 5, lambda _gap: None)


@given(st.lists(st.sampled_from(KINDS), max_size=20))
def test_who_waits_in_the_socket_receives_what_others_fetch(kinds: list[str]) -> None:
    frames = frames_of(kinds)
    fetched: list[Any] = []
    others = Streams()
    receiver = Receiver(
        new_intake(others), None, lambda: None, lambda _: False, lambda: None
    )
    receiver.waker = Waker()
    receiver.sockets.add(0, cast(Inlet, FakeInlet(0, frames)))
    while receiver.fetch(fetched):
        pass
    receiver.waker.close()

    streams = Streams()
    intake = new_intake(streams)
    inlet = FakeInlet(0, frames)
    received: list[Any] = []
    while inlet.frames or (intake.held and intake.held[0] != RING):
        intake.take_held(received)
        for events in intake.stream(inlet):  # type: ignore[arg-type]
            received += events

    assert not any(isinstance(item, Batch) for item in received)
    assert received == fetched
    assert streams.counts() == others.counts()
    assert intake.malformed_count == kinds.count("garbage")


def test_a_flood_of_what_nobody_wants_ends_the_wait_in_the_socket() -> None:
    class Flooded(FakeInlet):
        def receive_frame(self, flags: int, copy: bool = True) -> Any:
            if self.frames:
                return super().receive_frame(flags, copy)
            raise zmq.Again  # as `Inlet.restrict` has it

    streams = Streams()
    intake = new_intake(streams)
    inlet = Flooded(0, frames_of(["event", "event", "event"]))
    received: list[Any] = []

    intake.take(inlet, received, batches=False)  # type: ignore[arg-type]
    intake.take_held(received)
    for events in intake.stream(inlet):  # type: ignore[arg-type]
        received += events

    assert [event.sequence for event in received] == [0, 1, 2]
    assert not inlet.lock.locked()

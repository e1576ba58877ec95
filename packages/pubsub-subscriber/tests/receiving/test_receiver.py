"""From several sockets to events: nothing that waits is overlooked."""

from __future__ import annotations

from typing import Any, cast

import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.core_steps import new_performer
from support.fake_sub_socket import INTERRUPT, SUBSCRIBER, FakeSubSocket

from pubsub_common.net.waker import Waker
from pubsub_common.protocol.batches import Batch, encode_batch_body
from pubsub_common.protocol.events import (
    encode_event,
    encode_ready_reply,
    topic_prefix,
)
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.receiver import Receiver

PUBLISHER = 7

FRAMES = st.lists(st.sampled_from(["answer", "event", "large", "garbage"]), max_size=8)


@given(st.tuples(FRAMES, FRAMES, FRAMES))
def test_fetching_until_nothing_waits_yields_all(
    kinds: tuple[list[str], ...],
) -> None:
    receiver = new_receiver("A")
    fast_path = receiver.fast_path
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
        receiver.sockets.add(number, cast(SubSocket, FakeSubSocket(number, frames)))

    items: list[Any] = []
    while receiver.fetch(items):
        pass
    receiver.waker.close()

    assert len(items) == sent
    assert not fast_path.deferred
    assert not any(sub_socket.events() for sub_socket in receiver.sockets.open)


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


def new_receiver(*topics: str) -> Receiver:
    """A receiver without connections."""
    performer = new_performer(*topics)
    return Receiver(performer, lambda: 5, None, lambda: None)


@given(st.lists(st.sampled_from(KINDS), max_size=20))
def test_waiting_in_the_socket_receives_what_fetching_receives(
    kinds: list[str],
) -> None:
    frames = frames_of(kinds)
    fetched: list[Any] = []
    receiver = new_receiver("A", "B")
    receiver.waker = Waker()
    receiver.sockets.add(0, cast(SubSocket, FakeSubSocket(0, frames)))
    while receiver.fetch(fetched):
        pass
    receiver.waker.close()

    performer = new_performer("A", "B")
    fast_path = FastPath(performer, lambda: 5)
    sub_socket = FakeSubSocket(0, frames)
    received: list[Any] = []
    while sub_socket.frames or (
        fast_path.deferred and fast_path.deferred[0] != INTERRUPT
    ):
        fast_path.take_deferred(received)
        for events in fast_path.receive_waiting(sub_socket):  # type: ignore[arg-type]
            received += events

    assert not any(isinstance(item, Batch) for item in received)
    assert received == fetched
    assert performer.counts() == receiver.performer.counts()
    assert performer.core.malformed_count == kinds.count("garbage")


def test_a_flood_of_what_nobody_wants_ends_the_wait_in_the_socket() -> None:
    class Flooded(FakeSubSocket):
        def receive_frame(self, flags: int, copy: bool = True) -> Any:
            if self.frames:
                return super().receive_frame(flags, copy)
            raise zmq.Again  # as `SubSocket.restrict_to` has it

    performer = new_performer("A", "B")
    fast_path = FastPath(performer, lambda: 5)
    sub_socket = Flooded(0, frames_of(["event", "event", "event"]))
    received: list[Any] = []

    fast_path.take(sub_socket, received, batches=False)  # type: ignore[arg-type]
    fast_path.take_deferred(received)
    for events in fast_path.receive_waiting(sub_socket):  # type: ignore[arg-type]
        received += events

    assert [event.sequence for event in received] == [0, 1, 2]
    assert sub_socket.lock.acquire(blocking=False)

"""From several sockets to events: nothing that waits is overlooked."""

from __future__ import annotations

from typing import cast

import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.core_steps import new_performer
from support.fake_sub_socket import SUBSCRIBER, FakeSubSocket

from pubsub_common.protocol.batches import Batch, batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    Event,
    encode_event,
    encode_ready_reply,
)
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.receiver import Receiver

PUBLISHER = 7

FRAMES = st.lists(st.sampled_from(["answer", "event", "large", "garbage"]), max_size=8)


@given(st.tuples(FRAMES, FRAMES, FRAMES))
def test_fetching_until_nothing_waits_yields_all(
    kinds: tuple[list[str], ...],
) -> None:
    receiver = new_receiver("A")
    sent = 0
    for number, one in enumerate(kinds):
        frames = []
        for index, kind in enumerate(one):
            payload = bytes(5000 if kind == "large" else 1)
            sent += kind in ("event", "large")
            frames.append(
                {
                    "answer": encode_ready_reply("A", SUBSCRIBER, "p", number, 0),
                    "garbage": b"A\0\1\x95garbage",
                }.get(kind)
                or encode_event("A", "p", number, index, 1, payload)
            )
        receiver.sockets.add(number, cast(SubSocket, FakeSubSocket(number, frames)))

    while receiver.fetch():
        pass

    assert receiver.buffered_count() == sent
    assert len(all_of(receiver)) == sent
    assert not any(sub_socket.events() for sub_socket in receiver.sockets.open)
    receiver.close()


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
            frames.append(b"A\0\1\x95garbage")
        elif kind == "answer":
            frames.append(
                encode_ready_reply("A", SUBSCRIBER, "p", PUBLISHER, following["A"])
            )
        elif kind == "batch":
            body = encode_batch_body("p", PUBLISHER, number, [1, 2], [b"x", b"y"])
            frames.append(batch_prefix("A") + body)
            following["A"] += 2
        else:
            frames.append(encode_event(topic, "p", PUBLISHER, number, 1, payload))
            following[topic] = max(following[topic], number + 1)
    return frames


def new_receiver(*topics: str) -> Receiver:
    receiver = Receiver(new_performer(*topics), lambda: 5, None, lambda: None)
    receiver.open()
    return receiver


def all_of(receiver: Receiver) -> list[Event]:
    """All events that have arrived."""
    return list(iter(lambda: receiver.receive(0.0), None))


@given(st.lists(st.sampled_from(KINDS), max_size=20))
def test_waiting_in_the_socket_receives_what_fetching_receives(
    kinds: list[str],
) -> None:
    frames = frames_of(kinds)
    receiver = new_receiver("A", "B")
    receiver.sockets.add(0, cast(SubSocket, FakeSubSocket(0, frames)))
    while receiver.fetch():
        pass
    fetched = all_of(receiver)
    receiver.close()

    performer, queue = new_performer("A", "B"), EventQueue(None, None)
    fast_path = FastPath(performer.core, queue, lambda: 5)
    sub_socket = cast(SubSocket, FakeSubSocket(0, frames))
    received = waiting_in(sub_socket, fast_path, performer, queue)

    assert not any(isinstance(item, Batch) for item in received)
    assert received == fetched
    assert performer.counts() == receiver.performer.counts()
    assert performer.core.malformed_count == kinds.count("garbage")


def waiting_in(
    sub_socket: SubSocket, fast_path: FastPath, performer: Performer, queue: EventQueue
) -> list[Event]:
    """All events that come by waiting in the socket."""
    received: list[Event] = []
    while sub_socket.events() or fast_path.deferred is not None:
        if fast_path.deferred is not None:
            performer.take(*fast_path.deferred, received)
            fast_path.deferred = None
        take_next = fast_path.waiting_in(sub_socket)
        while take_next(-1):
            assert fast_path.is_ready()
            received += queue.burst
    return received


def test_a_flood_of_what_nobody_wants_ends_the_wait_in_the_socket() -> None:
    class Flooded(FakeSubSocket):
        def receive_into(self, buffer: memoryview, *, flags: int = 0) -> int:
            if self.frames:
                return super().receive_into(buffer, flags=flags)
            raise zmq.Again  # as `SubSocket.restrict_to` has it

    performer, queue = new_performer("A", "B"), EventQueue(None, None)
    fast_path = FastPath(performer.core, queue, lambda: 5)
    flooded = Flooded(0, frames_of(["event", "event", "event"]))

    received = waiting_in(cast(SubSocket, flooded), fast_path, performer, queue)

    assert [event.sequence for event in received] == [0, 1, 2]
    assert flooded.lock.acquire(blocking=False)

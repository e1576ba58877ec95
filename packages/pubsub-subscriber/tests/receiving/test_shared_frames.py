"""References to frames in shared memory: every event of a subscribed topic is delivered once,
in order, whatever else is in the memory, and at whichever line an exception comes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from typing import cast

import pytest
from support.core_steps import new_performer
from support.fake_sub_socket import FakeSubSocket
from support.interrupts import interrupted_at

import pubsub_subscriber
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import Event, encode_event
from pubsub_common.protocol.local_lane import encode_reference, reference_head
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.receiver import Receiver

SESSION = 7


class FakeRing:
    """Samples by number, as `RingReader` has them."""

    def __init__(self) -> None:
        self.samples: dict[int, bytes] = {}
        self._taken = 0

    def take(self, number: int, size: int) -> memoryview | None:
        frame = self.samples.get(number)
        assert frame is None or len(frame) == size
        self._taken = number
        return None if frame is None else memoryview(frame)

    def done(self) -> None:
        self.samples.pop(self._taken, None)


class FakeLane:
    """The memory of one publisher."""

    views = False

    def __init__(self) -> None:
        self.ring = FakeRing()
        self.references: dict[bytes, tuple[int, list[int]]] = {}

    def saw_large(self, session: int) -> None:
        assert session == SESSION

    def read(self, frame: bytes) -> tuple[FakeRing, int, list[int]]:
        return self.ring, *self.references[frame]


class Bench:
    """A receiver of topic A, with one socket and a publisher's memory."""

    def __init__(self) -> None:
        self.performer = new_performer("A")
        self.receiver = Receiver(self.performer, lambda: 5, None, lambda: None)
        self.receiver.open()
        self.lane = FakeLane()
        self.socket = FakeSubSocket(0, [])
        self.socket.lane = self.lane  # type: ignore[assignment]
        self.receiver.sockets.add(0, cast(SubSocket, self.socket))
        self._written = 0
        self.received: list[Event] = []

    def refer(self, *frames: bytes) -> None:
        """Write the frames into the memory, and send one reference to them."""
        first, sizes = self._written + 1, [len(frame) for frame in frames]
        reference = encode_reference(reference_head(SESSION), first, sizes)
        self.lane.references[reference] = first, sizes
        for number, frame in enumerate(frames, first):
            self.lane.ring.samples[number] = frame
        self._written += len(frames)
        self.socket.frames.append(reference)

    def receive(self) -> None:
        with contextlib.suppress(PubSubError):
            while (event := self.receiver.receive(0.0)) is not None:
                self.received.append(event)

    def numbers(self) -> list[int]:
        return [event.sequence for event in self.received]


def single(number: int, topic: str = "A", size: int = 1) -> bytes:
    return encode_event(topic, "p", SESSION, number, 1, bytes(size))


def several(first: int, count: int, topic: str = "A") -> bytes:
    payloads = [b"x"] * count
    body = encode_batch_body("p", SESSION, first, [1] * count, payloads)
    return batch_prefix(topic) + body


def mixed(bench: Bench, size: int) -> Iterable[int]:
    """Own events, single and in batches, with a number that no publisher of a known stream
    has, between events of another topic, and by TCP; their numbers."""
    bench.refer(single(0, size=size), single(0, "B", size), several(1, 3))
    bench.refer(several(1, 3, "B"))
    bench.refer(single(9, size=size), single(10, size=size), several(11, 2))
    bench.refer(several(4, 2, "B"), several(13, 2), single(15))
    bench.socket.frames.append(single(16, size=size))
    bench.refer(single(17, size=size), single(6, "B"), single(18))
    return itertools.chain(range(4), range(9, 19))


@pytest.mark.parametrize("size", [1, 200_000])
def test_events_of_other_topics_are_skipped_and_no_unusual_frame_is_lost(
    size: int,
) -> None:
    bench = Bench()
    expected = list(mixed(bench, size))

    bench.receive()

    assert bench.numbers() == expected
    core = bench.performer.core
    assert core.malformed_count == 0
    assert core.streams.counts().lost == 5
    assert bench.lane.ring.samples == {}


def test_an_exception_at_any_line_loses_nothing_and_repeats_nothing() -> None:
    for line in itertools.count(1):
        bench = Bench()
        expected = list(mixed(bench, 1))
        cut = interrupted_at(line, bench.receive, pubsub_subscriber)
        bench.receive()
        assert bench.numbers() == expected, line
        counts = bench.performer.core.streams.counts()
        assert (counts.lost, counts.duplicated) == (5, 0), line
        if not cut:
            break
    assert line > 100

"""Frames pass from a writer to readers, in order, and only while there is room."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("iceoryx2", reason="needs the extra pubsub-publisher[shm]")

from pubsub_common.shared_memory import ring_writer
from pubsub_common.shared_memory.library import Library, library
from pubsub_common.shared_memory.ring_reader import RingReader
from pubsub_common.shared_memory.ring_writer import RingWriter
from pubsub_common.shared_memory.samples import HEADER_BYTES, samples_of, slot_bytes

SIZES = (20_000, 40_000, 300_000)
# Other processes have other ones: a service has the name of its session.
_sessions = itertools.count(random.getrandbits(50))


class Clock:
    """In the place of the module time."""

    def __init__(self) -> None:
        self.now = 1.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, duration_s: float) -> None:
        self.now += duration_s


class Ring:
    """A writer and a reader, with memory for all sizes."""

    def __init__(self, shared: Library) -> None:
        session = next(_sessions)
        self.writer = RingWriter(shared, session, lambda: None)
        self.reader = RingReader(shared, session)
        for size in SIZES:
            assert not self.write(bytes(size))
        assert self.writer.work()
        assert not self.write(bytes(SIZES[0])), "the reader has not seen it"
        self.reader.look()
        self.writer.work()
        assert not self.writer.is_opening

    def read(self, number: int, size: int) -> bytes | None:
        view = self.reader.take(number, size)
        return None if view is None else bytes(view)

    def write(self, frame: bytes, wait_s: float = 0.0) -> int:
        slot = slot_bytes(HEADER_BYTES + len(frame))
        return self.writer.write(slot, (frame[:5], frame[5:]), 1, wait_s)


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring(library())
    yield ring
    ring.writer.close()
    ring.reader.close()


def test_a_frame_can_be_taken_again_until_it_is_done(ring: Ring) -> None:
    frame = bytes(range(256)) * 100
    number = ring.write(frame)
    for _ in range(2):
        assert ring.read(number, len(frame)) == frame
    ring.reader.done()
    assert ring.reader.take(number, len(frame)) is None
    assert ring.reader.take(number + 1, len(frame)) is None


def test_a_view_keeps_its_memory(ring: Ring) -> None:
    frame = bytes(SIZES[0])
    view = ring.reader.take(ring.write(frame), len(frame))
    ring.reader.done()
    while ring.write(b"\1" * SIZES[0]):
        pass
    assert view is not None
    assert bytes(view) == frame


def test_a_size_that_was_not_written_is_no_frame(ring: Ring) -> None:
    number = ring.write(bytes(SIZES[0]))
    assert ring.reader.take(number, SIZES[0] + 1) is None


def test_without_room_nothing_is_written_and_the_numbers_below_are_skipped(
    ring: Ring,
) -> None:
    size = SIZES[0]
    count = samples_of(slot_bytes(size))
    numbers = [ring.write(bytes(size)) for _ in range(count)]
    assert all(numbers)
    assert ring.write(bytes(size), 0.001) == 0
    assert ring.read(numbers[-1], size) == bytes(size)
    ring.reader.done()
    assert ring.write(bytes(size)) == numbers[-1] + 1


def test_samples_whose_references_are_lost_are_forgotten_when_told(ring: Ring) -> None:
    size = SIZES[0]
    while number := ring.write(bytes(size)):
        last = number
    assert ring.write(bytes(size), 0.02) == 0
    assert ring.writer.is_full
    ring.reader.look()
    assert not ring.write(bytes(size)), "a probe is not about samples"
    ring.reader.look(last - 1)
    assert ring.read(last, size) == bytes(size)
    assert ring.write(bytes(size)) == last + 1


def test_a_blocking_sender_waits_while_whole_frames_may_stand_before_references(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(ring_writer, "time", clock)
    size, writer = SIZES[0], ring.writer
    slot = slot_bytes(size)
    assert not writer.must_wait(slot), "it does not block"
    writer.waits.patient = True
    numbers = list(iter(lambda: ring.write(bytes(size)), 0))
    assert writer.must_wait(slot)
    clock.now += 0.9
    assert writer.must_wait(slot)
    clock.now += 0.2
    assert not writer.must_wait(slot), "long enough"
    assert not writer.must_wait(slot), "nobody reads"

    ring.read(numbers[-1], size)
    ring.reader.done()
    while ring.write(bytes(size)):
        pass
    assert writer.must_wait(slot), "somebody reads"
    clock.now += 1.0
    assert not writer.must_wait(slot)


def test_a_write_that_must_not_wait_takes_no_time_from_those_that_may(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(ring_writer, "time", clock)
    size = SIZES[0]
    first = last = ring.write(bytes(size))
    while number := ring.write(bytes(size)):
        last = number

    def sleep(duration_s: float) -> None:
        nonlocal first
        clock.now += duration_s
        if ring.reader.take(first, size) is not None:
            ring.reader.done()
            first += 1

    monkeypatch.setattr(clock, "sleep", sleep)
    # It waits for a small part of the time only.
    for _ in range(1000):
        clock.now += 0.005
        last += 1
        assert ring.write(bytes(size), 0.01) == last
        assert not ring.write(bytes(size), 0.0)


def test_a_missing_reader_is_noticed(ring: Ring) -> None:
    assert ring.writer.write(slot_bytes(SIZES[0]), (bytes(SIZES[0]),), 2, 0.0) == 0


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(SIZES), st.booleans()), max_size=60))
def test_frames_of_all_sizes_are_read_in_the_order_of_their_numbers(
    ring: Ring, steps: list[tuple[int, bool]]
) -> None:
    """With any pattern of writes and reads, also while there is no room."""
    written: list[tuple[int, bytes]] = []
    for index, (size, reads) in enumerate(steps):
        frame = bytes([index % 256]) * size
        number = ring.write(frame)
        if number:
            written.append((number, frame))
        if reads and written:
            first, expected = written.pop(0)
            assert ring.read(first, len(expected)) == expected
            ring.reader.done()
    for number, frame in written:
        assert ring.read(number, len(frame)) == frame
        ring.reader.done()

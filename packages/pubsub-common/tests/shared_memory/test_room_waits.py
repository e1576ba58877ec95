"""How long senders wait for room in shared memory, without any memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.defaults import SHARED_MEMORY_WAIT_S
from pubsub_common.shared_memory.room_waits import MOST_BEHIND_S, RoomWaits

SIZE = 65_536


@pytest.fixture
def waits() -> RoomWaits:
    return RoomWaits()


def wait(waits: RoomWaits, now: float, most_s: float = 1.0) -> float:
    """Wait for as long as is allowed; the time."""
    until = waits.begin(now, most_s)
    waits.end(until)
    return until - now


def test_nobody_waits_again_while_no_sample_becomes_free(waits: RoomWaits) -> None:
    assert wait(waits, 1.0) == pytest.approx(SHARED_MEMORY_WAIT_S)
    assert waits.stuck
    assert wait(waits, 9.0) == 0
    waits.found(9.1)
    assert not waits.stuck
    assert wait(waits, 9.1) == pytest.approx(SHARED_MEMORY_WAIT_S)


def test_a_wait_is_no_longer_than_it_may_be(waits: RoomWaits) -> None:
    assert wait(waits, 1.0, 0.001) == pytest.approx(0.001)
    assert not waits.spent


def test_a_patient_sender_may_wait_again_after_each_sample(waits: RoomWaits) -> None:
    waits.patient = True
    now = 1.0
    for _ in range(5):
        waits.found(now)
        waited_s = wait(waits, now)
        assert waited_s == pytest.approx(SHARED_MEMORY_WAIT_S)
        now += waited_s


@given(st.lists(st.floats(0.0, 0.02), min_size=1, max_size=50))
def test_others_wait_for_three_quarters_of_the_time(pauses_s: list[float]) -> None:
    waits = RoomWaits()
    began_at = now = 1.0
    waited_s = 0.0
    for pause_s in pauses_s:
        now += pause_s
        waits.found(now)
        this_s = wait(waits, now)
        waited_s += this_s
        now += this_s
    # One wait in advance.
    assert waited_s <= 0.75 * (now - began_at) + SHARED_MEMORY_WAIT_S + 1e-9


def test_whole_frames_before_references_are_waited_for_once(waits: RoomWaits) -> None:
    waits.opened()
    assert waits.waits_behind(1.0, SIZE)
    assert waits.waits_behind(1.0 + 0.9 * MOST_BEHIND_S, SIZE)
    assert not waits.waits_behind(1.1 + MOST_BEHIND_S, SIZE), "long enough"
    assert not waits.waits_behind(3.0, SIZE), "nobody reads"
    waits.found(3.0)
    assert waits.waits_behind(3.0, SIZE), "somebody reads"


def test_the_rest_of_a_wait_is_kept_when_there_is_room_meanwhile(
    waits: RoomWaits,
) -> None:
    waits.opened()
    assert waits.waits_behind(1.0, SIZE)
    waits.found(1.25 * MOST_BEHIND_S)
    assert waits.waits_behind(2.0, SIZE)
    assert waits.waits_behind(2.0 + 0.7 * MOST_BEHIND_S, SIZE)
    assert not waits.waits_behind(2.0 + 0.8 * MOST_BEHIND_S, SIZE)


def test_each_whole_frame_adds_to_the_wait(waits: RoomWaits) -> None:
    for _ in range(1000):
        assert not waits.waits_behind(1.0, 0)
    assert not waits.waits_behind(1.0, 2**20)
    assert waits.waits_behind(1.0, 2**20)
    assert not waits.waits_behind(1.1, 2**20)

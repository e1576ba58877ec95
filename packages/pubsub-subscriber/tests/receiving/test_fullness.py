"""When so much waits for the program that no more is taken in."""

from __future__ import annotations

import pytest

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.receiving import fullness
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fullness import Fullness
from pubsub_subscriber.receiving.reports import ReceptionReports
from pubsub_subscriber.streams.effects import Lost

LIMIT = 10 * EVENT_OVERHEAD_BYTES
EVENT = Event("p", 1, 0, 0, b"x" * EVENT_OVERHEAD_BYTES)


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fullness, "RECEIVED_AHEAD_BYTES", LIMIT)
    monkeypatch.setattr(fullness, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(fullness, "_LARGEST_PART", float("inf"))


def test_events_count_with_what_python_needs_for_them() -> None:
    queue = EventQueue(None, None)
    is_full = Fullness(queue, ReceptionReports(None))
    queue.incoming += [EVENT] * 5
    assert not is_full()

    queue.buffer_incoming()
    queue.incoming.append(EVENT)
    assert is_full()


def test_batches_count_with_all_their_events() -> None:
    queue = EventQueue(None, None)
    is_full = Fullness(queue, ReceptionReports(None))
    queue.incoming.append(Batch("p", 1, 0, 0, [0] * 11, [b""] * 11))

    assert is_full()


def test_reports_count_which_wait_until_the_program_receives() -> None:
    """A publisher can make up losses without sending any event."""
    reports = ReceptionReports(None)
    is_full = Fullness(EventQueue(None, None), reports)
    for number in range(11):
        assert not is_full()
        reports.add(Lost(Gap(1, "A", 2 * number, 2 * number)))

    assert is_full()
    reports.tell()
    assert not is_full()


def test_when_events_are_taken_it_is_looked_at_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fullness, "_LOOK_EVERY_S", 3600.0)
    queue = EventQueue(None, None)
    is_full = Fullness(queue, ReceptionReports(None))
    queue.incoming += [EVENT] * 6
    assert is_full()

    assert queue.start_burst()
    assert len(list(queue.burst)) == 6
    assert not is_full()

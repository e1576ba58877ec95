"""Latencies in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.events import Event
from pubsub_subscriber.measurement.latency_recorder import LatencyRecorder

latencies = st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1)
names = st.sampled_from(["10.0.0.1:5556", "10.0.0.2:5556"])
topics = st.sampled_from(["A", "AB", "é"])


def event(publisher: str, topic: str, latency_ns: int) -> Event:
    return Event(
        publisher=publisher,
        session=1,
        sequence=0,
        published_ns=1_000,
        payload=b"",
        topic=topic,
        received_ns=1_000 + latency_ns,
    )


def test_a_new_recorder_has_no_rows() -> None:
    recorder = LatencyRecorder()

    assert len(recorder) == 0
    assert list(recorder.rows()) == []


@given(st.lists(st.tuples(names, topics, latencies)))
def test_rows_come_out_as_they_went_in(rows: list[tuple[str, str, int]]) -> None:
    recorder = LatencyRecorder()

    for row in rows:
        recorder.add(event(*row))

    assert len(recorder) == len(rows)
    assert list(recorder.rows()) == rows


def test_a_negative_latency_is_kept() -> None:
    recorder = LatencyRecorder()

    recorder.add(event("10.0.0.1:5556", "A", -5))

    assert list(recorder.rows()) == [("10.0.0.1:5556", "A", -5)]


def test_a_nonsensical_stamp_of_a_peer_costs_no_row() -> None:
    recorder = LatencyRecorder()

    recorder.add(event("10.0.0.1:5556", "A", 2**63))
    recorder.add(event("10.0.0.1:5556", "A", -(2**64)))
    recorder.add(event("10.0.0.1:5556", "A", 7))

    latencies_ns = [row[2] for row in recorder.rows()]
    assert latencies_ns == [2**63 - 1, -(2**63) + 1, 7]


def test_rows_can_be_read_twice() -> None:
    recorder = LatencyRecorder()
    recorder.add(event("10.0.0.1:5556", "A", 5))

    assert list(recorder.rows()) == list(recorder.rows())

"""Which events are handled, and when the handling ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.protocol.events import Event
from pubsub_subscriber.output.handling import EventFilter, Handling
from pubsub_subscriber.subscriber import Subscriber


def event(topic: str) -> Event:
    return Event("p", 0, 0, 0, b"", topic)


class Collected:
    """An output that keeps topics."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.closed = False

    def write(self, event: Event) -> None:
        self.topics.append(event.topic)

    def flush(self) -> None: ...

    def check(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Arriving:
    """A subscriber that receives these topics, and then ends."""

    def __init__(self, topics: Iterator[str]) -> None:
        self.latencies = LatencyHistogram()
        self._topics = topics

    def receive(self, timeout_s: float) -> Event | None:
        topic = next(self._topics, None)
        return None if topic is None else event(topic)


def handle(
    topics: Iterator[str], **options: object
) -> tuple[Collected, Handling, bool]:
    output = Collected()
    handled = Handling(output, **options)  # type: ignore[arg-type]
    ended = handled.run(cast(Subscriber, Arriving(topics)))
    return output, handled, ended


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["a"], ["a/b", "b"]),
        (["a/#"], ["b"]),
        (["+"], ["a/b"]),
        (["a", "b"], ["a/b"]),
        ([], ["a", "a/b", "b"]),
    ],
)
def test_excluded_topics_are_left_out(exclude: list[str], left: list[str]) -> None:
    output, _, _ = handle(iter(["a", "a/b", "b"]), filter=EventFilter(exclude, 100))

    assert output.topics == left
    assert output.closed


def test_a_sample_is_a_part_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.05, 0.95, 0.1, 0.099])
    monkeypatch.setattr("random.random", lambda: next(drawn))

    output, _, _ = handle(iter("abcd"), filter=EventFilter([], 10))

    assert output.topics == ["a", "d"]


def test_the_limit_counts_what_was_not_left_out() -> None:
    chosen = EventFilter(["noise"], 100)
    arriving = iter(["noise", "a", "noise", "b", "c"])

    output, handled, ended = handle(arriving, filter=chosen, limit=2)

    assert (output.topics, handled.handled, ended) == (["a", "b"], 2, True)
    assert next(arriving) == "c"


def test_events_that_are_left_out_do_not_keep_it_from_ending() -> None:
    def noise() -> Iterator[str]:
        while True:
            yield "noise"

    chosen = EventFilter(["noise"], 100)

    output, _, ended = handle(noise(), filter=chosen, timeout_s=0.05)

    assert (output.topics, ended) == ([], False)


def test_the_time_for_the_first_event_has_begun_before() -> None:
    output, _, ended = handle(
        iter(["noise", "a"]),
        filter=EventFilter(["noise"], 100),
        timeout_s=5.0,
        since=-9.0,
    )

    assert (output.topics, ended) == ([], False)

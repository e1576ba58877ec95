"""The sample of latencies that heartbeats tell of."""

from __future__ import annotations

import threading
from collections import Counter

import msgspec
import pytest

from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Heartbeat, Latency
from pubsub_subscriber.measurement.latency_sampler import CAPACITY, LatencySampler


def event(latency_ns: int) -> Event:
    return Event("p", 1, 0, 1000, b"", "A", 1000 + latency_ns)


class Deliveries:
    """What a receiver does with a sampler."""

    def __init__(self) -> None:
        self.sampler = LatencySampler()
        self.count = 0

    def __call__(self, events: list[Event] | Batch) -> None:
        self.count += len(events)
        if self.count > self.sampler.due:
            self.sampler.take(events, self.count)

    def one_by_one(self, *latencies_ns: int) -> None:
        for latency_ns in latencies_ns:
            self([event(latency_ns)])

    def summary(self) -> Latency | None:
        return self.sampler.summary(self.count)


@pytest.fixture
def deliver() -> Deliveries:
    return Deliveries()


def test_without_events_there_is_no_latency(deliver: Deliveries) -> None:
    assert deliver.summary() is None
    deliver.one_by_one(5)
    assert deliver.summary() is not None
    assert deliver.summary() is None


def test_of_few_events_all_count(deliver: Deliveries) -> None:
    deliver.one_by_one(*range(100, 0, -1))
    assert deliver.summary() == Latency(count=100, p50_ns=50, p99_ns=99, max_ns=100)
    deliver([event(7)])
    assert deliver.summary() == Latency(count=1, p50_ns=7, p99_ns=7, max_ns=7)


def test_bursts_and_batches_count_event_by_event(deliver: Deliveries) -> None:
    deliver([event(1), event(2), event(3)])
    deliver(Batch("p", 1, 0, 1000, [0, 4], [b"", b""], "A", 1014))
    assert deliver.summary() == Latency(count=5, p50_ns=3, p99_ns=14, max_ns=14)


def test_of_many_events_a_bounded_sample_stands_for_all(deliver: Deliveries) -> None:
    for burst in range(10_000):
        deliver([event(64 * burst + number) for number in range(64)])
    sampled = deliver.sampler._values_ns
    assert CAPACITY // 4 < len(sampled) < CAPACITY
    found = deliver.summary()
    assert found is not None
    assert found.count == 640_000
    # It is spread evenly over them.
    assert found.p50_ns == pytest.approx(320_000, rel=0.15)
    assert found.p99_ns == pytest.approx(640_000 * 0.99, rel=0.02)


@pytest.mark.parametrize("turns", [2, 8, 16, 64])
def test_publishers_that_take_turns_are_sampled_alike(
    deliver: Deliveries, turns: int
) -> None:
    hits: Counter[int] = Counter()
    for _ in range(20):
        for _ in range(100):
            deliver([event(number % turns) for number in range(1024)])
        hits.update(deliver.sampler._values_ns)
        deliver.summary()
    mean = sum(hits.values()) / turns
    assert min(hits[turn] for turn in range(turns)) > 0.5 * mean
    assert max(hits.values()) < 1.6 * mean


def test_few_events_after_many_are_seen_at_once(deliver: Deliveries) -> None:
    for _ in range(1000):
        deliver([event(1)] * 1000)
    deliver.summary()
    deliver.one_by_one(9)
    deliver.summary()
    deliver.one_by_one(9, 8, 9)
    assert deliver.summary() == Latency(count=3, p50_ns=9, p99_ns=9, max_ns=9)


def test_nonsensical_stamps_can_be_reported(deliver: Deliveries) -> None:
    deliver([event(-(2**63)), event(2**63)])
    latency = deliver.summary()
    assert latency is not None
    assert (latency.p50_ns, latency.max_ns) == (-(2**62) + 1, 2**62 - 1)
    heartbeat = Heartbeat(id=1, session=1, latency=latency)
    assert messages.decode_request(messages.encode(heartbeat)) == heartbeat


def test_events_that_are_put_back_count_once_more_at_most(deliver: Deliveries) -> None:
    deliver([event(1)] * 10)
    deliver.count -= 9
    deliver.sampler.summary(deliver.count)
    deliver([event(1)] * 9)
    found = deliver.summary()
    assert found is not None
    assert found.count == 9


def test_two_threads_do_not_disturb_each_other(deliver: Deliveries) -> None:
    """The control thread takes summaries while the other one delivers."""
    ended = threading.Event()

    def receive() -> None:
        for _ in range(3000):
            deliver([event(3)] * 50)
        ended.set()

    thread = threading.Thread(target=receive)
    thread.start()
    total = 0
    while not ended.is_set() or not total:
        found = deliver.summary()
        if found is not None:
            total += found.count
            assert msgspec.structs.astuple(found)[1:] == (3, 3, 3)
    thread.join()
    deliver.one_by_one(3)
    assert deliver.summary() is not None

"""Measures how punctual a publisher is."""

from __future__ import annotations

import statistics
from typing import Final

from pubsub_perf.bench.footprint import Fact, Process
from pubsub_perf.bench.workload.ports import free_ports, wait_for_port
from pubsub_perf.hosts.interface import script
from pubsub_publisher import Publisher

_EVENTS: Final = 2000
_PERIOD_S: Final = 0.001
_WAIT_S: Final = 30.0


def lateness(repetitions: int) -> Fact:
    """The median lateness at 1,000 events/s (half a publisher's events are sent later
    after they were due), the median over repetitions."""
    control, data = free_ports(2)
    command = [script("pubsub-broker"), "-i", f"--port={control}"]
    with Process([*command, "--bind=127.0.0.1"]):
        wait_for_port(control, _WAIT_S)
        medians = [_median_us(control, data) for _ in range(repetitions)]
    name = "lateness of a publisher at 1,000 events/s, median"
    return Fact(5, name, round(statistics.median(medians), 1), "us", 50.0)


def _median_us(control: int, data: int) -> float:
    late_ns: list[int] = []

    def note(_topic: str, _sequence: int, due_ns: int, sent_ns: int) -> None:
        late_ns.append(sent_ns - due_ns)

    with Publisher(
        "127.0.0.1",
        ["A"],
        max_event_count=_EVENTS,
        sleep_period=_PERIOD_S,
        bind_port=data,
        broker_port=control,
        clock="monotonic",
        on_sent=note,
    ) as publisher:
        publisher.publish()
    return statistics.median(late_ns) / 1000

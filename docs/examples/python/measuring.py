"""A measuring loop of your own: one-way latency against payload size.

Events are due at start + k * period, whatever happens to those before: a delay then shows up
in the figures and does not slow the measurement down. The subscriber has a thread of its own,
as it would have a process of its own in earnest: then take `pubsub-perf`, which measures
whole networks.
"""

from __future__ import annotations

import threading
import time

from pubsub_broker import Broker
from pubsub_common.measurement.latency_histogram import LatencyHistogram, format_ns
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

SIZES = (16, 1024, 65_536)
COUNT = 200
PERIOD_NS = 1_000_000
WARM_UP = 20  # connections, caches and the processor's clock come up


def main() -> None:
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        try:
            for size in SIZES:
                measure(size, broker.port)
        finally:
            broker.stop()
            loop.join()


def measure(size: int, port: int) -> None:
    latencies = LatencyHistogram()
    late = LatencyHistogram()
    lost: list[int] = []

    # One clock for both: they are on one machine.
    with (
        Subscriber(
            topics=["load"], max_event_count=COUNT, broker_port=port, clock="monotonic"
        ) as subscriber,
        Publisher(topics=["load"], broker_port=port, clock="monotonic") as publisher,
    ):
        publisher.wait_for_subscribers(1, timeout_s=10)

        def receive() -> None:
            for event in subscriber:
                if event.sequence >= WARM_UP:
                    latencies.add(event.latency_ns)
            lost.append(subscriber.counts().lost)

        receiver = threading.Thread(target=receive)
        receiver.start()
        payload = bytes(size)
        start_ns = time.monotonic_ns() + PERIOD_NS
        for number in range(COUNT):
            due_ns = start_ns + number * PERIOD_NS
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            late.add(time.monotonic_ns() - due_ns)
            publisher.publish_event("load", payload)
        receiver.join(10)
        if receiver.is_alive():  # some were lost, so there are not enough
            subscriber.stop()
            receiver.join()

    half, most = latencies.percentile_ns(50), latencies.percentile_ns(99)
    lateness = late.percentile_ns(50)
    assert half is not None
    assert most is not None
    assert lateness is not None
    print(
        f"{size:6} B: {latencies.count} events, {lost[0]} lost, "
        f"latency p50 {format_ns(half)}, p99 {format_ns(most)}; "
        f"sent {format_ns(lateness)} late"
    )


if __name__ == "__main__":
    main()

"""Events that a subscriber was not there for: the publisher keeps a history, and whoever
comes later begins with the oldest event in it.

The same history fills gaps: a subscriber with ``recover=True`` asks for events that were
dropped on the way, and gets them in order.
"""

from __future__ import annotations

import threading

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


def main() -> None:
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        try:
            talk(broker.port)
        finally:
            broker.stop()
            loop.join()


def talk(port: int) -> None:
    # The last 100 events of each topic, and at most 1 MB of payload.
    with Publisher(
        topics=["prices"], history=100, history_bytes=1_000_000, broker_port=port
    ) as publisher:
        for number in range(150):
            publisher.publish_event("prices", f"price {number}")  # nobody listens

        with Subscriber(
            topics=["prices"], start="history", indefinite=True, broker_port=port
        ) as late:
            publisher.wait_for_subscribers(1, timeout_s=10)
            kept = take(late, 100)
            print(f"from the history: {kept[0]} to {kept[-1]}")

            for number in range(150, 153):
                publisher.publish_event("prices", f"price {number}")
            print("and then:", ", ".join(take(late, 3)))

            counts = late.counts()
            print(f"{counts.recovered} recovered, {counts.lost} lost")


def take(subscriber: Subscriber, count: int) -> list[str]:
    """The payloads of the next events."""
    texts: list[str] = []
    while len(texts) < count:
        event = subscriber.receive(timeout_s=10)
        if event is None:
            raise TimeoutError(f"{len(texts)} of {count} events came")
        texts.append(event.payload.decode())
    return texts


if __name__ == "__main__":
    main()

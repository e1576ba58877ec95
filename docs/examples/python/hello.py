"""A broker, a publisher and a subscriber in one program.

In a real system they are three, on any hosts: `pubsub-broker`, and two programs that are
given its address. Here the broker's loop runs in a thread.
"""

from __future__ import annotations

import threading

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


def main() -> None:
    with Broker(centralized=True, indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        try:
            talk(broker.port)
        finally:
            broker.stop()
            loop.join()


def talk(port: int) -> None:
    with (
        Subscriber(
            topics=["greetings"], centralized=True, max_event_count=3, broker_port=port
        ) as subscriber,
        Publisher(topics=["greetings"], broker_port=port) as publisher,
    ):
        # From here on nothing is missed. Without it the first events would go to nobody.
        publisher.wait_for_subscribers(1, timeout_s=10)
        for name in ("world", "moon", "stars"):
            publisher.publish_event("greetings", f"hello, {name}")

        for event in subscriber:
            print(event.payload.decode())


if __name__ == "__main__":
    main()

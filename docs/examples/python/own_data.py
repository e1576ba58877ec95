"""Data of your own as JSON: a dataclass goes in, and the same dataclass comes out.

The payload of an event is bytes, and what they mean is between the programs. JSON can be read
by any language and changes well; `msgspec` writes it, and checks what it reads.
"""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime

import msgspec

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


@dataclasses.dataclass(frozen=True)
class Reading:
    station: str
    celsius: float
    taken: datetime


READINGS = [
    Reading("harbour", 11.5, datetime(2024, 5, 1, 6, 0, tzinfo=UTC)),
    Reading("hill", 7.25, datetime(2024, 5, 1, 6, 0, tzinfo=UTC)),
    Reading("harbour", 12.0, datetime(2024, 5, 1, 7, 0, tzinfo=UTC)),
]


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
    decode = msgspec.json.Decoder(Reading).decode
    with (
        Subscriber(
            topics=["harbour", "hill"], max_event_count=4, broker_port=port
        ) as subscriber,
        Publisher(topics=["harbour", "hill"], broker_port=port) as publisher,
    ):
        publisher.wait_for_subscribers(1, timeout_s=10)
        for reading in READINGS:
            publisher.publish_json(reading.station, reading)
        publisher.publish_event("hill", "a text that is no reading")

        for event in subscriber:
            try:
                reading = decode(event.payload)
            except msgspec.DecodeError as error:
                # Whoever publishes may be older or newer than we are.
                print(f"{event.topic}: not a reading: {error}")
            else:
                print(f"{event.topic}: {reading.celsius} C at {reading.taken:%H:%M}")


if __name__ == "__main__":
    main()

"""A test of a program that subscribes and publishes, with the fixtures that pytest finds where
pubsub-common is installed. Run it with ``pytest test_alarm.py``.
"""

from __future__ import annotations

import pytest

from pubsub_broker import Broker
from pubsub_common.testing import NewPublisher, NewSubscriber
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


def raise_alarms(readings: Subscriber, alarms: Publisher, limit: float) -> None:
    """The program: publishes an alarm for each reading above the limit."""
    for event in readings:
        if float(event.payload) > limit:
            alarms.publish_event("alarms", event.payload)


@pytest.mark.parametrize(
    "pubsub_broker", ["centralized", "decentralized"], indirect=True
)
def test_only_a_high_reading_raises_an_alarm(
    pubsub_broker: Broker,
    pubsub_publisher: NewPublisher,
    pubsub_subscriber: NewSubscriber,
) -> None:
    readings = pubsub_subscriber("readings", max_event_count=3)
    heard = pubsub_subscriber("alarms", max_event_count=1)
    sensor, alarms = pubsub_publisher("readings"), pubsub_publisher("alarms")
    sensor.publish_events(["20.5", "99.0", "21.0"])

    raise_alarms(readings, alarms, limit=80.0)

    assert [event.payload for event in heard] == [b"99.0"]

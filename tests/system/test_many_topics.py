"""Thousands of topics: readiness, leases, and publishers that continue meanwhile."""

from __future__ import annotations

import logging
import threading

import pytest
from support.running_roles import Receiver
from support.threads import in_thread

from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

from .conftest import WAIT_S, System

TOPICS = 4000


class Sender:
    """Publishes one event after the other, with pauses, on a publisher's topics in
    turn."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.sent = 0
        self._stopped = threading.Event()
        self._thread = in_thread(self._run)

    def _run(self) -> None:
        topics = self.publisher.topics
        while not self._stopped.wait(0.002):
            self.publisher.publish_event(topics[self.sent % TOPICS], b"payload")
            self.sent += 1

    def end(self) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "publish_event does not return"


@pytest.mark.parametrize("first", ["publishers", "subscriber"])
def test_a_subscriber_of_all_topics_of_many(
    system: System, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pubsub_broker")
    system.broker()
    senders: list[Sender] = []
    subscribers: list[Subscriber] = []

    def publish() -> None:
        for name in ("p", "q"):
            publisher = system.publisher(*(f"{name}/{each}" for each in range(TOPICS)))
            senders.append(Sender(publisher))

    def subscribe() -> None:
        subscribers.append(system.subscriber("#", queue_limit=100_000))

    steps = [publish, subscribe] if first == "publishers" else [subscribe, publish]
    for step in steps:
        step()
    [subscriber] = subscribers
    subscriber.wait_until_ready(WAIT_S)
    for sender in senders:
        sender.publisher.wait_for_subscribers(1, WAIT_S)
    receiver = Receiver(subscriber)
    before = [sender.sent for sender in senders]
    wait_for(
        lambda: all(
            sender.sent > sent + 100
            for sender, sent in zip(senders, before, strict=True)
        ),
        "events of both",
    )
    for sender in senders:
        sender.end()
    receiver.wait_for_events(200)
    receiver.stop()

    counts = subscriber.counts()
    assert (counts.lost, counts.duplicated, counts.reordered) == (0, 0, 0)
    said = [line for line in caplog.messages if "lease" in line or "rejoined" in line]
    assert said == []

"""Recovery with sockets: what a user sees, whichever call receives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from support.connected_subscribers import connect
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

from pubsub_common.protocol.sequence import Gap
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]

CALLS: dict[str, Callable[[Subscriber], object]] = {
    "receive": lambda subscriber: subscriber.receive(),
    "receive for a moment": lambda subscriber: subscriber.receive(0.05),
    "poll": lambda subscriber: subscriber.receive(0.0),
    "parse": lambda subscriber: subscriber.parse_publish_event(),
    "iterate": lambda subscriber: next(iter(subscriber), None),
    "batches": lambda subscriber: next(subscriber.batches(), None),
}


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_come_is_reported_lost_whichever_call_receives(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    call: str,
    busy: bool,
) -> None:
    publisher = new_publisher("A", "B")
    gaps: list[Gap] = []
    options = {"recover": True, "recover_timeout_s": 0.3, "on_gap": gaps.append}
    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, "A", "B", **options
    )
    publisher.publish("A", sequence=0)
    publisher.publish("A", sequence=2)

    def receive() -> None:
        while not gaps:
            CALLS[call](subscriber)

    thread = in_thread(receive)
    enough = threading.Event()

    def flood() -> None:
        while busy and not enough.wait(0.0005):
            publisher.publish("B")

    flooding = in_thread(flood)
    wait_for(lambda: gaps, "the loss")
    enough.set()
    subscriber.stop()

    assert ended(thread)
    assert ended(flooding)
    assert gaps == [Gap(publisher.session, "A", 1, 1)]


def test_a_publisher_without_history_is_one_warning_where_one_is_wanted(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A", "B")
    publisher.next_sequence = {"A": 5, "B": 5}
    subscriber = connect(
        broker,
        "decentralized",
        publisher,
        new_subscriber,
        "A",
        "B",
        start="history",
    )
    subscriber.wait_until_ready(WAIT_S)  # and learns that there is something before
    with caplog.at_level(logging.WARNING):
        for topic in "AB":
            publisher.refuse_recovery()
            publisher.publish(topic)
        events = [subscriber.receive(WAIT_S) for _ in range(2)]

    assert all(event is not None and event.sequence == 5 for event in events)
    [record] = caplog.records
    assert "has no earlier events of topic" in record.getMessage()
    assert publisher.address in record.getMessage()
    assert not subscriber.counts().lost

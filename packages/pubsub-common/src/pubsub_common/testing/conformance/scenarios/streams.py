"""What a subscriber delivers, and counts."""

from __future__ import annotations

from pubsub_common.defaults import MAX_TOPIC_BYTES
from pubsub_common.protocol.numbers import LARGEST
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.ledger import Item
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage


@for_subscribers("events", page.EVENTS, "it delivers the events of a publisher")
def events(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A", "température")
    stage.join("A", "température")
    stage.ready(publisher)
    for _ in range(50):
        for topic in publisher.topics:
            stage.publish(publisher, topic)
    stage.publish(publisher, "A", payload=b"")
    stage.publish(publisher, "A", payload=bytes(range(256)))
    stage.publish(publisher, "A", payload=b"x" * 300_000)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers("many-events", page.EVENTS, "it delivers a burst of 5,000 events")
def many_events(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    for _ in range(5):
        stage.publish(publisher, "A", 1000)
        stage.turn(0)
    stage.delivers(within_s=3 * stage.patience_s)
    stage.reports_lost({})


@for_subscribers(
    "names", page.TYPES, "it accepts topics of every kind, and confuses none"
)
def names(stage: SubscriberStage) -> None:
    topics = (
        "AB",
        "A",
        "__proto__",
        "a b",
        "x/y",
        "constructor",
        "t" * MAX_TOPIC_BYTES,
    )
    publisher = stage.publisher(*topics)
    stage.join(*topics)
    stage.ready(publisher)
    for topic in topics:
        stage.publish(publisher, topic, 3)
        publisher.numbers[topic] += 1
        stage.publish(publisher, topic)
    stage.delivers()
    stage.reports_lost(dict.fromkeys(topics, 1))


@for_subscribers("numbers", page.TYPES, "it keeps numbers up to 2^53 - 1 exact")
def numbers(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    publisher.session = LARGEST
    stage.broker.publishers = [publisher.info()]
    # The number of the next event goes as far as that of an event.
    publisher.numbers["A"] = LARGEST - 5
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 2)
    publisher.numbers["A"] += 1
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({"A": 1})


@for_subscribers("gap", page.SEQUENCES, "it counts missing events as lost")
def gap(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A", "B")
    stage.join("A", "B")
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.publish(publisher, "B", 5)
    publisher.numbers["A"] += 3
    stage.publish(publisher, "A", 5)
    publisher.numbers["A"] += 4
    stage.publish(publisher, "A")
    stage.delivers()
    stage.reports_lost({"A": 7})


@for_subscribers(
    "start",
    page.SEQUENCES,
    "its part of a stream starts with the number in the ready answer",
)
def start(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    publisher.numbers["A"] = 100
    stage.join()
    stage.ready(publisher)
    publisher.numbers["A"] = 103
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({"A": 3})


@for_subscribers(
    "two-streams", page.SEQUENCES, "it counts each publisher of a topic separately"
)
def two_streams(stage: SubscriberStage) -> None:
    first, second = stage.publisher("A"), stage.publisher("A")
    second.numbers["A"] = 1_000
    stage.join()
    stage.ready(first, second)
    for _ in range(10):
        stage.publish(first, "A")
        stage.publish(second, "A")
    second.numbers["A"] += 2
    stage.publish(second, "A")
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers("duplicates", page.ORDER, "it delivers a repeated event once")
def duplicates(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    port = stage.port_of(publisher)
    stage.join()
    stage.ready(publisher)
    items = stage.publish(publisher, "A", 5)
    for item in items[2:]:
        port.publish(publisher, item)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers("late-event", page.ORDER, "a late event causes at most its own loss")
def late_event(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    port = stage.port_of(publisher)
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 2)
    late = publisher.event("A")
    stage.publish(publisher, "A")
    stage.delivers()
    # It was lost when the next one came; whether it is delivered nevertheless is not said.
    stage.ledger.any_order = True
    stage.ledger.may_have(late)
    port.publish(publisher, late)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.heartbeats(2)
    if stage.told_lost.get("A", 0) > 1:
        raise Failed("`lost` 1 at most", f"`lost` {stage.told_lost}", page.SEQUENCES)


@for_subscribers(
    "batches", page.BATCHES, "it reads batches like their events one by one"
)
def batches(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    port = stage.port_of(publisher)
    stage.join()
    stage.ready(publisher)

    def batch(count: int) -> list[Item]:
        items = [publisher.event("A") for _ in range(count)]
        for item in items:
            stage.ledger.must_have(item)
        return items

    port.publish_batch(publisher, batch(1))
    port.publish_batch(publisher, batch(100))
    stage.publish(publisher, "A")
    overlapping = batch(3)
    port.publish_batch(publisher, overlapping)
    port.publish_batch(publisher, overlapping[1:] + batch(2))
    publisher.numbers["A"] += 4
    port.publish_batch(publisher, batch(5_000))
    stage.delivers(within_s=2 * stage.patience_s)
    stage.reports_lost({"A": 4})


@for_subscribers(
    "unnamed-publisher",
    page.ORDER,
    "it delivers events of a publisher that the broker names later",
)
def unnamed_publisher(stage: SubscriberStage) -> None:
    known, early = stage.source("A"), stage.source("A")
    ports = stage.forwarders(known)
    stage.join()
    stage.ready(known)
    ports["A"].sources.append(early)
    early.numbers["A"] = 7
    stage.publish(early, "A", 3)
    stage.delivers()
    stage.broker.push(joined=[early.info(centralized=True)])
    stage.publish(early, "A", 3)
    early.numbers["A"] += 1
    stage.publish(early, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": 1})


@for_subscribers(
    "terminates", page.DISCONNECT, "it ends soon at SIGTERM while events come in"
)
def terminates(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 100)
    stage.delivers()
    for item in [publisher.event("A") for _ in range(1000)]:
        stage.ledger.may_have(item)
        stage.port_of(publisher).publish(publisher, item)
    left = stage.leaves()
    if left.next_sequences:
        raise Failed(
            "no `next_sequences` of a subscriber",
            f"{left.next_sequences}",
            page.DISCONNECT,
        )

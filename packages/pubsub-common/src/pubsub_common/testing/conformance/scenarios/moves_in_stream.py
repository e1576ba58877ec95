"""Events while a client moves to another broker, and events from other brokers."""

from __future__ import annotations

from pubsub_common.protocol.messages import Heartbeat
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.broker_group import group, moves
from pubsub_common.testing.conformance.data_port import DataPort, Source
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.publisher_stage import PublisherStage
from pubsub_common.testing.conformance.scenario import (
    BROKERS,
    for_publishers,
    for_subscribers,
)
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage


@for_subscribers(
    "ports-elsewhere",
    page.SEVERAL,
    "it receives topics from other brokers, as `ports` says",
)
def ports_elsewhere(stage: SubscriberStage) -> None:
    topics = tuple("ABC")
    source = stage.source(*topics)
    port_of = stage.forwarders(source, number=3)
    stage.broker.ports = {
        topic: port.port if topic == "A" else port.address
        for topic, port in port_of.items()
    }
    stage.join(*topics)
    for topic, port in port_of.items():
        _asked(stage, port, topic)
    for topic in topics:
        item = source.event(topic)
        stage.ledger.must_have(item)
        port_of[topic].publish(source, item)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "topic-moves",
    page.SEVERAL,
    "a topic in the `ports` of a push only comes from the new port",
)
def topic_moves(stage: SubscriberStage) -> None:
    source = stage.source("A", "B")
    stage.forwarders(source)
    (old,) = stage.ports
    old.numbers.update((0, 1, 2))
    stage.join("A", "B")
    for topic in source.topics:
        _asked(stage, old, topic)
    stage.publish(source, "A", 3)
    stage.delivers()
    new = stage.port(["A"], (0, 1, 2))
    new.sources = [source]
    stage.broker.push(ports={"A": new.address})
    _asked(stage, new, "A")
    stage.until(
        lambda: not old.has("A"),
        "the end of the subscription to A at the port where it came from before",
        seen=lambda: f"subscriptions to {old.subscribed}",
    )
    _publish(stage, new, source, "A")
    _publish(stage, old, source, "B")
    stage.delivers()
    stage.goes_on("heartbeats alone: the push had the next revision")
    stage.reports_lost({})


@for_subscribers(
    "move-in-stream",
    page.SEVERAL,
    "events and counts continue while it moves to another broker",
    BROKERS,
)
def move_in_stream(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    first, second = group(stage)
    second.publishers = first.publishers
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    publisher.numbers["A"] += 2
    stage.publish(publisher, "A", 3)
    stage.reports_lost({"A": 2})
    stage.has_long_lease()
    first.down()
    stage.publish(publisher, "A", 3)
    moves(stage, second, "`register` with the other broker, as the first one is gone")
    stage.publish(publisher, "A", 3)
    publisher.numbers["A"] += 1
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": 3})


@for_subscribers(
    "move-without-publishers",
    page.SEVERAL,
    "it stays connected to a publisher that the other broker does not know yet",
    BROKERS,
)
def move_without_publishers(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    first, second = group(stage)
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.has_long_lease()
    first.down()
    moves(stage, second, "`register` with the other broker, as the first one is gone")
    stage.publish(publisher, "A", 3)
    stage.delivers()
    second.push(joined=[publisher.info()])
    stage.heartbeats(2)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "move-forwarded",
    page.SEVERAL,
    "centralized, it connects to the ports of the other broker, and sends all ready "
    "requests again",
    BROKERS,
)
def move_forwarded(stage: SubscriberStage) -> None:
    source = stage.source("A", "B")
    first, second = group(stage)
    stage.forwarders(source)
    (old,) = stage.ports
    stage.join("A", "B")
    for topic in source.topics:
        _asked(stage, old, topic)
    stage.publish(source, "A", 3)
    stage.delivers()
    new = stage.port(["A", "B"], (0, 2))
    new.sources = [source]
    second.model, second.publishers = first.model, first.publishers
    second.ports = dict.fromkeys(source.topics, new.port)
    stage.has_long_lease()
    first.down()
    moves(stage, second, "`register` with the other broker, as the first one is gone")
    for topic in source.topics:
        _asked(stage, new, topic)
    source.numbers["A"] += 2
    _publish(stage, new, source, "A")
    stage.delivers()
    stage.until(
        lambda: not old.subscribed,
        "the end of the connection to the port of the broker before",
        seen=lambda: f"subscriptions to {old.subscribed}",
    )
    stage.reports_lost({"A": 2})


@for_publishers(
    "move-of-publisher",
    page.SEVERAL,
    "it keeps its numbers and its session at another broker, and reports all of them",
    BROKERS,
)
def move_of_publisher(stage: PublisherStage) -> None:
    first, second = group(stage)
    stage.join("A", "B")
    subscriber = stage.subscriber()
    start = stage.answered(subscriber, "A").sequence
    stage.events(subscriber, "A", 10)
    tells = stage.heartbeats(1)[0].published is not None
    stage.has_long_lease()
    first.down()
    moves(stage, second, "`register` with the other broker, as the first one is gone")
    told = second.of(Heartbeat)[0].published
    if tells and set(told or ()) != {"A", "B"}:
        raise Failed("`published` with both topics", f"{told}", page.HEARTBEAT)
    stage.events(subscriber, "A", 10)
    left = stage.leaves()
    stage.watch(0.5)
    stage.has_no_gap(subscriber, "A", start)
    stage.ends(left, ["A"])


def _asked(stage: SubscriberStage, port: DataPort, topic: str) -> None:
    """Wait until the subscriber has asked at a port whether a topic's publishers are ready."""
    stage.until(
        lambda: port.has(topic) and topic in {each.topic for each in port.questions},
        f"a subscription to {topic!r} and its ready topic at {port.address}",
        section=page.READY,
        seen=lambda: f"subscriptions to {port.subscribed}",
    )


def _publish(
    stage: SubscriberStage, port: DataPort, source: Source, topic: str
) -> None:
    """Three events from this port, which the subscriber is to deliver."""
    for _ in range(3):
        item = source.event(topic)
        stage.ledger.must_have(item)
        port.publish(source, item)

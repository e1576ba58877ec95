"""A subscriber of a centralized broker."""

from __future__ import annotations

from pubsub_common.protocol.messages import Departure, Farewell
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort, Source
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage


@for_subscribers(
    "centralized", page.SOURCES, "it receives the events of a centralized broker"
)
def centralized(stage: SubscriberStage) -> None:
    sources = stage.source("A", "B"), stage.source("A")
    stage.forwarders(*sources)
    stage.join("A", "B")
    _answered(stage, stage.ports, ("A", "B"))
    for _ in range(10):
        for source in sources:
            for topic in source.topics:
                stage.publish(source, topic)
    sources[1].numbers["A"] += 3
    stage.publish(sources[1], "A")
    stage.delivers()
    stage.reports_lost({"A": 3})


@for_subscribers(
    "three-forwarders",
    page.SOURCES,
    "it has a socket for each port, with only the topics of that port",
)
def three_forwarders(stage: SubscriberStage) -> None:
    topics = tuple("ABCDEFG")
    sources = stage.source(*topics), stage.source(*topics)
    port_of = stage.forwarders(*sources, number=3)
    stage.join(*topics)
    _answered(stage, stage.ports, topics)
    for _ in range(5):
        for source in sources:
            for topic in topics:
                item = source.event(topic)
                stage.ledger.must_have(item)
                # Each forwarder has the events of all publishers.
                for port in stage.ports:
                    port.publish(source, item)
    stage.delivers()
    for topic, port in port_of.items():
        if not port.has(topic):
            raise Failed(f"{topic!r} from port {port.port}", "it is not", page.SOURCES)
    stage.reports_lost({})


@for_subscribers(
    "other-ports",
    page.WHOLE_STATE,
    "with another epoch it connects to the new ports, and sends all ready requests "
    "again",
)
def other_ports(stage: SubscriberStage) -> None:
    source = stage.source("A", "B")
    stage.forwarders(source)
    stage.join("A", "B")
    _answered(stage, stage.ports, ("A", "B"))
    stage.publish(source, "A", 3)
    stage.delivers()
    old = stage.ports.pop()
    stage.forwarders(source)
    stage.broker.restart()
    stage.registers_again("`register` with the new broker")
    _answered(stage, stage.ports, ("A", "B"))
    source.numbers["A"] += 2
    stage.publish(source, "A", 3)
    stage.delivers()
    stage.until(
        lambda: not old.subscribed,
        "the end of the connection to the port of the broker before",
        within_s=stage.patience_s,
        seen=lambda: f"subscriptions to {old.subscribed}",
    )
    stage.reports_lost({"A": 2})


@for_subscribers(
    "other-model",
    page.WHOLE_STATE,
    "it moves from publishers to the broker's ports when the new broker is centralized",
)
def other_model(stage: SubscriberStage) -> None:
    direct = stage.publisher("A")
    stage.join("A")
    stage.ready(direct)
    stage.publish(direct, "A", 3)
    stage.delivers()
    stage.ports.clear()
    stage.forwarders(direct)
    stage.broker.restart()
    stage.registers_again("`register` with the new broker")
    _answered(stage, stage.ports, ("A",))
    direct.numbers["A"] += 2
    stage.publish(direct, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers(
    "same-port-other-epoch",
    page.READY,
    "it sends ready requests again when another broker has the same port",
)
def same_port_other_epoch(stage: SubscriberStage) -> None:
    source = stage.source("A")
    stage.forwarders(source)
    stage.join("A")
    _answered(stage, stage.ports, ("A",))
    stage.publish(source, "A", 3)
    stage.delivers()
    (port,) = stage.ports
    port.reconnect()
    port.history.clear()
    stage.broker.restart()
    stage.registers_again("`register` with the new broker")
    _answered(stage, stage.ports, ("A",))
    source.numbers["A"] += 2
    stage.publish(source, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers(
    "ports-kept",
    page.WHOLE_STATE,
    "with the same epoch it keeps a port that the reply omits",
)
def ports_kept(stage: SubscriberStage) -> None:
    first, second = stage.source("x/a", "x/c"), stage.source("x/b")
    stage.forwarders(first, second, number=3)
    stage.join("x/+")
    _answered(stage, stage.ports, ("x/a", "x/b", "x/c"))
    stage.publish(first, "x/a")
    stage.publish(second, "x/b")
    stage.delivers()
    # The publisher of b is away for a moment.
    stage.broker.publishers = [first.info(centralized=True)]
    stage.broker.ports = {
        topic: port for topic, port in stage.broker.ports.items() if topic != "x/b"
    }
    stage.broker.send(Farewell())
    stage.registers_again("`register` after `farewell`")
    stage.heartbeats(3)
    taken_back = [
        what
        for each in stage.ports
        for begins, what in each.history
        if not begins and what == "x/b"
    ]
    if taken_back:
        raise Failed(
            "the subscription to x/b to stay: others count it",
            "it was taken back",
            page.WHOLE_STATE,
        )
    stage.publish(first, "x/a")
    stage.delivers()


@for_subscribers(
    "wildcards",
    page.WILDCARDS,
    "it subscribes to the topics that match its wildcards",
)
def wildcards(stage: SubscriberStage) -> None:
    first = stage.publisher("x/a", "x/b", "y")
    stage.join("x/+", "y")
    stage.ready(first)
    for topic in first.topics:
        stage.publish(first, topic, 3)
    later = stage.publisher("x/c", listed=False)
    stage.broker.push(joined=[later.info()])
    stage.ready(later)
    stage.publish(later, "x/c", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "wildcards-forwarded",
    page.WILDCARDS,
    "it uses the port of a new topic in the push with its publisher",
)
def wildcards_forwarded(stage: SubscriberStage) -> None:
    first, later = stage.source("x/a"), stage.source("x/b")
    stage.forwarders(first)
    stage.join("x/#")
    _answered(stage, stage.ports, ("x/a",))
    other = stage.port(("x/b",), (0, 1, 2))
    other.sources = [first, later]
    # It may ask for the first topic again, since it has two by now.
    for port in stage.ports:
        port.numbers.add(2)
    stage.broker.push(joined=[later.info(centralized=True)], ports={"x/b": other.port})
    _answered(stage, [other], ("x/b",))
    item = later.event("x/b")
    stage.ledger.must_have(item)
    other.publish(later, item)
    stage.publish(first, "x/a", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "centralized-departure",
    page.DEPARTURES,
    "also centralized, it delivers events of a publisher that has left",
)
def centralized_departure(stage: SubscriberStage) -> None:
    source: Source = stage.source("A")
    stage.forwarders(source)
    stage.join("A")
    _answered(stage, stage.ports, ("A",))
    stage.publish(source, "A", 3)
    stage.broker.push(left=[Departure(session=source.session, next_sequences={"A": 6})])
    stage.heartbeats(2)
    stage.publish(source, "A", 3)
    stage.delivers()
    stage.reports_lost({})


def _answered(
    stage: SubscriberStage, ports: list[DataPort], topics: tuple[str, ...]
) -> None:
    """Wait until the subscriber has asked on all topics, which these ports have answered."""
    stage.until(
        lambda: (
            {each.topic for port in ports for each in port.questions} >= set(topics)
        ),
        f"a ready question for each of {', '.join(topics)}",
        section=page.READY,
        seen=lambda: str([each for port in ports for each in port.questions]),
    )

"""A subscriber when the broker is another one, or tells its whole state again."""

from __future__ import annotations

from pubsub_common.protocol.messages import Departure, Farewell
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage


@for_subscribers(
    "restart-with-publishers",
    page.WHOLE_STATE,
    "events continue when another broker takes over and knows the publishers",
)
def restart_with_publishers(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.broker.restart()
    stage.publish(publisher, "A", 5)
    stage.registers_again("`register` with the new broker")
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.goes_on("heartbeats alone after `registered`")
    stage.reports_lost({})


@for_subscribers(
    "restart-without-publishers",
    page.WHOLE_STATE,
    "it stays connected to a publisher that has not registered with the new broker yet",
)
def restart_without_publishers(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.broker.publishers = []
    stage.broker.restart()
    stage.registers_again("`register` with the new broker")
    stage.heartbeats(1)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.broker.push(joined=[publisher.info()])
    stage.heartbeats(2)
    stage.publish(publisher, "A", 5)
    publisher.numbers["A"] += 1
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.reports_lost({"A": 1})


@for_subscribers(
    "changed-address",
    page.WHOLE_STATE,
    "it connects to the new address of a publisher in the reply",
)
def changed_address(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.port_of(publisher).sources.clear()
    moved = stage.port(["A"])
    moved.sources.append(publisher)
    publisher.address = moved.address
    stage.broker.publishers = [publisher.info()]
    stage.broker.send(Farewell())
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "new-session-at-address",
    page.DEPARTURES,
    "it connects to a publisher at the former address of another one that has left",
)
def new_session_at_address(stage: SubscriberStage) -> None:
    first = stage.publisher("A")
    stage.join()
    stage.ready(first)
    stage.publish(first, "A", 3)
    stage.delivers()
    second = stage.source("A", address=first.address)
    second.numbers["A"] = 100
    port = stage.port_of(first)
    port.sources = [second]
    stage.broker.push(
        left=[Departure(session=first.session, next_sequences={"A": 3})],
        joined=[second.info()],
    )
    # The connection is there already. Its question may come again or not.
    stage.heartbeats(3)
    stage.publish(second, "A", 3)
    second.numbers["A"] += 2
    stage.publish(second, "A", 3)
    stage.delivers()
    stage.heartbeats(3)
    if not port.has("A"):
        raise Failed(
            "the connection to stay, as another publisher has the address",
            "its end",
            page.DEPARTURES,
        )
    stage.publish(second, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers(
    "comes-back",
    page.DEPARTURES,
    "events that a publisher published while it was away are a gap",
)
def comes_back(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.broker.push(left=[Departure(session=publisher.session)])
    stage.heartbeats(2)
    publisher.numbers["A"] += 4
    stage.broker.push(joined=[publisher.info()])
    stage.heartbeats(2)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.reports_lost({"A": 4})


@for_subscribers(
    "flood-of-pushes",
    page.PUBLISHERS_CHANGED,
    "it survives 2,000 pushes, and knows the final publishers",
)
def flood_of_pushes(stage: SubscriberStage) -> None:
    stays, goes = stage.publisher("A"), stage.publisher("A", listed=False)
    stage.broker.lease_s = 3.0
    stage.join()
    stage.ready(stays)
    for _ in range(1000):
        stage.broker.push(joined=[goes.info()])
        stage.broker.push(
            left=[Departure(session=goes.session, next_sequences={"A": 0})]
        )
    last = stage.publisher("A", listed=False)
    stage.broker.push(joined=[last.info()])
    stage.ready(last)
    stage.publish(stays, "A", 3)
    stage.publish(last, "A", 3)
    stage.delivers()
    stage.goes_on("heartbeats alone: each push had the next revision")
    stage.reports_lost({})

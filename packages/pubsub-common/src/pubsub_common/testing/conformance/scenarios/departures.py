"""The broker tells a subscriber of publishers that come and go."""

from __future__ import annotations

from pubsub_common.protocol.messages import Departure, Farewell, Heartbeat, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort, Source
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.scripted_broker import nothing
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

# For so long at least a subscriber waits for the last events of a publisher that left.
_GRACE_S = 6.0


@for_subscribers(
    "joined", page.PUBLISHERS_CHANGED, "it connects to a publisher that joins"
)
def joined(stage: SubscriberStage) -> None:
    first = stage.publisher("A")
    later = stage.publisher("A", listed=False)
    stage.join()
    stage.ready(first)
    stage.broker.push(joined=[later.info()])
    stage.ready(later)
    stage.publish(first, "A", 3)
    stage.publish(later, "A", 3)
    stage.delivers()
    stage.goes_on("heartbeats alone after a push with the next revision")


@for_subscribers(
    "last-events",
    page.DEPARTURES,
    "it delivers events that arrive after their publisher has left",
)
def last_events(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": 10})]
    )
    stage.heartbeats(2)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "last-events-missing",
    page.DEPARTURES,
    "missing events of a publisher that left are lost after a while, not immediately",
)
def last_events_missing(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": 9})]
    )
    at_s = stage.now_s()
    stage.until(
        lambda: stage.told_lost == {"A": 4},
        "heartbeats with `lost` {'A': 4}, some time after the departure",
        within_s=_GRACE_S + stage.patience_s,
        seen=lambda: f"`lost` {stage.told_lost}",
    )
    waited_s = stage.now_s() - at_s
    if waited_s < _GRACE_S / 2:
        raise Failed(
            f"{_GRACE_S:g} s for what may be under way",
            f"given up after {waited_s:.1f} s",
            page.SEQUENCES,
        )


@for_subscribers(
    "revoked", page.DEPARTURES, "it disconnects immediately from a revoked publisher"
)
def revoked(stage: SubscriberStage) -> None:
    publisher, other = stage.publisher("A"), stage.publisher("A")
    # For so long it would listen to one that has just left.
    stage.broker.lease_s = 60.0
    stage.join()
    stage.ready(publisher, other)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.broker.push(left=[Departure(session=publisher.session, revoked=True)])
    port = stage.port_of(publisher)
    stage.until(
        lambda: not port.subscribed,
        "the end of its subscriptions at the publisher that was revoked",
        seen=lambda: f"subscriptions to {port.subscribed}",
    )
    stage.publish(other, "A", 3)
    stage.delivers()


@for_subscribers(
    "disconnects",
    page.DEPARTURES,
    "it disconnects from a publisher that left after its last event",
)
def disconnects(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    _leaves(stage, publisher)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "second-departure",
    page.WHOLE_STATE,
    "the numbers in a departure stay valid when the next reply omits the publisher",
)
def second_departure(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": 9})]
    )
    stage.broker.send(Farewell())
    stage.registers_again("`register` after `farewell`")
    stage.reports_lost({"A": 4}, within_s=_GRACE_S + stage.patience_s)


@for_subscribers(
    "comes-back-later",
    page.DEPARTURES,
    "it remembers the ends of the streams of a publisher that comes back",
)
def comes_back_later(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    port = _leaves(stage, publisher)
    publisher.numbers["A"] += 4
    port.history.clear()
    stage.broker.push(joined=[publisher.info()])
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    stage.reports_lost({"A": 4})


@for_subscribers(
    "left-before-joined",
    page.PUBLISHERS_CHANGED,
    "a publisher in both lists of a push left and came back",
)
def left_before_joined(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    moved = stage.port(["A"])
    old = stage.port_of(publisher)
    old.sources.remove(publisher)
    moved.sources.append(publisher)
    publisher.address = moved.address
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": 3})],
        joined=[publisher.info()],
    )
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "skipped-revision",
    page.STATES,
    "it registers again when a push is missing, and uses the state in the reply",
)
def skipped_revision(stage: SubscriberStage) -> None:
    stage.broker.lease_s = 60.0  # so that no heartbeat heals it
    first = stage.publisher("A")
    stage.join()
    stage.ready(first)
    missed = stage.publisher("A", listed=False)
    later = stage.publisher("A", listed=False)
    stage.broker.publishers.append(missed.info())
    stage.broker.push(joined=[later.info()], skip=1)
    stage.registers_again(
        "`register` after a push with another revision than the next one"
    )
    stage.ready(missed, later)
    for publisher in (first, missed, later):
        stage.publish(publisher, "A", 3)
    stage.delivers()


@for_subscribers(
    "pushes-while-registering",
    page.STATES,
    "it ignores pushes while it waits for `registered`",
)
def pushes_while_registering(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.broker.once(Heartbeat, lambda asked: [stage.broker.alive(asked, known=False)])
    stage.broker.once(Register, nothing)
    again = stage.registers_again("`register` after `alive` with `known` false")
    asked = len(stage.broker.of(Register))
    # The reply holds the whole state, and comes after these.
    stage.broker.push(left=[Departure(session=publisher.session)])
    stage.broker.push(left=[Departure(session=publisher.session)], skip=5)
    stage.watch(0.3)
    stage.broker.publishers = [publisher.info()]
    stage.broker.send(stage.broker.registered(again))
    stage.goes_on(
        "heartbeats alone: pushes before `registered` are of no interest", asked
    )
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({})


def _leaves(stage: SubscriberStage, publisher: Source) -> DataPort:
    """A publisher of five events on A leaves, and the subscriber disconnects from its port."""
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": 5})]
    )
    port = stage.port_of(publisher)
    stage.until(
        lambda: not port.subscribed,
        "the end of its subscriptions at the publisher that left",
        within_s=_GRACE_S + stage.patience_s,
        seen=lambda: f"subscriptions to {port.subscribed}",
    )
    return port

"""Topics that are owned."""

from __future__ import annotations

from pubsub_common.protocol.messages import Departure
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import Source
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage


@for_subscribers(
    "owner-alone", page.OWNERSHIP, "it only delivers the events of a topic's owner"
)
def owner_alone(stage: SubscriberStage) -> None:
    weak = stage.publisher("A", strengths={"A": 1})
    owner = stage.publisher("A", "B", strengths={"A": 9})
    none = stage.publisher("A", "B")
    stage.join("A", "B")
    stage.ready(weak, owner, none)
    for _ in range(5):
        _skipped(stage, weak)
        _skipped(stage, none)
        stage.publish(owner, "A")
        stage.publish(owner, "B")
        stage.publish(none, "B")
    weak.numbers["A"] += 7
    _skipped(stage, weak)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "owner-change", page.OWNERSHIP, "when the owner leaves, the next one owns the topic"
)
def owner_change(stage: SubscriberStage) -> None:
    second, owner = (
        stage.publisher("A", strengths={"A": 5}),
        stage.publisher("A", strengths={"A": 9}),
    )
    third = stage.publisher("A", strengths={"A": 5})
    stage.join("A")
    stage.ready(second, owner, third)
    for _ in range(3):
        stage.publish(owner, "A")
        _skipped(stage, second)
        _skipped(stage, third)
    stage.delivers()
    _let_pass(stage)
    stage.broker.push(left=[Departure(session=owner.session, next_sequences={"A": 3})])
    _let_pass(stage)
    # Of two that are equal the one with the lower session.
    for _ in range(3):
        stage.publish(second, "A")
        _skipped(stage, third)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "stronger-joins",
    page.OWNERSHIP,
    "a stronger publisher owns the topic when it joins",
)
def stronger_joins(stage: SubscriberStage) -> None:
    first = stage.publisher("A")
    stage.join("A")
    stage.ready(first)
    stage.publish(first, "A", 3)
    stage.delivers()
    strong = stage.publisher("A", strengths={"A": 1}, listed=False)
    stage.broker.push(joined=[strong.info()])
    stage.ready(strong)
    stage.heartbeats(2)
    for _ in range(3):
        _skipped(stage, first)
        stage.publish(strong, "A")
    stage.delivers()
    _let_pass(stage)
    # Its strength alone is another one, so it has not left.
    strong.strengths = {}
    stage.broker.push(joined=[strong.info()])
    _let_pass(stage)
    stage.publish(first, "A", 3)
    stage.publish(strong, "A", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "owner-missing-after-restart",
    page.OWNERSHIP,
    "an owner that the new broker does not know yet stays the owner",
)
def owner_missing(stage: SubscriberStage) -> None:
    second = stage.publisher("A", strengths={"A": 1})
    owner = stage.publisher("A", strengths={"A": 9})
    stage.join("A")
    stage.ready(second, owner)
    stage.publish(owner, "A", 3)
    stage.delivers()
    stage.broker.publishers = [second.info()]
    stage.broker.restart()
    stage.registers_again("`register` with the new broker")
    stage.heartbeats(2)
    for _ in range(3):
        _skipped(stage, second)
        stage.publish(owner, "A")
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "idle-owner",
    page.OWNERSHIP,
    "with `owner_idle_s` a silent owner loses the topic until it publishes again",
)
def idle_owner(stage: SubscriberStage) -> None:
    second = stage.publisher("A", strengths={"A": 1})
    owner = stage.publisher("A", strengths={"A": 9})
    stage.broker.owner_idle_s = 0.5
    stage.join("A")
    stage.ready(second, owner)
    stage.publish(owner, "A", 2)
    stage.delivers()
    taken = len(stage.ledger.delivered)

    def gives_up() -> bool:
        item = second.event("A")
        stage.ledger.may_have(item)
        stage.port_of(second).publish(second, item)
        stage.watch(0.1)
        return len(stage.ledger.delivered) > taken

    stage.until(gives_up, "events of the next publisher after 0.5 s")
    stage.publish(second, "A", 3)
    stage.delivers()
    stage.publish(owner, "A", 2)
    stage.delivers()
    _skipped(stage, second)
    stage.publish(owner, "A", 2)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "owner-last-events",
    page.OWNERSHIP,
    "it delivers all events of an owner that left",
)
def owner_last_events(stage: SubscriberStage) -> None:
    second = stage.publisher("A", strengths={"A": 5})
    owner = stage.publisher("A", strengths={"A": 9})
    stage.join("A")
    stage.ready(second, owner)
    stage.publish(owner, "A", 3)
    _skipped(stage, second)
    stage.delivers()
    _let_pass(stage)
    stage.broker.push(left=[Departure(session=owner.session, next_sequences={"A": 6})])
    _let_pass(stage)
    stage.publish(second, "A", 2)
    stage.delivers()
    stage.publish(owner, "A", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "skipped-answer",
    page.OWNERSHIP,
    "a ready answer of a publisher that does not own the topic shows no loss",
)
def skipped_answer(stage: SubscriberStage) -> None:
    weak = stage.publisher("A", strengths={"A": 5})
    owner = stage.publisher("A", strengths={"A": 9})
    weak.answers = False
    stage.join("A")
    stage.ready(weak, owner)
    stage.publish(owner, "A", 3)
    _skipped(stage, weak)
    stage.delivers()
    _let_pass(stage)
    weak.numbers["A"] += 7
    weak.answers = True
    port = stage.port_of(weak)
    asked = len(port.questions)
    stage.until(lambda: len(port.questions) > asked, "the ready question again")
    stage.publish(owner, "A", 3)
    stage.delivers()
    stage.reports_lost({})


def _skipped(stage: SubscriberStage, source: Source) -> None:
    """Publish an event that is not to be delivered."""
    stage.port_of(source).publish(source, source.event("A"))


def _let_pass(stage: SubscriberStage) -> None:
    """Let the subscriber process all messages under way, also those that it skips: the control
    connection and the event connections are separate."""
    stage.heartbeats(2)

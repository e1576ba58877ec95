"""A subscriber that asks for missing events."""

from __future__ import annotations

from typing import Final

from pubsub_common.defaults import RECOVER_TIMEOUT_S
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort, Source
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import RECOVER, for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

# A client that asks each half second has asked twelve times.
_BACK_OFF_S: Final = 6.0
_BACK_OFF_QUESTIONS: Final = 6


@for_subscribers(
    "recovers", page.RECOVERY, "it requests missing events, and delivers all", RECOVER
)
def recovers(stage: SubscriberStage) -> None:
    publisher, port = _keeping(stage)
    _misses(stage, publisher, 3)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    asked = port.recoveries[0]
    if (asked.first, asked.last) != (5, 7):
        raise Failed(
            "a question for 5 to 7", f"for {asked.first} to {asked.last}", page.RECOVERY
        )
    stage.until(
        lambda: not any(each in port.subscribed for each in port.recoveries),
        "the question to be taken back when it is answered",
        seen=lambda: f"subscriptions to {port.subscribed}",
    )
    stage.reports_lost({})


@for_subscribers(
    "recovers-rest",
    page.RECOVERY,
    "it requests the rest when an answer is incomplete",
    RECOVER,
)
def recovers_rest(stage: SubscriberStage) -> None:
    publisher, _ = _keeping(stage)
    _misses(stage, publisher, 700)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "recovers-again",
    page.RECOVERY,
    "it retries with another attempt number without an answer",
    RECOVER,
)
def recovers_again(stage: SubscriberStage) -> None:
    publisher, port = _keeping(stage)
    publisher.answers = False
    _misses(stage, publisher, 3)
    stage.publish(publisher, "A", 2)
    stage.until(
        lambda: len({each.attempt for each in port.recoveries}) > 1,
        "the question with another attempt",
        seen=lambda: str(port.recoveries),
    )
    publisher.answers = True
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "not-to-be-had",
    page.RECOVERY,
    "events that an answer reports as unavailable are lost immediately",
    RECOVER,
)
def not_to_be_had(stage: SubscriberStage) -> None:
    publisher, _ = _keeping(stage)
    publisher.numbers["A"] += 2
    _misses(stage, publisher, 3)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers(
    "no-history",
    page.RECOVERY,
    "missing events of a publisher without a history are lost",
    RECOVER,
)
def no_history(stage: SubscriberStage) -> None:
    publisher, _ = _keeping(stage)
    publisher.kept = None
    publisher.numbers["A"] += 3
    stage.publish(publisher, "A", 2)
    stage.delivers()
    stage.reports_lost({"A": 3})


@for_subscribers(
    "recovers-end",
    page.RECOVERY,
    "a position shows it that the last events are missing",
    RECOVER,
)
def recovers_end(stage: SubscriberStage) -> None:
    publisher, port = _keeping(stage)
    _misses(stage, publisher, 4)
    port.tell_position(publisher, "A")
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "never-answered",
    page.RECOVERY,
    "without an answer missing events are lost after 10 s",
    RECOVER,
)
def never_answered(stage: SubscriberStage) -> None:
    publisher, _ = _keeping(stage)
    publisher.answers = False
    publisher.numbers["A"] += 3
    stage.publish(publisher, "A", 2)
    stage.delivers(within_s=RECOVER_TIMEOUT_S + 2 * stage.patience_s)
    stage.reports_lost({"A": 3})


@for_subscribers(
    "recovery-back-off",
    page.RECOVERY,
    "it retries at increasing intervals without an answer",
    RECOVER,
)
def recovery_back_off(stage: SubscriberStage) -> None:
    publisher, port = _keeping(stage)
    publisher.answers = False
    publisher.numbers["A"] += 3
    stage.publish(publisher, "A")
    stage.until(lambda: port.recoveries, "a question for 5 to 7")
    # It may ask again after 0.5, 1.5 and 3.5 s.
    stage.watch(_BACK_OFF_S)
    if len(port.recoveries) > _BACK_OFF_QUESTIONS:
        raise Failed(
            f"questions after 0.5, 1.5 and 3.5 s: at most {_BACK_OFF_QUESTIONS} in "
            f"{_BACK_OFF_S:g} s",
            f"{len(port.recoveries)}",
            page.RECOVERY,
        )


def _keeping(stage: SubscriberStage) -> tuple[Source, DataPort]:
    """A publisher of A that keeps its events, five of which the subscriber has."""
    publisher = stage.publisher("A")
    publisher.kept = {}
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 5)
    stage.delivers()
    return publisher, stage.port_of(publisher)


def _misses(stage: SubscriberStage, publisher: Source, count: int) -> None:
    """Events that are kept, and do not come."""
    for _ in range(count):
        stage.ledger.must_have(publisher.event("A"))

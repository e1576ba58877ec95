"""The ready handshake, as a subscriber does it."""

from __future__ import annotations

from typing import Final

from pubsub_common.protocol.events import ReadyRequest
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.scripted_subscriber import ScriptedSubscriber
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

# A client that asks each second has asked eight times.
_BACK_OFF_S: Final = 7.5
_BACK_OFF_QUESTIONS: Final = 5


@for_subscribers(
    "ready-question",
    page.READY,
    "it asks each publisher for each topic, after its subscription",
)
def ready_question(stage: SubscriberStage) -> None:
    publishers = stage.publisher("A", "B"), stage.publisher("B")
    stage.join("A", "B")
    stage.ready(*publishers)
    stage.heartbeats(6)
    for publisher in publishers:
        asked = [each.topic for each in stage.port_of(publisher).questions]
        for topic in publisher.topics:
            if asked.count(topic) > 1:
                raise Failed(
                    f"one question for {topic!r}, as it was answered",
                    f"{asked.count(topic)}",
                    page.READY,
                )


@for_subscribers(
    "ready-again",
    page.READY,
    "it retries with another attempt number until it gets an answer",
)
def ready_again(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    publisher.answers = False
    stage.join()
    port = stage.port_of(publisher)
    _asks_again(stage, port, 3)
    attempts = [each.attempt for each in port.questions]
    if len(set(attempts)) < len(attempts):
        raise Failed("another attempt in each question", f"{attempts}", page.READY)
    if attempts != sorted(attempts):
        raise Failed("attempts that grow", f"{attempts}", page.READY)
    _overlap(port)
    publisher.answers = True
    port.answer(publisher, port.questions[-1])
    _asks_no_more(stage, port)
    stage.publish(publisher, "A", 3)
    stage.delivers()


@for_subscribers(
    "ready-earlier-attempt", page.READY, "an answer to an earlier attempt counts too"
)
def ready_earlier_attempt(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    publisher.numbers["A"] = 10
    publisher.answers = False
    stage.join()
    port = stage.port_of(publisher)
    # The answer must get through: so it comes while both are subscribed to.
    first = stage.until(lambda: port.questions[:1], "a ready question")[0]
    port.answer(publisher, first)
    _asks_no_more(stage, port)
    publisher.answers = True
    publisher.numbers["A"] = 12
    stage.publish(publisher, "A")
    stage.delivers()
    stage.reports_lost({"A": 2})


@for_subscribers(
    "two-connections",
    page.READY,
    "it gets its answer while its old connection is still open",
)
def two_connections(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    port = stage.port_of(publisher)
    # A subscription of an earlier connection that the publisher still has: ZeroMQ does not pass
    # on a question that is subscribed to already.
    old = ScriptedSubscriber(
        *(stage.context, port.address, stage.broker.session),
        *(stage.transcript, stage.now_s),
    )
    stage.readers.append(old)
    old.listen("A")
    stage.until(lambda: port.questions, "the tool's own subscription")
    port.history.clear()
    stage.join()
    stage.until(
        lambda: [each for each in port.questions if each.attempt],
        "a ready question with another attempt, since the first was not answered",
    )
    _asks_no_more(stage, port)
    stage.publish(publisher, "A", 3)
    stage.delivers()


@for_subscribers(
    "many-topics",
    page.READY,
    "it becomes ready with 2,000 topics, and receives events of all",
)
def many_topics(stage: SubscriberStage) -> None:
    topics = [f"topic-{number:04}" for number in range(2000)]
    publisher = stage.publisher(*topics)
    stage.broker.lease_s = 3.0
    stage.join(*topics)
    stage.ready(publisher)
    for topic in topics:
        stage.publish(publisher, topic)
    stage.delivers(within_s=3 * stage.patience_s)
    stage.reports_lost({})


def _asks_again(stage: SubscriberStage, port: DataPort, times: int) -> None:
    stage.until(
        lambda: len(port.questions) >= times,
        f"{times} ready questions, one a second, as none is answered",
        within_s=stage.patience_s + times,
        seen=lambda: f"{len(port.questions)}",
    )


@for_subscribers(
    "ready-back-off",
    page.READY,
    "it retries at increasing intervals without an answer",
)
def ready_back_off(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A")
    publisher.answers = False
    stage.join()
    stage.ready(publisher)
    port = stage.port_of(publisher)
    # It may ask after 1, 3 and 7 s.
    stage.watch(_BACK_OFF_S)
    if len(port.questions) > _BACK_OFF_QUESTIONS:
        raise Failed(
            f"ready questions after 1, 3 and 7 s: at most {_BACK_OFF_QUESTIONS} in "
            f"{_BACK_OFF_S:g} s",
            f"{len(port.questions)}",
            page.READY,
        )
    publisher.answers = True
    stage.publish(publisher, "A", 3)
    stage.delivers()


def _asks_no_more(stage: SubscriberStage, port: DataPort) -> None:
    # Messages on their way may still arrive.
    stage.watch(1.0)
    before = len(port.questions)
    stage.watch(2.5)
    if len(port.questions) > before:
        raise Failed(
            "no further ready question after the answer",
            f"{port.questions[before:]}",
            page.READY,
        )


def _overlap(port: DataPort) -> None:
    """Raises:
    Failed: it took a question back before it asked the next one.
    """
    open_now = 0
    for begins, what in port.history:
        if isinstance(what, ReadyRequest):
            open_now += 1 if begins else -1
            if not open_now:
                raise Failed(
                    "the next attempt to be subscribed to before the last is taken "
                    "back",
                    f"{what} taken back first",
                    page.READY,
                )

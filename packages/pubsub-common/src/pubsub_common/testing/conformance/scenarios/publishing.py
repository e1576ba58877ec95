"""What a publisher publishes, and how it ends."""

from __future__ import annotations

import itertools
import time

from pubsub_common.protocol.events import ready_topic
from pubsub_common.protocol.messages import Disconnect, Heartbeat, Register
from pubsub_common.protocol.recovery_messages import RecoveryRequest
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.publisher_stage import PublisherStage
from pubsub_common.testing.conformance.scenario import for_publishers

_MINUTE_NS = 60 * 10**9


@for_publishers(
    "publishes", page.EVENTS, "it publishes events in their form, numbered without gaps"
)
def publishes(stage: PublisherStage) -> None:
    topics = ("A", "température")
    registered = stage.join(*topics)
    subscriber = stage.subscriber()
    for topic in topics:
        first = stage.answered(subscriber, topic).sequence
        stage.events(subscriber, topic, 10)
        stage.has_no_gap(subscriber, topic, first)
    if registered.clock == "realtime":
        now_ns = time.time_ns()
        for event in subscriber.events:
            if abs(now_ns - event.published_ns) > _MINUTE_NS:
                raise Failed(
                    "`published_ns` of now, in nanoseconds since 1970",
                    str(event.published_ns),
                    page.EVENTS,
                )


@for_publishers(
    "ends",
    page.DISCONNECT,
    "it disconnects after its last event, and reports its numbers",
)
def ends(stage: PublisherStage) -> None:
    stage.may_end = True
    stage.start("A", "B", count=40, interval_s=0.05)
    stage.registration()
    subscriber = stage.subscriber()
    firsts = {topic: stage.answered(subscriber, topic).sequence for topic in ("A", "B")}
    left = stage.until(
        lambda: stage.broker.of(Disconnect),
        "`disconnect` after 40 events on each of two topics",
        section=page.DISCONNECT,
        within_s=stage.patience_s + 80 * 0.05,
    )[0]
    stage.until(
        lambda: all(
            subscriber.of(topic)[-1:] and subscriber.of(topic)[-1].sequence == 39
            for topic in firsts
        ),
        "event 39 of each topic",
        section=page.SEQUENCES,
    )
    for topic, first in firsts.items():
        stage.has_no_gap(subscriber, topic, first)
    if left.next_sequences != {"A": 40, "B": 40}:
        raise Failed(
            "`next_sequences` with 40 for each topic",
            f"{left.next_sequences}",
            page.DISCONNECT,
        )


@for_publishers(
    "ends-at-signal", page.DISCONNECT, "at SIGTERM it reports the ends of its streams"
)
def ends_at_signal(stage: PublisherStage) -> None:
    stage.join("A", "B")
    subscriber = stage.subscriber()
    for topic in ("A", "B"):
        stage.answered(subscriber, topic)
        stage.events(subscriber, topic, 3)
    left = stage.leaves()
    stage.watch(0.5)
    stage.ends(left, ("A", "B"))


@for_publishers(
    "last-questions",
    page.END,
    "after disconnecting it still answers requests for events",
)
def last_questions(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.listening("A")
    subscriber.ask_position("A")
    stage.until(lambda: subscriber.positions, "a position")
    last = stage.events(subscriber, "A")[-1].sequence
    late: list[RecoveryRequest] = []
    asked = itertools.count()

    def is_answered() -> bool:
        question = RecoveryRequest(
            *("A", stage.broker.session, subscriber.session, last, last, next(asked))
        )
        subscriber.recover(question)
        if stage.broker.of(Disconnect):
            late.append(question)
        stage.watch(0.2)
        return any(each.question in late for each in subscriber.recovered)

    is_answered()
    stage.may_end = True
    stage.client.terminate()
    stage.until(is_answered, "an answer to a question that came after `disconnect`")
    stage.until(lambda: stage.client.exit_code is not None, "its end after that")


@for_publishers(
    "told-numbers", page.HEARTBEAT, "the numbers in its heartbeats are right"
)
def told_numbers(stage: PublisherStage) -> None:
    stage.join("A", "B")
    subscriber = stage.listening("A")
    stage.events(subscriber, "A", 5)
    told = {}
    for heartbeat in stage.heartbeats(4):
        if heartbeat.published is None:
            return  # it does not tell
        told.update(heartbeat.published)
    # Between its heartbeats it publishes on both, so it must report both.
    before = subscriber.of("A")[-1].sequence
    stage.events(subscriber, "A", 5)
    after = subscriber.of("A")[-1].sequence
    if not 0 < told.get("A", 0) <= after + 1 or set(told) != {"A", "B"}:
        raise Failed(
            f"`published` with both topics, and a number of A up to {before + 1}",
            f"{told}",
            page.HEARTBEAT,
        )


@for_publishers(
    "restart-in-stream",
    page.SEQUENCES,
    "it keeps its numbers and its session with another broker",
)
def restart_in_stream(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.subscriber()
    first = stage.answered(subscriber, "A").sequence
    stage.events(subscriber, "A", 10)
    stage.broker.restart()
    stage.registration(2)
    stage.heartbeats(2)
    stage.events(subscriber, "A", 10)
    stage.has_no_gap(subscriber, "A", first)
    left = stage.leaves()
    stage.watch(0.5)
    stage.has_no_gap(subscriber, "A", first)
    stage.ends(left, ["A"])


@for_publishers(
    "told-numbers-again",
    page.HEARTBEAT,
    "its first heartbeat after `registered` has all numbers",
)
def told_numbers_again(stage: PublisherStage) -> None:
    stage.join("A", "B")
    subscriber = stage.listening("A")
    stage.events(subscriber, "A", 10)
    if stage.heartbeats(1)[0].published is None:
        return  # it does not tell
    stage.broker.restart()
    stage.registration(2)
    before = len(stage.broker.of(Heartbeat))
    stage.until(
        lambda: len(stage.broker.of(Heartbeat)) > before + 1, "a heartbeat again"
    )
    registered = stage.broker.times_of(Register)[1]
    told = next(
        each.published
        for at, each in stage.broker.requests
        if isinstance(each, Heartbeat) and at >= registered
    )
    if set(told or ()) != {"A", "B"}:
        raise Failed("`published` with both topics", f"{told}", page.HEARTBEAT)


@for_publishers(
    "no-subscriber", page.SEQUENCES, "it also numbers events without subscribers"
)
def no_subscriber(stage: PublisherStage) -> None:
    stage.join("A", "B")
    early = stage.listening("A")
    stage.events(early, "A", 10)
    # Both topics are published in turn.
    later = stage.subscriber()
    first = stage.answered(later, "B").sequence
    if first < 5:
        raise Failed(
            "B as far as A, which is published in turn", f"B at {first}", page.SEQUENCES
        )
    stage.events(later, "B", 3)
    stage.has_no_gap(later, "B", first)


@for_publishers("odd-subscriptions", page.READY, "it ignores malformed requests")
def odd_subscriptions(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.subscriber()
    good = ready_topic("A", subscriber.session)
    for odd in (
        *(b"", b"\xff", b"\xffA", b"\xff\xff", b"\xffA\xff", b"\xffA\xff" + b"0" * 14),
        *(good.upper(), good + b"0", good[:-1], b"\xff\xff\xff" + good[3:]),
        *(b"\xffA\xff" + b"f" * 22, b"\xfeA\xfe" + b"0" * 10, b"\xfeA\xfe" + b"g" * 64),
        *(
            b"\xfd\0",
            b"\xfdA",
            b"\xfdnone\0",
            b"\0forwarder x 0",
            b"x" * 500,
            b"none\0",
        ),
    ):
        subscriber.raw(odd)
        subscriber.raw(odd, begins=False)
    first = stage.answered(subscriber, "A").sequence
    stage.events(subscriber, "A", 5)
    stage.has_no_gap(subscriber, "A", first)
    if len(subscriber.answers) > 1:
        raise Failed(
            "an answer to the one question that is in its form",
            f"answers to {[asked for asked, _ in subscriber.answers]}",
            page.READY,
        )
    stage.goes_on("heartbeats alone: subscriptions change nothing with the broker")

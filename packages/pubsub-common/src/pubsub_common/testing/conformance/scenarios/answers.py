"""What a publisher answers to subscribers."""

from __future__ import annotations

from pubsub_common.protocol.forwarder_mark import forwarder_mark
from pubsub_common.protocol.messages import Register
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    RecoveryRequest,
)
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.frame_checks import Recovered
from pubsub_common.testing.conformance.publisher_stage import PublisherStage
from pubsub_common.testing.conformance.scenario import for_publishers
from pubsub_common.testing.conformance.scripted_broker import nothing
from pubsub_common.testing.conformance.scripted_subscriber import ScriptedSubscriber


@for_publishers(
    "ready-answer", page.READY, "it answers each request once, with the next number"
)
def ready_answer(stage: PublisherStage) -> None:
    stage.join("A", "B")
    for _ in range(10):
        subscriber = stage.subscriber()
        for topic in ("A", "B"):
            subscriber.subscribe(topic)
        asked = [subscriber.ask(topic) for topic in ("A", "B")]
        for question in asked:
            found = stage.until(
                lambda question=question, subscriber=subscriber: subscriber.answer_to(  # type: ignore[misc]
                    question
                ),
                f"an answer to {question}",
            )
            stage.events(subscriber, question.topic, 2)
            stage.has_no_gap(subscriber, question.topic, found.sequence)
        if len(subscriber.answers) > len(asked):
            raise Failed(
                "one answer to each question", f"{subscriber.answers}", page.READY
            )


@for_publishers("early-question", page.READY, "requests wait until it has a session")
def early_question(stage: PublisherStage) -> None:
    stage.broker.once(Register, nothing, nothing)
    stage.join("A")
    subscriber = stage.subscriber()
    question = subscriber.listen("A")
    stage.watch(0.5)
    if subscriber.answers:
        raise Failed(
            "no answer before it has a session", f"{subscriber.answers}", page.READY
        )
    stage.registration(3)
    stage.until(
        lambda: subscriber.answer_to(question),
        "the answer to a question that came before `registered`",
    )
    stage.events(subscriber, "A", 3)


@for_publishers(
    "ready-other-topic",
    page.READY,
    "it ignores requests for topics that it does not have",
)
def ready_other_topic(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.subscriber()
    for topic in ("B", "AA", "A/x"):
        subscriber.listen(topic)
    stage.answered(subscriber, "A")
    stage.events(subscriber, "A", 3)
    others = [asked.topic for asked, _ in subscriber.answers if asked.topic != "A"]
    if others or len(subscriber.of("A")) < len(subscriber.events):
        raise Failed("nothing on other topics", f"answers for {others}", page.READY)


@for_publishers(
    "second-connection",
    page.READY,
    "it answers the same subscriber again on another connection, for another attempt",
)
def second_connection(stage: PublisherStage) -> None:
    stage.join("A")
    first = stage.listening("A")
    stage.events(first, "A", 3)
    second = stage.subscriber(first.session)
    second.subscribe("A")
    # Whether the question that the first connection has is answered again is left open.
    second.ask("A")
    question = second.ask("A", attempt=1)
    answer = stage.until(
        lambda: second.answer_to(question), "an answer to the question of attempt 1"
    )
    # The end of the first connection is not that of the second.
    first.close()
    stage.events(second, "A", 10)
    stage.has_no_gap(second, "A", answer.sequence)


@for_publishers(
    "three-connections",
    page.READY,
    "it answers over each connection of a broker with three forwarders",
)
def three_connections(stage: PublisherStage) -> None:
    topics = ("A", "B", "C")
    stage.join(*topics)
    connections: list[ScriptedSubscriber] = []
    for number, topic in enumerate(topics):
        connection = stage.subscriber(2**52 + 99)
        connection.raw(forwarder_mark("c0ffee", number))
        connection.subscribe(topic)
        # Questions for the broker's other publishers come here too.
        connection.ask(f"other-{number}", topics=6)
        connections.append(connection)
    for connection, topic in zip(connections, topics, strict=True):
        question = connection.ask(topic, topics=6)
        answer = stage.until(
            lambda connection=connection, question=question: connection.answer_to(  # type: ignore[misc]
                question
            ),
            f"an answer to {question}",
        )
        stage.events(connection, topic, 3)
        stage.has_no_gap(connection, topic, answer.sequence)


@for_publishers(
    "many-questions",
    page.READY,
    "it has 2,000 topics, and answers all requests together",
)
def many_questions(stage: PublisherStage) -> None:
    topics = [f"topic-{number:04}" for number in range(2000)]
    stage.broker.lease_s = 3.0
    stage.join(*topics)
    subscriber = stage.subscriber()
    for topic in topics:
        subscriber.subscribe(topic)
    for topic in topics:
        subscriber.ask(topic)
    stage.until(
        lambda: len(subscriber.answers) >= len(topics),
        f"{len(topics)} ready answers",
        within_s=2 * stage.patience_s,
        seen=lambda: str(len(subscriber.answers)),
    )


@for_publishers(
    "recovery-answer", page.RECOVERY, "it answers each form of a request for events"
)
def recovery_answer(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.listening("A")
    stage.events(subscriber, "A", 10)
    last = subscriber.of("A")[-1].sequence
    known = {event.sequence: event for event in subscriber.of("A")}
    for attempt, (first, end) in enumerate(
        ((last, last), (0, last), (last, last + 99))
    ):
        found = _ask(stage, subscriber, first, end, attempt)
        batch = found.batch
        # Events that were published before the answer have come before it.
        next_number = subscriber.of("A")[-1].sequence + 1
        most = end + 1 if batch.payloads else max(first, next_number)
        if batch.sequence < first or batch.sequence + len(batch.payloads) > most:
            raise Failed(
                f"events from {first} to {end}, or none and a `sequence` of at most "
                f"{max(first, next_number)}",
                f"{len(batch.payloads)} from {batch.sequence} on",
                page.RECOVERY,
            )
        for event in batch.events():
            original = known.get(event.sequence)
            if original is not None and event.payload != original.payload:
                raise Failed(
                    f"event {event.sequence} as it was published",
                    f"{event.payload[:20]!r}",
                    page.RECOVERY,
                )


@for_publishers(
    "recovery-other-session",
    page.RECOVERY,
    "it does not answer requests to another publisher",
)
def recovery_other_session(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.listening("A")
    stage.events(subscriber, "A", 3)
    other = RecoveryRequest("A", 4711, subscriber.session, 0, 1, 0)
    subscriber.recover(other)
    _ask(stage, subscriber, 0, 1, 1)
    if any(each.question == other for each in subscriber.recovered):
        raise Failed("no answer to a question to another session", "one", page.RECOVERY)


@for_publishers("positions", page.RECOVERY, "it announces its position, repeatedly")
def positions(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.listening("A")
    stage.events(subscriber, "A", 2)
    subscriber.ask_position("A")
    stage.until(
        lambda: len(subscriber.positions) >= 3,
        f"positions, every {POSITION_INTERVAL_S:g} s",
        within_s=stage.patience_s + 2 * POSITION_INTERVAL_S,
        seen=lambda: str(len(subscriber.positions)),
    )
    # They come by the same connection as events, so in order with them.
    told = [each.event.sequence for each in subscriber.positions]
    numbers = {event.sequence for event in subscriber.of("A")}
    for number in told[1:]:
        if number - 1 not in numbers:
            raise Failed("the number of the next event", f"{told}", page.RECOVERY)


@for_publishers(
    "last-position",
    page.END,
    "a publisher that leaves announces its positions again, and answers",
)
def last_position(stage: PublisherStage) -> None:
    stage.join("A")
    subscriber = stage.listening("A")
    subscriber.ask_position("A")
    stage.until(lambda: subscriber.positions, "a position")
    stage.events(subscriber, "A", 5)
    left = stage.leaves()
    stage.watch(0.5)
    told = [each.event.sequence for each in subscriber.positions]
    if told[-1] != left.next_sequences.get("A"):
        raise Failed(
            f"a last position, {left.next_sequences.get('A')}", f"{told}", page.RECOVERY
        )


def _ask(
    stage: PublisherStage,
    subscriber: ScriptedSubscriber,
    first: int,
    last: int,
    attempt: int,
) -> Recovered:
    question = RecoveryRequest(
        *("A", stage.broker.session, subscriber.session, first, last, attempt)
    )
    subscriber.recover(question)
    return stage.until(
        lambda: next(
            (each for each in subscriber.recovered if each.question == question), None
        ),
        f"an answer to the question for {first} to {last}, also if nothing is kept",
    )

"""What a publisher answers to who subscribes."""

from __future__ import annotations

import pytest
import zmq

from pubsub_common.protocol.events import decode_ready_reply, ready_topic
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
    position_prefix,
    recovery_topic,
)
from pubsub_publisher.subscriptions.request_handler import RequestHandler
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_state import TopicState

ADDRESS, SESSION = "127.0.0.1:1", 7
BEGINS, ENDS = b"\x01", b"\x00"
QUESTION = RecoveryRequest("A", SESSION, 9, 2, 4, 0)


class Bench:
    """RequestHandler over a socket that may have no room."""

    def __init__(self, kept: int | None = 100) -> None:
        self.full = False
        self.sent: list[bytes] = []
        history = None if kept is None else History(kept, 2**20)
        self.topics = {"A": TopicState("A", history), "B": TopicState("B")}
        self.requests = RequestHandler(self.topics, self.send)
        numbers = range(6)
        self.topics["A"].mark_sent(
            list(numbers), [b"%d" % number for number in numbers]
        )

    def send(self, frame: bytes, _flags: int) -> None:
        if self.full:
            raise zmq.Again
        self.sent.append(frame)

    def ask(self, question: RecoveryRequest) -> None:
        self.requests.receive(BEGINS + recovery_topic(question))
        self.requests.send_replies(ADDRESS, SESSION)

    def answers(self) -> list[tuple[int, list[bytes]]]:
        decoded = [decode_recovery_reply(frame) for frame in self.sent]
        return [(each[1].sequence, each[1].payloads) for each in decoded if each]


def test_events_that_are_asked_for_are_sent() -> None:
    bench = Bench()

    bench.ask(QUESTION)

    assert bench.answers() == [(2, [b"2", b"3", b"4"])]
    assert bench.requests.last_request_at > 0


def test_what_is_gone_is_said_to_be_gone() -> None:
    bench = Bench(kept=2)

    bench.ask(QUESTION)
    bench.ask(QUESTION._replace(first=0, last=1, attempt=1))

    assert bench.answers() == [(4, [b"4"]), (6, [])]


def test_without_a_history_the_answer_is_empty_at_once() -> None:
    bench = Bench(kept=None)

    bench.ask(QUESTION)

    assert bench.answers() == [(6, [])]


@pytest.mark.parametrize(
    "question",
    [QUESTION._replace(publisher=8), QUESTION._replace(topic="C")],
    ids=["session", "topic"],
)
def test_a_question_to_another_publisher_is_ignored(
    question: RecoveryRequest,
) -> None:
    bench = Bench()

    bench.ask(question)

    assert not bench.sent
    assert not bench.requests.pending


def test_the_end_of_a_question_is_none() -> None:
    bench = Bench()

    bench.requests.receive(ENDS + recovery_topic(QUESTION))
    bench.requests.send_replies(ADDRESS, SESSION)

    assert not bench.sent


def test_answers_wait_for_room_in_order() -> None:
    bench = Bench()
    bench.full = True
    bench.ask(QUESTION)
    bench.ask(QUESTION._replace(first=5, last=5))
    assert bench.requests.pending

    bench.full = False
    bench.requests.send_replies(ADDRESS, SESSION)

    assert bench.answers() == [(2, [b"2", b"3", b"4"]), (5, [b"5"])]
    assert not bench.requests.pending


def test_a_flood_of_questions_is_cut_off() -> None:
    bench = Bench()
    bench.full = True
    for try_send in range(5000):
        bench.requests.receive(
            BEGINS + recovery_topic(QUESTION._replace(attempt=try_send % 2**16))
        )
    bench.full = False

    bench.requests.send_replies(ADDRESS, SESSION)

    assert len(bench.sent) == 1024


def test_positions_are_sent_while_a_subscriber_wants_them() -> None:
    bench = Bench()
    tell = bench.requests.send_positions
    assert tell(ADDRESS, SESSION, now=0.0) is None

    bench.requests.receive(BEGINS + position_prefix("A"))
    bench.requests.receive(BEGINS + position_prefix("C"))

    assert tell(ADDRESS, SESSION, now=1.0) == POSITION_INTERVAL_S
    assert tell(ADDRESS, SESSION, now=2.0) == POSITION_INTERVAL_S - 1
    assert tell(ADDRESS, SESSION, now=1 + POSITION_INTERVAL_S) == POSITION_INTERVAL_S
    told = [decode_position(frame) for frame in bench.sent]
    assert [each and (each[0], each[1].session, each[1].sequence) for each in told] == [
        ("A", SESSION, 6)
    ] * 2

    bench.requests.receive(ENDS + position_prefix("A"))
    assert tell(ADDRESS, SESSION, now=9.0) is None
    assert not bench.requests.positions_wanted


def test_a_position_that_finds_no_room_is_left_out() -> None:
    bench = Bench()
    bench.requests.receive(BEGINS + position_prefix("A"))
    bench.full = True

    assert (
        bench.requests.send_positions(ADDRESS, SESSION, now=1.0) == POSITION_INTERVAL_S
    )


def test_a_subscriber_that_has_more_topics_now_is_ready_with_all_of_them() -> None:
    """They come over several connections, so those of before say nothing of the others."""
    bench = Bench()
    for number, (name, topics) in enumerate([("x", 2), ("A", 4), ("y", 2), ("B", 4)]):
        assert bench.requests.ready_subscribers.subscribers == set(), f"after {number}"
        bench.requests.receive(BEGINS + ready_topic(name, 9, topics))
    assert bench.requests.ready_subscribers.subscribers == {9}

    bench.requests.receive(ENDS + ready_topic("x", 9, 2))

    assert bench.requests.ready_subscribers.subscribers == set()


def test_a_listener_is_ready_with_as_many_topics_as_the_broker_expects() -> None:
    """It has A by a wildcard, from another publisher; B is only ours."""
    bench = Bench()
    bench.requests.receive(BEGINS + ready_topic("A", 9))
    bench.requests.receive(BEGINS + ready_topic("A", 8))
    bench.requests.ready_subscribers.expect(
        {9: 2}
    )  # the broker's word may come later than the question
    assert bench.requests.ready_subscribers.subscribers == {8}

    bench.requests.receive(BEGINS + ready_topic("x", 9))
    assert bench.requests.ready_subscribers.subscribers == {8}
    bench.requests.receive(BEGINS + ready_topic("B", 9))
    assert bench.requests.ready_subscribers.subscribers == {8, 9}

    bench.requests.receive(ENDS + ready_topic("B", 9))
    assert bench.requests.ready_subscribers.subscribers == {8}
    bench.requests.ready_subscribers.expect({})
    assert bench.requests.ready_subscribers.subscribers == {8, 9}


def test_an_invalid_subscription_is_counted_logged_once_and_ends_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.requests.receive(BEGINS + ready_topic("A", 9))

    for nonsense in (b"", b"\x02" + ready_topic("A", 9), b"GET / HTTP/1.1"):
        bench.requests.receive(nonsense)

    assert bench.requests.malformed_count == 3
    assert len(caplog.messages) == 1
    assert bench.requests.ready_subscribers.subscribers == {9}


def test_the_ready_handshake_is_answered_beside_it() -> None:
    bench = Bench()

    bench.requests.receive(BEGINS + ready_topic("A", 9))
    bench.requests.send_replies(ADDRESS, SESSION)

    answered = decode_ready_reply(bench.sent[0])
    assert answered is not None
    assert (answered[0], answered[1].sequence) == ("A", 6)
    assert bench.requests.ready_subscribers.subscribers == {9}


@pytest.mark.parametrize(
    "message", [b"", b"\x01", b"\x05abc", b"\x01\xfe", b"\x01\xfd\0"]
)
def test_other_subscriptions_are_none_of_ours(message: bytes) -> None:
    bench = Bench()

    bench.requests.receive(message)
    bench.requests.send_replies(ADDRESS, SESSION)

    assert not bench.sent
    assert not bench.requests.positions_wanted

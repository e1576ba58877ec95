"""What a publisher decides, without a socket."""

from __future__ import annotations

import pytest

from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    GrantsUpdated,
    Rejected,
)
from pubsub_common.protocol.events import (
    EVENT_MARK,
    decode_ready_reply,
    ready_topic,
    topic_prefix,
)
from pubsub_common.protocol.messages import Registered, Vouched
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
    position_prefix,
    recovery_topic,
)
from pubsub_publisher.core import (
    AcceptClients,
    Effect,
    InvalidSubscription,
    PublisherCore,
    ReadyChanged,
    RefuseEvents,
    Send,
)
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_state import TopicState

ADDRESS, SESSION = "127.0.0.1:1", 7
PEER = "the other side of a connection"
BEGINS, ENDS = b"\x01", b"\x00"
QUESTION = RecoveryRequest("A", SESSION, 9, 2, 4, 0)


def accepted(listeners: dict[int, int]) -> Accepted:
    """The broker has registered us."""
    reply = Registered(
        id=1,
        version=1,
        session=SESSION,
        epoch=3,
        lease_s=6.0,
        model="decentralized",
        listeners=listeners,
    )
    return Accepted(reply, again=False)


class Bench:
    """A core with a socket that may have no room."""

    def __init__(self, kept: int | None = 100) -> None:
        self.full = False
        self.now = 1.0
        self.sent: list[bytes] = []
        history = None if kept is None else History(kept, 2**20)
        self.topics = {"A": TopicState("A", history), "B": TopicState("B")}
        self.core = PublisherCore(self.topics)
        self.core.address, self.core.session = ADDRESS, SESSION
        self.topics["A"].commit(0, [(number, b"%d" % number) for number in range(6)])

    @property
    def ready(self) -> set[int]:
        return self.core.ready.sessions

    def receive(self, message: bytes) -> list[Effect]:
        return self.core.receive(message, self.now, PEER)

    def ask(self, question: RecoveryRequest) -> None:
        self.receive(BEGINS + recovery_topic(question))
        self.send()

    def due(self) -> bool:
        due_at = self.core.next_deadline()
        return due_at is not None and due_at <= self.now

    def tick(self) -> list[Send]:
        """A turn, as the shell takes it: all that was sent has arrived."""
        for origin in self.core.questions.next_origins(self.now):
            taken = sum(map(len, self.sent))
            self.core.questions.progress(origin, taken, self.now, whole=True)
        return [send for send in self.core.tick(self.now) if isinstance(send, Send)]

    def send(self) -> None:
        """Send the messages that are due, like the shell."""
        while self.due():
            sends = self.tick()
            if self.full:
                self.core.no_room(sends, self.now)
                return
            self.sent += [send.frame for send in sends]

    def answers(self) -> list[tuple[int, list[bytes]]]:
        decoded = [decode_recovery_reply(frame) for frame in self.sent]
        return [(each[1].sequence, each[1].payloads) for each in decoded if each]


def test_events_that_are_asked_for_are_sent() -> None:
    bench = Bench()

    bench.ask(QUESTION)

    assert bench.answers() == [(2, [b"2", b"3", b"4"])]
    assert bench.core.last_request_at > 0


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
    assert bench.core.next_deadline() is None


def test_the_end_of_a_question_is_none() -> None:
    bench = Bench()

    bench.receive(ENDS + recovery_topic(QUESTION))
    bench.send()

    assert not bench.sent


def test_answers_wait_for_room_in_order() -> None:
    bench = Bench()
    bench.full = True
    bench.ask(QUESTION)
    bench.ask(QUESTION._replace(first=5, last=5))
    assert bench.core.next_deadline() is not None

    bench.full = False
    bench.send()
    assert not bench.sent  # not at once

    bench.now = bench.core.next_deadline() or 0.0
    bench.send()

    assert bench.answers() == [(2, [b"2", b"3", b"4"]), (5, [b"5"])]
    while (due_at := bench.core.next_deadline()) is not None:  # until all has arrived
        bench.now = max(bench.now, due_at)
        bench.send()


def test_a_flood_of_questions_is_answered_in_portions() -> None:
    bench = Bench()
    for session in range(500):
        bench.receive(BEGINS + ready_topic("A", session))

    assert 0 < len(bench.tick()) < 100
    assert bench.due()


def test_positions_are_sent_while_a_subscriber_wants_them() -> None:
    bench = Bench()
    assert bench.core.next_deadline() is None

    bench.receive(BEGINS + position_prefix("A"))
    bench.receive(BEGINS + position_prefix("C"))

    bench.send()
    assert bench.core.next_deadline() == 1 + POSITION_INTERVAL_S
    bench.now = 2.0
    bench.send()
    assert len(bench.sent) == 1
    bench.now = 1 + POSITION_INTERVAL_S
    bench.send()
    told = [decode_position(frame) for frame in bench.sent]
    assert [each and (each[0], each[1].session, each[1].sequence) for each in told] == [
        ("A", SESSION, 6)
    ] * 2

    bench.receive(ENDS + position_prefix("A"))
    assert bench.core.next_deadline() is None
    assert not bench.core.positions_wanted


def test_a_position_that_finds_no_room_is_left_out() -> None:
    bench = Bench()
    bench.receive(BEGINS + position_prefix("A"))
    bench.full = True

    bench.send()

    assert bench.core.next_deadline() == bench.now + POSITION_INTERVAL_S


def test_a_subscriber_that_has_more_topics_now_is_ready_with_all_of_them() -> None:
    """They come over several connections, so earlier ones say nothing about the others."""
    bench = Bench()
    for number, (name, topics) in enumerate([("x", 2), ("A", 4), ("y", 2), ("B", 4)]):
        assert bench.ready == set(), f"after {number}"
        bench.receive(BEGINS + ready_topic(name, 9, topics))
    assert bench.ready == {9}

    bench.receive(ENDS + ready_topic("x", 9, 2))

    assert bench.ready == set()


def test_a_listener_is_ready_with_as_many_topics_as_the_broker_expects() -> None:
    """It has A by a wildcard, from another publisher; B is only ours."""
    bench = Bench()
    bench.receive(BEGINS + ready_topic("A", 9))
    bench.receive(BEGINS + ready_topic("A", 8))
    bench.core.ready.expect(
        {9: 2}
    )  # the broker's word may come later than the question
    assert bench.ready == {8}

    bench.receive(BEGINS + ready_topic("x", 9))
    assert bench.ready == {8}
    bench.receive(BEGINS + ready_topic("B", 9))
    assert bench.ready == {8, 9}

    bench.receive(ENDS + ready_topic("B", 9))
    assert bench.ready == {8}
    bench.core.ready.expect({})
    assert bench.ready == {8, 9}


def test_an_invalid_subscription_is_counted_told_once_and_ends_none() -> None:
    bench = Bench()
    bench.receive(BEGINS + ready_topic("A", 9))

    nonsense = (b"", b"\x02" + ready_topic("A", 9), b"GET / HTTP/1.1")
    effects = [effect for each in nonsense for effect in bench.receive(each)]

    assert effects == [InvalidSubscription()]
    assert bench.core.invalid_count == 3
    assert bench.ready == {9}


def test_who_waits_is_told_when_others_are_ready() -> None:
    bench = Bench()
    ready = BEGINS + ready_topic("A", 9)

    assert bench.receive(ready) == [ReadyChanged()]
    assert bench.receive(ready) == []
    assert bench.receive(BEGINS + ready_topic("C", 9)) == []
    assert bench.receive(ENDS + ready_topic("A", 9)) == [ReadyChanged()]


def test_topics_of_others_alone_make_nobody_ready() -> None:
    bench = Bench()

    bench.receive(BEGINS + ready_topic("C", 9))

    assert not bench.ready


def test_topics_that_become_ours_count_from_the_next_registration_on() -> None:
    bench = Bench()
    bench.receive(BEGINS + ready_topic("C", 9))
    bench.topics["C"] = TopicState("C")

    assert bench.core.update(accepted({9: 1})) == [AcceptClients([]), ReadyChanged()]
    assert bench.ready == {9}

    bench.receive(ENDS + ready_topic("C", 9))
    assert not bench.ready


def test_news_of_the_broker() -> None:
    bench = Bench()
    bench.core.session = -1
    vouched = [Vouched(key="k", topics=["A"])]

    assert bench.core.update(accepted({5: 1, 6: 2})) == [AcceptClients([])]
    assert bench.core.session == SESSION
    assert bench.core.listeners == {5: 1, 6: 2}
    assert bench.core.update(GrantsUpdated(vouched)) == [AcceptClients(vouched)]
    assert bench.core.update(Rejected("revoked", "gone")) == [RefuseEvents()]
    assert bench.core.update(BrokerLost(farewell=True)) == []


def test_nothing_is_answered_before_there_is_a_session() -> None:
    bench = Bench()
    bench.core.session = -1
    bench.receive(BEGINS + ready_topic("A", 9))
    assert bench.core.next_deadline() is None
    assert not bench.tick()

    bench.core.update(accepted({}))
    bench.send()

    assert len(bench.sent) == 1


def test_the_ready_handshake_is_answered_beside_it() -> None:
    bench = Bench()

    bench.receive(BEGINS + ready_topic("A", 9))
    bench.send()

    answered = decode_ready_reply(bench.sent[0])
    assert answered is not None
    assert (answered[0], answered[1].sequence) == ("A", 6)
    assert bench.ready == {9}


@pytest.mark.parametrize(
    "message", [b"", b"\x01", b"\x05abc", b"\x01\xfe", b"\x01\xfd\0"]
)
def test_other_subscriptions_are_none_of_ours(message: bytes) -> None:
    bench = Bench()

    bench.receive(message)
    bench.send()

    assert not bench.sent
    assert not bench.core.positions_wanted


@pytest.mark.parametrize(
    ("subscription", "found"),
    [
        (ready_topic("A", 5, 1), {"A"}),
        (topic_prefix("A"), {"A"}),
        (topic_prefix("A") + EVENT_MARK, {"A"}),
        (b"B", {"B"}),
        (b"", {"A", "B"}),
        (topic_prefix("C"), set()),
        (b"\xfe\0", set()),
    ],
)
def test_it_knows_which_topics_anybody_has_subscribed_to(
    subscription: bytes, found: set[str]
) -> None:
    bench = Bench()
    bench.receive(BEGINS + subscription)
    assert bench.core.subscribed == found
    bench.receive(ENDS + subscription)
    assert bench.core.subscribed == found

"""Which question is answered when, and which connection has too much unread."""

from __future__ import annotations

import pytest

from pubsub_common.defaults import (
    ANSWER_BYTES,
    ANSWER_BYTES_PER_SECOND,
    ANSWERS_BYTES,
)
from pubsub_common.protocol.events import ReadyRequest
from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES
from pubsub_publisher.subscribers.questions import BEHIND_S, STALLED_S, Questions


def question(number: int) -> ReadyRequest:
    return ReadyRequest("A", number, 0)


class Kernel:
    """Connections, and the number of sent bytes that have arrived at each."""

    def __init__(self, limit: int = 1000) -> None:
        self.questions = Questions(limit)
        self.now = 1.0
        self.sent: dict[str, int] = {}
        self.arrived: dict[str, int] = {}
        self.answers: list[tuple[str, int]] = []

    def ask(self, origin: str, *numbers: int) -> None:
        for number in numbers:
            self.questions.add(origin, question(number))

    def turn(self, size: int = REPLY_MAX_BYTES, *, most: int = 1000) -> int:
        """Answer what may be answered, with ``size`` bytes each; how many."""
        for origin in self.questions.next_origins(self.now):
            assert isinstance(origin, str)
            sent, arrived = self.sent.get(origin, 0), self.arrived.get(origin, 0)
            whole = sent == arrived
            self.questions.progress(origin, arrived, self.now, whole=whole)
        count = 0
        while count < most and (taken := self.questions.take(self.now)) is not None:
            origin, request = taken
            assert isinstance(origin, str)
            self.questions.answered(origin, size, self.now)
            self.sent[origin] = self.sent.get(origin, 0) + size
            self.answers.append((origin, request[1]))
            count += 1
        return count

    def read(self, origin: str, size: int | None = None) -> None:
        """The other side reads this much of the data under way; None: all."""
        arrived, sent = self.arrived.get(origin, 0), self.sent.get(origin, 0)
        self.arrived[origin] = sent if size is None else min(sent, arrived + size)

    def unread(self) -> int:
        return sum(self.sent.values()) - sum(self.arrived.values())

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


def test_who_does_not_read_gets_no_more_than_a_window() -> None:
    kernel = Kernel()
    kernel.ask("slow", *range(100))

    for _ in range(100):
        kernel.turn()
        kernel.pass_time(1.0)

    assert 0 < kernel.unread() <= ANSWER_BYTES


def test_what_has_arrived_makes_room() -> None:
    kernel = Kernel()
    kernel.ask("slow", *range(100))
    while kernel.turn():
        pass
    before = len(kernel.answers)

    kernel.read("slow", REPLY_MAX_BYTES)
    kernel.pass_time(0.1)

    assert kernel.turn() == 1
    assert len(kernel.answers) == before + 1


def test_answers_that_never_went_out_are_no_debt_for_ever() -> None:
    """Nobody was subscribed to them any more, or libzmq dropped them."""
    kernel = Kernel()
    for number in range(50):
        kernel.ask("peer", number)
        while not kernel.turn():
            kernel.pass_time(0.1)
        kernel.sent["peer"] = 0

    assert len(kernel.answers) == 50


def test_those_who_read_are_not_kept_waiting_by_one_that_does_not() -> None:
    kernel = Kernel()
    kernel.ask("slow", *range(100))
    while kernel.turn():
        pass

    kernel.ask("quick", 1, 2, 3, 4, 5)
    for _ in range(10):
        kernel.turn()
        kernel.read("quick")
        kernel.pass_time(0.1)

    assert [each for each in kernel.answers if each[0] == "quick"] == [
        ("quick", number) for number in range(1, 6)
    ]


def test_connections_take_turns() -> None:
    kernel = Kernel()
    for origin in "abc":
        kernel.ask(origin, *range(3))

    for _ in range(9):
        kernel.turn(100, most=1)

    assert [origin for origin, _ in kernel.answers] == list("abc") * 3


def test_the_busiest_loses_its_oldest_question() -> None:
    kernel = Kernel(limit=10)
    kernel.ask("honest", 1, 2)
    kernel.ask("busy", *range(100))
    kernel.ask("late", 7)

    while kernel.turn(100):
        pass

    assert sorted(kernel.answers) == [
        *(("busy", number) for number in range(93, 100)),
        ("honest", 1),
        ("honest", 2),
        ("late", 7),
    ]


def test_a_question_that_is_taken_back_is_not_answered() -> None:
    kernel = Kernel()
    kernel.ask("peer", 1, 2)

    kernel.questions.withdraw("peer", question(1))
    kernel.questions.withdraw("peer", question(5))
    kernel.questions.withdraw("other", question(1))

    kernel.turn()
    assert kernel.answers == [("peer", 2)]


def test_the_same_question_is_answered_once() -> None:
    kernel = Kernel()
    kernel.ask("peer", 1, 1)

    assert kernel.turn() == 1


def test_a_question_without_room_comes_first_later() -> None:
    kernel = Kernel()
    kernel.ask("peer", 1, 2)
    kernel.turn(most=1)

    kernel.questions.no_room("peer", question(1), REPLY_MAX_BYTES, kernel.now)
    assert kernel.questions.next_deadline() == pytest.approx(kernel.now, abs=0.1)
    kernel.pass_time(0.1)
    kernel.turn()

    assert kernel.answers == [("peer", 1), ("peer", 1), ("peer", 2)]


def test_a_connection_that_is_gone_leaves_nothing() -> None:
    kernel = Kernel()
    kernel.ask("peer", *range(10))
    kernel.turn()

    kernel.questions.forget("peer")

    assert kernel.questions.next_deadline() is None
    kernel.pass_time(60.0)
    assert kernel.questions.hindrance(kernel.now) is None


def crowd(kernel: Kernel) -> list[str]:
    """Connections that do not read, as many as there is room for answers."""
    names = [f"slow{number}" for number in range(ANSWERS_BYTES // ANSWER_BYTES)]
    for name in names:
        kernel.ask(name, *range(10))
    for _ in range(10):
        while kernel.turn():
            pass
        kernel.pass_time(0.1)
    assert ANSWERS_BYTES - REPLY_MAX_BYTES < kernel.unread() <= ANSWERS_BYTES
    return names


def test_all_together_get_no_more_than_the_limit() -> None:
    kernel = Kernel()
    crowd(kernel)
    kernel.ask("late", 1)

    kernel.pass_time(0.1)

    assert kernel.turn() == 0
    assert kernel.questions.hindrance(kernel.now) is None  # they may yet read


def test_who_does_not_read_is_ended_for_those_who_wait() -> None:
    kernel = Kernel()
    names = crowd(kernel)
    kernel.ask("late", 1)
    kernel.pass_time(STALLED_S)

    ended = kernel.questions.hindrance(kernel.now)

    assert ended in names
    while ("late", 1) not in kernel.answers and kernel.now < STALLED_S + 60.0:
        kernel.turn()
        kernel.pass_time(0.01)
    assert ("late", 1) in kernel.answers


def test_who_reads_a_drop_now_and_then_is_ended_too() -> None:
    kernel = Kernel()
    names = crowd(kernel)
    kernel.ask("late", 1)

    ended = None
    began_at = kernel.now
    while ended is None and kernel.now < began_at + 2 * BEHIND_S:
        for name in names:
            kernel.read(name, 1)
        kernel.turn()
        kernel.pass_time(0.5)
        ended = kernel.questions.hindrance(kernel.now)

    assert ended in names


def test_one_answer_may_be_larger_than_all_the_room() -> None:
    """A single event of any size is to be had."""
    kernel = Kernel()
    kernel.ask("peer", 1, 2)

    assert kernel.turn(2 * ANSWERS_BYTES) == 1
    kernel.pass_time(0.1)
    assert kernel.turn() == 0
    kernel.read("peer")
    kernel.pass_time(1.0)  # it has a rate
    assert kernel.turn() == 1


def test_answers_have_a_rate_however_fast_they_are_read() -> None:
    """Behind a broker, others than the requesting subscribers read them."""
    kernel = Kernel()
    kernel.ask("broker", *range(3000))
    began_at = kernel.now
    while kernel.now < began_at + 1.0:
        kernel.turn()
        kernel.read("broker")
        kernel.pass_time(0.001)

    assert 0.5 < kernel.sent["broker"] / ANSWER_BYTES_PER_SECOND < 1.2


def test_the_rate_does_not_begin_anew_after_a_pause() -> None:
    kernel = Kernel()
    began_at = kernel.now
    for number in range(0, 100_000, 100):
        kernel.ask("broker", *range(number, number + 100))
        for _ in range(10):
            kernel.turn()
            kernel.read("broker")
            kernel.pass_time(0.005)
        if kernel.now > began_at + 1.0:
            break

    assert kernel.sent["broker"] / ANSWER_BYTES_PER_SECOND < 1.2

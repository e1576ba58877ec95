"""Recovery of one stream's events, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    parse_recovery_request,
)
from pubsub_common.protocol.sequence import Gap, StreamTracker
from pubsub_subscriber.streams.effects import Request
from pubsub_subscriber.streams.recovery import Recovery

PUBLISHER, SUBSCRIBER = 7, 9
TIMEOUT_S = 10.0


def event(number: int) -> Event:
    return Event("p", PUBLISHER, number, 0, b"%d" % number, "A")


class Bench:
    """A stream with recovery, at one moment after the other."""

    def __init__(
        self,
        *,
        expected: int = 0,
        max_held: int = 100,
        held_bytes: int = 2**20,
        from_start: bool = False,
    ):
        self.recovery = Recovery(
            SUBSCRIBER,
            TIMEOUT_S,
            max_held=max_held,
            held_bytes=held_bytes,
            from_start=from_start,
        )
        self.tracker = StreamTracker(PUBLISHER, "A", expected)
        self.now = 0.0
        self.gaps: list[Gap] = []
        self._items: list[Event] = []
        self.open_questions: list[RecoveryRequest] = []

    def on_event(self, *numbers: int) -> list[int]:
        for number in numbers:
            self.recovery.on_event(self.tracker, event(number), self.now, self._items)
        return self.delivered()

    def reach(self, sequence: int) -> list[int]:
        self.recovery.on_position(self.tracker, sequence, self.now, self._items)
        return self.delivered()

    def answer(self, question: RecoveryRequest, first: int, *numbers: int) -> list[int]:
        payloads = [b"%d" % number for number in numbers]
        batch = Batch("p", PUBLISHER, first, 0, [0] * len(numbers), payloads, "A")
        self.gaps += self.recovery.on_reply(question, batch, self.now, self._items)
        return self.delivered()

    def poll(self, after_s: float, *, idle: bool = True) -> list[int]:
        self.now += after_s
        self.gaps += self.recovery.poll(self.now, self._items, idle=idle)
        return self.delivered()

    def abandon(self) -> list[int]:
        self.gaps += self.recovery.abandon((PUBLISHER, "A"), self._items)
        return self.delivered()

    def delivered(self) -> list[int]:
        items, self._items = self._items, []
        return [item.sequence for item in items]

    def asked(self) -> tuple[int, int] | None:
        """The question that is open now, after all that was to be done."""
        asks, self.recovery.effects = self.recovery.effects, []
        for ask in asks:
            assert ask.topic == "A"
            question = parse_recovery_request(ask.raw)
            assert question is not None
            assert (question.publisher, question.subscriber) == (PUBLISHER, SUBSCRIBER)
            if isinstance(ask, Request):
                assert question not in self.open_questions
                self.open_questions.append(question)
            else:
                self.open_questions.remove(question)
        assert len(self.open_questions) <= 1, "one stream asks one question"
        if not self.open_questions:
            return None
        return self.open_questions[0].first, self.open_questions[0].last

    @property
    def question(self) -> RecoveryRequest:
        self.asked()
        return self.open_questions[0]

    def lost(self) -> list[tuple[int, int]]:
        return [(gap.first, gap.last) for gap in self.gaps]


def test_a_stream_without_gaps_asks_nothing() -> None:
    bench = Bench()

    assert bench.on_event(0, 1, 2) == [0, 1, 2]
    assert bench.asked() is None
    assert bench.recovery.next_deadline() is None


def test_what_is_missing_comes_before_what_was_held() -> None:
    bench = Bench()

    assert bench.on_event(0, 3, 4) == [0]
    assert bench.asked() == (1, 2)
    assert bench.answer(bench.question, 1, 1, 2) == [1, 2, 3, 4]
    assert bench.asked() is None
    assert bench.on_event(5) == [5]
    assert (bench.tracker.received, bench.tracker.recovered) == (6, 2)
    assert (bench.tracker.lost, bench.tracker.duplicated) == (0, 0)


def test_a_long_gap_is_asked_for_part_by_part() -> None:
    bench = Bench()
    bench.on_event(0, 6)

    assert bench.answer(bench.question, 1, 1, 2) == [1, 2]
    assert bench.asked() == (3, 5)
    assert bench.answer(bench.question, 3, 3, 4, 5) == [3, 4, 5, 6]


def test_what_the_publisher_no_longer_has_is_lost() -> None:
    bench = Bench()
    bench.on_event(0, 9)

    assert bench.answer(bench.question, 5, 5, 6, 7, 8) == [5, 6, 7, 8, 9]
    assert bench.lost() == [(1, 4)]
    assert bench.tracker.lost == 4


def test_a_publisher_without_a_history_ends_the_wait_at_once() -> None:
    bench = Bench()
    bench.on_event(0, 9)

    assert bench.answer(bench.question, 10) == [9]
    assert bench.lost() == [(1, 8)]
    assert bench.asked() is None


def test_several_gaps_are_closed_one_after_the_other() -> None:
    bench = Bench()
    bench.on_event(0, 2, 4, 5)

    assert bench.asked() == (1, 1)
    assert bench.answer(bench.question, 1, 1) == [1, 2]
    assert bench.asked() == (3, 3)
    assert bench.answer(bench.question, 3, 3) == [3, 4, 5]


def test_a_loss_at_the_end_is_asked_for() -> None:
    bench = Bench()
    bench.on_event(0)

    assert bench.reach(3) == []
    assert bench.asked() == (1, 2)
    assert bench.answer(bench.question, 1, 1, 2) == [1, 2]
    assert bench.reach(3) == []
    assert bench.asked() is None


def test_an_answer_that_does_not_come_is_asked_for_again_less_and_less_often() -> None:
    bench = Bench()
    bench.on_event(0, 2)
    first = bench.question
    pauses = []
    for _ in range(3):
        due = bench.recovery.next_deadline()
        assert due is not None
        pauses.append(due - bench.now)
        assert bench.poll(due - bench.now) == []
        assert bench.asked() == (1, 1)

    assert bench.question.attempt == first.attempt + 3
    assert pauses == sorted(set(pauses))


def test_after_the_timeout_the_gap_is_lost_and_the_stream_goes_on() -> None:
    bench = Bench()
    bench.on_event(0, 2)
    delivered = []
    while bench.now < TIMEOUT_S:
        assert not bench.gaps
        delivered += bench.poll(0.5)
    delivered += bench.poll(5.0)

    assert delivered == [2]
    assert bench.lost() == [(1, 1)]
    assert bench.asked() is None
    assert bench.on_event(3) == [3]


def test_while_much_is_to_be_looked_at_the_timeout_is_a_quarter_second_longer() -> None:
    bench = Bench()
    bench.on_event(0, 2)

    assert bench.poll(TIMEOUT_S, idle=False) == []
    assert bench.poll(0.2, idle=False) == []
    assert bench.poll(0.1, idle=False) == [2]


def test_an_answer_among_what_was_not_looked_at_is_in_time() -> None:
    """A program that was busy for long finds it in the socket, behind other events."""
    bench = Bench()
    bench.on_event(0, 2)
    question = bench.question
    assert bench.poll(5 * TIMEOUT_S, idle=False) == []

    assert bench.answer(question, 1, 1) == [1, 2]
    assert bench.poll(1.0, idle=False) == []
    assert not bench.gaps


@given(
    st.lists(
        st.tuples(st.floats(0.0, 2.0), st.integers(0, 3), st.booleans()), max_size=60
    )
)
def test_each_event_is_given_up_when_its_time_is_over_whatever_else_comes(
    steps: list[tuple[float, int, bool]],
) -> None:
    """A publisher that never answers: each gap is reported within half a second of its
    timeout, if somebody looks each 0.1 seconds, busy or not."""
    bench = Bench(max_held=10)
    bench.on_event(0)
    missing_since: dict[int, float] = {}
    number = 1
    reported = 0
    for seconds, lost, busy in steps:
        for each in range(number, number + lost):
            missing_since[each] = bench.now
        number += lost
        bench.on_event(number)
        if len(bench.recovery._streams) and bench.tracker.expected <= number:
            missing_since.setdefault(number, bench.now)  # it may not have been held
        number += 1
        for _ in range(round(seconds * 10)):
            bench.poll(0.1, idle=not busy)
            for gap in bench.gaps[reported:]:
                for each in range(gap.first, gap.last + 1):
                    late_s = bench.now - missing_since[each] - TIMEOUT_S
                    assert -0.2 < late_s < 0.5
            reported = len(bench.gaps)
            due = bench.recovery.next_deadline()
            assert due is None or due <= bench.now + TIMEOUT_S


def test_the_deadline_is_that_of_the_timeout_too() -> None:
    """Not only that of the next request, which is seconds apart in the end."""
    bench = Bench()
    bench.on_event(0, 2)
    while bench.now < TIMEOUT_S:
        due = bench.recovery.next_deadline()
        assert due is not None
        assert bench.now < due <= TIMEOUT_S
        assert not bench.gaps
        bench.poll(due - bench.now)

    assert bench.lost() == [(1, 1)]


def test_nothing_from_before_is_said_once_for_a_stream() -> None:
    bench = Bench(expected=-1, from_start=True)
    bench.on_event(5)

    assert bench.answer(bench.question, 5) == [5]
    bench.asked()

    assert bench.recovery.without_history == [(PUBLISHER, "A")]
    assert not bench.gaps


def test_progress_begins_the_timeout_anew() -> None:
    bench = Bench()
    bench.on_event(0, 5)
    bench.poll(TIMEOUT_S - 1)
    bench.answer(bench.question, 1, 1)

    assert bench.poll(TIMEOUT_S - 1) == []
    assert not bench.gaps


def test_a_late_answer_is_used_once() -> None:
    bench = Bench()
    bench.on_event(0, 3)
    early = bench.question
    bench.poll(1.0)

    assert bench.answer(early, 1, 1, 2) == [1, 2, 3]
    assert bench.answer(early, 1, 1, 2) == []
    assert bench.asked() is None
    assert (bench.tracker.received, bench.tracker.duplicated) == (4, 0)


def test_a_late_answer_that_knows_less_loses_nothing() -> None:
    bench = Bench()
    bench.on_event(0, 5)
    early = bench.question
    bench.poll(1.0)

    assert bench.answer(early, 4, 4) == []
    assert not bench.gaps
    assert bench.asked() == (1, 4)


def test_what_comes_late_by_itself_is_delivered_once() -> None:
    bench = Bench()
    bench.on_event(0, 3)

    assert bench.on_event(1) == [1]
    assert bench.answer(bench.question, 1, 1, 2) == [2, 3]


def test_what_is_repeated_is_a_duplicate() -> None:
    bench = Bench()

    assert bench.on_event(0, 0, 3, 3) == [0]
    assert bench.tracker.duplicated == 2


def test_what_cannot_be_held_is_asked_for_later() -> None:
    bench = Bench(max_held=2)

    assert bench.on_event(0, 2, 3, 4, 5, 6) == [0]
    assert bench.answer(bench.question, 1, 1) == [1, 2, 3]
    assert bench.asked() == (4, 6)
    assert bench.answer(bench.question, 4, 4, 5, 6) == [4, 5, 6]
    assert bench.tracker.lost == 0


def test_an_abandoned_stream_delivers_what_it_held() -> None:
    bench = Bench()
    bench.on_event(0, 2, 5)
    bench.reach(8)

    assert bench.abandon() == [2, 5]
    assert bench.lost() == [(1, 1), (3, 4), (6, 7)]
    assert bench.asked() is None
    assert bench.abandon() == []


@pytest.mark.parametrize("first_word", ["event", "position"])
def test_a_stream_may_begin_with_what_the_publisher_still_has(first_word: str) -> None:
    bench = Bench(expected=-1, from_start=True)

    if first_word == "event":
        assert bench.on_event(5) == []
    else:
        assert bench.reach(5) == []
    assert bench.asked() == (0, 4)
    rest = [5] if first_word == "event" else []
    assert bench.answer(bench.question, 3, 3, 4) == [3, 4, *rest]
    assert not bench.gaps
    assert (bench.tracker.received, bench.tracker.lost) == (2 + len(rest), 0)


def test_after_the_beginning_a_gap_is_a_loss() -> None:
    bench = Bench(expected=-1, from_start=True)
    bench.on_event(5)
    bench.answer(bench.question, 3, 3, 4)

    bench.on_event(7)
    bench.answer(bench.question, 8)

    assert bench.lost() == [(6, 6)]


def test_a_publisher_that_has_nothing_from_before_begins_now() -> None:
    bench = Bench(expected=-1, from_start=True)

    assert bench.reach(5) == []
    assert bench.answer(bench.question, 5) == []
    assert bench.on_event(5) == [5]
    assert not bench.gaps


def test_otherwise_a_stream_begins_with_its_first_word() -> None:
    bench = Bench(expected=-1)

    assert bench.on_event(5, 6) == [5, 6]
    assert bench.asked() is None


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize("more", [0, 1, 3])
def test_a_gap_that_the_receive_path_has_closed_is_closed_at_the_next_look(
    idle: bool, more: int
) -> None:
    bench = Bench()
    bench.reach(2)
    bench.tracker.expected += 2 + more  # each was the next one when it came

    assert bench.poll(TIMEOUT_S + 1, idle=idle) == []
    assert bench.asked() is None
    assert bench.lost() == []
    assert bench.recovery.next_deadline() is None
    assert bench.on_event(2 + more) == [2 + more]


def test_what_the_receive_path_made_deliverable_is_delivered_not_lost() -> None:
    bench = Bench()
    bench.on_event(0, 2, 3, 6)
    bench.tracker.expected += 1  # 1 came late, and was the next one

    assert bench.poll(TIMEOUT_S + 1) == [2, 3, 6]
    assert bench.lost() == [(4, 5)]


COST = EVENT_OVERHEAD_BYTES + 1


def test_what_is_too_large_to_be_held_is_asked_for_later() -> None:
    bench = Bench(held_bytes=4 * COST - 1)
    bench.on_event(0, 2, 3, 4, 5, 6)

    assert bench.answer(bench.question, 1, 1) == [1, 2, 3, 4]
    assert bench.asked() == (5, 6)
    assert bench.answer(bench.question, 5, 5, 6) == [5, 6]
    assert bench.lost() == []


def test_what_was_given_up_and_is_not_to_be_had_is_lost_with_its_range() -> None:
    bench = Bench(held_bytes=4 * COST - 1)
    bench.on_event(0, 2, 3, 4, 5, 6, 7)
    bench.answer(bench.question, 1, 1)

    assert bench.answer(bench.question, 7, 7) == [7]

    assert bench.lost() == [(5, 6)]


def test_what_was_given_up_and_is_not_answered_is_lost_with_its_range() -> None:
    bench = Bench(held_bytes=4 * COST - 1)
    bench.on_event(0, 2, 3, 4, 5, 6, 7)

    assert bench.poll(TIMEOUT_S) == [2, 3, 4]
    bench.poll(TIMEOUT_S)

    assert bench.lost() == [(1, 1), (5, 7)]


def test_the_stream_that_holds_most_gives_up() -> None:
    recovery = Recovery(SUBSCRIBER, TIMEOUT_S, max_held=10**6, held_bytes=100 * COST)
    honest, hostile = StreamTracker(7, "A", 0), StreamTracker(8, "A", 0)
    items: list[Event] = []
    for number in (2, 3):
        recovery.on_event(honest, event(number), 0.0, items)
    for number in range(2, 10_000):
        large = Event("p", 8, number, 0, b"x" * 1000, "A")
        recovery.on_event(hostile, large, 0.0, items)

    held = {key: sorted(stream.held) for key, stream in recovery._streams.items()}
    assert held[7, "A"] == [2, 3]
    assert 0 < len(held[8, "A"]) < 30
    assert recovery._held.size <= 100 * COST


def test_nothing_counts_as_held_when_its_stream_is_over() -> None:
    bench = Bench()
    bench.on_event(0, 2, 3, 9)
    bench.abandon()
    assert bench.recovery._held.size == 0

    bench.on_event(12, 14)
    bench.answer(bench.question, 10, 10, 11)
    bench.answer(bench.question, 15)

    assert bench.lost() == [(1, 1), (4, 8), (13, 13)]
    assert bench.recovery._held.size == 0


def test_many_gaps_are_given_up_one_after_the_other() -> None:
    """Each of them without a look at all that is held: ten thousand times ten thousand would
    take a minute."""
    bench = Bench(max_held=10_000, held_bytes=2**30)
    bench.on_event(*range(0, 20_002, 2))

    delivered = bench.answer(bench.question._replace(last=1), 20_001)
    delivered += bench.abandon()

    assert delivered == [*range(2, 20_002, 2)]
    assert bench.lost() == [(number, number) for number in range(1, 20_001, 2)]

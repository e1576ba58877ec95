"""Which publisher owns a topic, as a subscriber sees it; and publishers that come back."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.events import encode_event
from pubsub_common.messages import Departure, PublisherInfo
from pubsub_common.recovery import (
    Question,
    encode_answer,
    encode_position,
    parse_question,
)
from pubsub_common.sequence import Gap
from pubsub_subscriber.inlet import Inlet
from pubsub_subscriber.intake import Intake
from pubsub_subscriber.recovery import Recovery
from pubsub_subscriber.streams import SETTLE_S, Streams


def info(session: int, strength: int | None = None, *topics: str) -> PublisherInfo:
    names = list(topics or ("A",))
    strengths = {} if strength is None else dict.fromkeys(names, strength)
    return PublisherInfo(session=session, topics=names, strengths=strengths)


def heard(streams: Streams, topic: str = "A", sessions: int = 10) -> list[int]:
    """The sessions whose events would be delivered."""
    return [
        session
        for session in range(sessions)
        if not streams.pass_over(session, topic, 0)
    ]


def test_without_strengths_all_are_heard() -> None:
    streams = Streams()
    streams.join(info(1))
    streams.join(info(2))

    assert heard(streams) == list(range(10))


def test_the_strongest_is_heard_and_of_several_the_lowest_session() -> None:
    streams = Streams()
    streams.join(info(1))
    streams.join(info(4, 0))
    assert heard(streams) == [4]

    streams.join(info(3, 5))
    assert heard(streams) == [3]

    streams.join(info(2, 5))
    assert heard(streams) == [2]


def test_topics_are_owned_one_by_one() -> None:
    streams = Streams()
    streams.join(info(1, 1, "A"))
    streams.join(info(2, 2, "A", "B"))
    streams.join(info(3, None, "C"))

    assert heard(streams, "A") == heard(streams, "B") == [2]
    assert len(heard(streams, "C")) == 10


def test_when_the_owner_dies_the_next_one_is_heard() -> None:
    streams = Streams()
    streams.join(info(1, 1))
    streams.join(info(2, 2))

    streams.leave(Departure(session=2), now=0.0)

    assert heard(streams) == [1]


def test_when_the_owner_gives_up_a_topic_the_next_one_is_heard() -> None:
    """Also where only the list of all publishers tells of it."""
    streams = Streams()
    streams.replace([info(1, 1, "A", "B"), info(2, 2, "A", "B")], now=0.0)

    streams.replace([info(1, 1, "A", "B"), info(2, 2, "B")], now=0.0)

    assert heard(streams, "A") == [1]
    assert heard(streams, "B") == [2]


def test_an_owner_that_a_restarted_broker_does_not_know_yet_stays_the_owner() -> None:
    streams = Streams()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)

    streams.replace(both[:1], now=10.0, restarted=True)
    assert heard(streams) == [2]
    streams.replace(both, now=11.0)
    assert streams.settle(now=10.0 + SETTLE_S) == ([], [])
    assert heard(streams) == [2]


def test_an_owner_that_does_not_come_back_to_a_restarted_broker_is_not_waited_for() -> (
    None
):
    streams = Streams()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)
    streams.replace(both[:1], now=10.0, restarted=True)

    due = streams.next_deadline()
    assert due == 10.0 + SETTLE_S
    # Its events still come, so its books stay open; but the topic is not its own.
    streams.tracker(2, "A").observe(0)
    streams.settle(now=due)

    assert heard(streams) == [1]
    gone, _ = streams.settle(now=due + 2 * SETTLE_S)
    assert [each.session for each in gone] == [2]


def test_who_is_not_in_the_list_of_a_broker_that_went_on_has_left() -> None:
    streams = Streams()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)

    streams.replace(both[:1], now=10.0)

    assert heard(streams) == [1]


def test_an_owner_that_takes_leave_is_heard_to_its_end() -> None:
    streams = Streams()
    streams.join(info(1, 1))
    streams.join(info(2, 2))
    streams.answer(2, "A", 0)

    streams.leave(Departure(session=2, next_sequences={"A": 1}), now=0.0)
    assert heard(streams) == [1, 2]

    streams.tracker(2, "A").observe(0)
    streams.settle(now=0.0)
    assert heard(streams) == [1]


def test_when_the_last_one_has_gone_nobody_owns_the_topic() -> None:
    streams = Streams()
    streams.join(info(1, 1))
    streams.leave(Departure(session=1), now=0.0)
    streams.settle(now=2 * SETTLE_S)
    streams.settle(now=4 * SETTLE_S)

    assert len(heard(streams)) == 10


def test_what_is_passed_over_is_neither_received_nor_lost() -> None:
    streams = Streams()
    streams.join(info(1, 1))
    streams.answer(1, "A", 0)
    for number in range(3):
        streams.tracker(1, "A").observe(number)

    streams.join(info(2, 2))
    assert streams.pass_over(1, "A", 3 + 1)  # its number 3
    assert streams.pass_over(1, "A", 8 + 1)  # 4 to 7 were dropped on the way
    streams.leave(Departure(session=2), now=0.0)

    assert not streams.pass_over(1, "A", 9 + 1)
    assert streams.tracker(1, "A").observe(9) is None
    counts = streams.counts()
    assert (counts.received, counts.lost) == (4, 0)


def test_a_publisher_that_is_passed_over_keeps_nobody_waiting_when_it_leaves() -> None:
    streams = Streams()
    streams.join(info(1, 1))
    streams.join(info(2, 2))
    streams.answer(1, "A", 0)

    streams.leave(Departure(session=1, next_sequences={"A": 1000}), now=0.0)
    gone, gaps = streams.settle(now=0.0)

    assert [each.session for each in gone] == [1]
    assert gaps == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.one_of(st.none(), st.integers(0, 3)), st.booleans()
        ),
        max_size=30,
    )
)
def test_at_any_time_the_owner_is_the_strongest_that_is_there(
    steps: list[tuple[int, int | None, bool]],
) -> None:
    streams = Streams()
    there: dict[int, int | None] = {}
    for session, strength, comes in steps:
        if comes:
            there[session] = strength
            streams.join(info(session, strength))
        elif session in there:
            del there[session]
            streams.leave(Departure(session=session), now=0.0)

        strong = {s: each for s, each in there.items() if each is not None}
        if strong:
            best = max(strong.values())
            expected = [min(s for s, each in strong.items() if each == best)]
        else:
            expected = list(range(6))
        assert heard(streams, sessions=6) == expected


def test_what_was_published_while_a_publisher_was_given_up_is_lost() -> None:
    streams = Streams()
    streams.join(info(1))
    streams.answer(1, "A", 0)
    streams.tracker(1, "A").observe(0)
    streams.leave(Departure(session=1), now=0.0)
    streams.settle(now=0.0)
    assert streams.settle(now=SETTLE_S)[0]

    streams.join(info(1))
    gap = streams.answer(1, "A", 5)

    assert gap is not None
    assert (gap.first, gap.last) == (1, 4)
    counts = streams.counts()
    assert (counts.received, counts.lost) == (1, 4)


class Recovering:
    """A subscriber to A that recovers, without sockets."""

    def __init__(self) -> None:
        self.streams = Streams()
        self.gaps: list[Gap] = []
        self.recovery = Recovery(lambda: 9, 10.0, hold=100)
        lock, inlet = threading.Lock(), SimpleNamespace(only=None, also=set())
        self._inlet = cast(Inlet, inlet)
        self._intake = Intake(
            ["A"], self.streams, lock, lambda: 0, self.gaps.append, self.recovery
        )

    def hear(self, *frames: bytes) -> list[tuple[int, int]]:
        """What of them is delivered: sessions and numbers."""
        items: list[Any] = []
        for frame in frames:
            self._intake.held = frame, 0, self._inlet
            self._intake.take_held(items)
        assert not self._intake.malformed_count
        return [(event.session, event.sequence) for event in items]

    def question(self) -> Question:
        """The one that is open."""
        raw = [ask.raw for ask in self.recovery.asks if ask.begins][-1]
        question = parse_question(raw)
        assert question is not None
        return question


def event(session: int, number: int) -> bytes:
    return encode_event("A", "p", session, number, 0, b"")


def test_who_loses_the_topic_while_events_of_it_are_missing_is_heard_to_there() -> None:
    subscriber = Recovering()
    subscriber.streams.join(info(1, 1))
    heard = subscriber.hear(*(event(1, number) for number in (0, 1, 4)))
    assert heard == [(1, 0), (1, 1)]

    subscriber.streams.join(info(2, 2))
    later = [event(1, 5), event(2, 0), event(1, 6), encode_position("A", "p", 1, 7)]
    assert subscriber.hear(*later) == [(2, 0)]
    answer = encode_answer(subscriber.question(), "p", 2, [0, 0], [b"", b""])
    assert subscriber.hear(answer) == [(1, 2), (1, 3), (1, 4)]
    assert subscriber.hear(event(1, 7), event(2, 1)) == [(2, 1)]

    assert not subscriber.recovery.open((1, "A"))
    assert list(subscriber.streams.trackers) == [(2, "A")]
    subscriber.streams.leave(Departure(session=2), now=0.0)
    assert subscriber.hear(event(1, 8)) == [(1, 8)]
    assert subscriber.gaps == []
    counts = subscriber.streams.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (8, 0, 0)

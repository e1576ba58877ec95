"""What a subscriber knows of its publishers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.ready_replies import receive_ready_reply
from support.rings import examples

from pubsub_common.defaults import UNNAMED_STREAMS
from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.streams import trackers
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.stream_table import StreamTable


def info(session: int, *topics: str, address: str | None = None) -> PublisherInfo:
    return PublisherInfo(session=session, topics=list(topics), address=address)


def left(session: int, **next_sequences: int) -> Departure:
    return Departure(session=session, next_sequences=next_sequences)


def receive(streams: StreamTable, session: int, topic: str, *sequences: int) -> None:
    for sequence in sequences:
        streams.tracker(session, topic).observe(sequence)


# The ready handshake


def test_without_publishers_nothing_is_awaited() -> None:
    assert StreamTable().ready.awaited() == 0


def test_each_topic_of_a_publisher_is_awaited_until_it_is_answered() -> None:
    streams = StreamTable()
    streams.join(info(1, "A", "B"))
    assert streams.ready.awaited() == 2

    receive_ready_reply(streams, 1, "A", 0)
    assert streams.ready.awaited() == 1

    receive_ready_reply(streams, 1, "B", 0)
    assert streams.ready.awaited() == 0


def test_an_answer_before_the_brokers_word_counts() -> None:
    streams = StreamTable()
    receive_ready_reply(streams, 1, "A", 0)

    streams.join(info(1, "A", "B"))

    assert streams.ready.awaited() == 1


def test_an_answer_of_another_publisher_does_not_count() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))

    receive_ready_reply(streams, 2, "A", 0)

    assert streams.ready.awaited() == 1


def test_a_publisher_that_left_is_not_awaited() -> None:
    streams = StreamTable()
    streams.join(info(1, "A", "B"))
    streams.join(info(2, "A"))

    streams.leave(left(1), now=0.0)

    assert streams.ready.awaited() == 1


def test_a_topic_that_was_given_up_is_not_awaited() -> None:
    streams = StreamTable()
    streams.replace([info(1, "A", "B")], now=0.0)

    streams.replace([info(1, "B")], now=0.0)

    assert streams.ready.awaited() == 1


def test_a_publisher_that_is_back_needs_no_second_answer() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive_ready_reply(streams, 1, "A", 0)
    streams.leave(left(1), now=0.0)

    streams.join(info(1, "A"))

    assert streams.ready.awaited() == 0


def test_a_publisher_that_is_back_after_it_was_finished_must_answer_again() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive_ready_reply(streams, 1, "A", 0)
    streams.leave(left(1, A=0), now=0.0)
    streams.finish_departed(now=0.0)

    streams.join(info(1, "A"))

    assert streams.ready.awaited() == 1


def test_after_a_change_of_route_all_must_answer_again() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive_ready_reply(streams, 1, "A", 0)

    streams.ready.forget_all()
    streams.replace([info(1, "A")], now=0.0)

    assert streams.ready.awaited() == 1


def test_an_answer_reveals_what_was_lost_before_it() -> None:
    streams = StreamTable()
    receive(streams, 1, "A", 0, 1)

    gap = receive_ready_reply(streams, 1, "A", 5)

    assert gap == Gap(session=1, topic="A", first=2, last=4)
    assert streams.counts().lost == 3


def test_what_a_publisher_sent_before_the_first_answer_was_not_for_us() -> None:
    streams = StreamTable()

    assert receive_ready_reply(streams, 1, "A", 1_000) is None
    receive(streams, 1, "A", 1_000)

    counts = streams.counts()
    assert (counts.received, counts.lost) == (1, 0)


# The broker's full list


def test_the_first_list_is_all_new() -> None:
    streams = StreamTable()

    new = streams.replace([info(1, "A"), info(2, "B")], now=0.0)

    assert [item.session for item in new] == [1, 2]
    assert streams.ready.awaited() == 2


def test_only_those_that_were_not_known_are_new() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))

    assert streams.replace([info(1, "A"), info(2, "A")], now=0.0) == [info(2, "A")]


def test_a_publisher_with_another_address_is_new() -> None:
    streams = StreamTable()
    streams.join(info(1, "A", address="10.0.0.1:5556"))
    moved = info(1, "A", address="10.0.0.1:5557")

    assert streams.replace([moved], now=0.0) == [moved]


def test_those_that_are_not_listed_have_left() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))

    streams.replace([], now=0.0)

    assert streams.ready.awaited() == 0
    assert streams.departures.next_deadline() == GRACE_S


def test_a_list_does_not_take_back_what_a_leaving_publisher_said() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1, A=5), now=0.0)

    streams.replace([], now=1.0)
    streams.finish_departed(now=1.0)
    _, gaps = streams.finish_departed(now=1.0 + GRACE_S)

    assert gaps == [Gap(session=1, topic="A", first=1, last=4)]


# Addresses


def test_an_address_is_in_use_until_its_publisher_leaves() -> None:
    streams = StreamTable()
    streams.join(info(1, "A", address="10.0.0.1:5556"))
    assert "10.0.0.1:5556" in streams.addresses_in_use()

    streams.leave(left(1), now=0.0)

    assert "10.0.0.1:5556" not in streams.addresses_in_use()


def test_an_address_that_was_taken_over_stays_in_use() -> None:
    streams = StreamTable()
    streams.join(info(1, "A", address="10.0.0.1:5556"))
    streams.leave(left(1, A=0), now=0.0)
    streams.join(info(2, "A", address="10.0.0.1:5556"))

    streams.finish_departed(now=2 * GRACE_S)

    assert "10.0.0.1:5556" in streams.addresses_in_use()


# Ends of streams


def test_a_departed_publisher_whose_events_have_all_arrived_is_finished_at_once() -> (
    None
):
    streams = StreamTable()
    streams.join(info(1, "A", "B"))
    receive(streams, 1, "A", 0, 1)
    receive(streams, 1, "B", 0)

    streams.leave(left(1, A=2, B=1), now=0.0)

    assert streams.finish_departed(now=0.0) == ([info(1, "A", "B")], [])
    assert streams.departures.next_deadline() is None
    assert streams.counts().received == 3


def test_a_departed_publisher_that_published_nothing_is_finished_at_once() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive_ready_reply(streams, 1, "A", 0)

    streams.leave(left(1, A=0), now=0.0)

    assert streams.finish_departed(now=0.0) == ([info(1, "A")], [])


def test_events_that_are_under_way_have_time_to_arrive() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1, A=3), now=0.0)

    assert streams.finish_departed(now=0.0) == ([], [])
    receive(streams, 1, "A", 1, 2)

    assert streams.finish_departed(now=1.0) == ([info(1, "A")], [])


def test_what_has_not_arrived_when_it_is_quiet_is_lost() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1, A=3), now=0.0)
    streams.finish_departed(now=0.0)

    gone, gaps = streams.finish_departed(now=GRACE_S)

    assert gone == [info(1, "A")]
    assert gaps == [Gap(session=1, topic="A", first=1, last=2)]
    assert streams.counts().lost == 2


def test_time_before_the_receiver_looked_proves_nothing() -> None:
    """A receiver that did something else for an hour has its backlog still to come."""
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1, A=3), now=0.0)

    assert streams.finish_departed(now=3600.0) == ([], [])
    assert streams.departures.next_deadline() == 3600.0 + GRACE_S


def test_a_publisher_is_not_given_up_while_its_backlog_comes_in() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    streams.leave(left(1, A=100), now=0.0)
    for sequence in range(50):
        receive(streams, 1, "A", sequence)
        assert streams.finish_departed(now=(sequence + 1) * 0.9 * GRACE_S) == ([], [])

    _, gaps = streams.finish_departed(now=50 * 0.9 * GRACE_S + GRACE_S)

    assert gaps == [Gap(session=1, topic="A", first=50, last=99)]


def test_a_publisher_that_died_is_finished_when_it_is_quiet_and_loses_nothing() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1), now=0.0)

    assert streams.finish_departed(now=0.0) == ([], [])
    assert streams.finish_departed(now=GRACE_S) == ([info(1, "A")], [])
    assert streams.counts().lost == 0


def test_the_grace_time_can_be_longer() -> None:
    streams = StreamTable(60.0)
    streams.join(info(1, "A"))
    streams.leave(left(1), now=0.0)
    streams.finish_departed(now=0.0)

    assert streams.finish_departed(now=59.9) == ([], [])
    assert streams.finish_departed(now=60.0) == ([info(1, "A")], [])


def test_a_publisher_that_is_back_in_time_goes_on_as_if_nothing_had_been() -> None:
    streams = StreamTable()
    streams.join(info(1, "A"))
    receive(streams, 1, "A", 0)
    streams.leave(left(1), now=0.0)

    streams.join(info(1, "A"))
    receive(streams, 1, "A", 1)

    assert streams.finish_departed(now=2 * GRACE_S) == ([], [])
    assert streams.departures.next_deadline() is None
    counts = streams.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (2, 0, 0)


def test_the_leave_of_an_unknown_publisher_means_nothing() -> None:
    streams = StreamTable()

    streams.leave(left(1, A=5), now=0.0)

    assert streams.departures.next_deadline() is None
    assert streams.finish_departed(now=2 * GRACE_S) == ([], [])


def test_a_finished_publisher_leaves_nothing_in_memory_but_its_counts() -> None:
    streams = StreamTable()
    for session in range(100):
        streams.join(info(session, "A"))
        receive_ready_reply(streams, session, "A", 0)
        receive(streams, session, "A", 0)
        streams.leave(left(session, A=1), now=0.0)
        streams.finish_departed(now=0.0)

    assert not streams.trackers
    assert not streams.ready._received
    assert streams.counts().received == 100


def test_counts_are_a_copy() -> None:
    streams = StreamTable()

    streams.counts().received += 1

    assert streams.counts().received == 0


# Any interleaving


@dataclasses.dataclass
class Stream:
    """What really happened on one (session, topic)."""

    sent: int = 0
    under_way: list[int] = dataclasses.field(default_factory=list)
    subscribed_from: int | None = None
    received: set[int] = dataclasses.field(default_factory=set)
    duplicates: int = 0


SESSIONS = st.integers(0, 2)
TOPICS = st.sampled_from(["A", "B"])


class AnyOrder(RuleBasedStateMachine):
    """Joins, answers, events and departures in any order: the counts add up.

    The network between may delay, reorder, repeat and drop.
    """

    @initialize()
    def begin(self) -> None:
        self.streams = StreamTable()
        self.now = 0.0
        self.alive: set[int] = set()
        self.gone: set[int] = set()
        self.real: dict[tuple[int, str], Stream] = {}
        self.reported = 0

    def of(self, session: int, topic: str) -> Stream:
        return self.real.setdefault((session, topic), Stream())

    def note(self, gap: Gap | None) -> None:
        self.reported += gap.count if gap is not None else 0

    @rule(session=SESSIONS)
    def join(self, session: int) -> None:
        if session not in self.gone:
            self.streams.join(info(session, "A", "B", address=f"10.0.0.{session}:1"))
            self.alive.add(session)

    @rule(session=SESSIONS, topic=TOPICS)
    def answer(self, session: int, topic: str) -> None:
        if session in self.gone:
            return
        stream = self.of(session, topic)
        if stream.subscribed_from is None:
            stream.subscribed_from = stream.sent
        self.note(receive_ready_reply(self.streams, session, topic, stream.sent))

    @rule(session=SESSIONS, topic=TOPICS, count=st.integers(1, 5))
    def publish(self, session: int, topic: str, count: int) -> None:
        stream = self.of(session, topic)
        if session in self.gone or stream.subscribed_from is None:
            return
        stream.under_way += range(stream.sent, stream.sent + count)
        stream.sent += count

    @rule(session=SESSIONS, topic=TOPICS, data=st.data())
    def drop(self, session: int, topic: str, data: st.DataObject) -> None:
        stream = self.of(session, topic)
        if stream.under_way:
            stream.under_way.remove(data.draw(st.sampled_from(stream.under_way)))

    @rule(session=SESSIONS, topic=TOPICS, again=st.booleans(), data=st.data())
    def on_event(
        self, session: int, topic: str, again: bool, data: st.DataObject
    ) -> None:
        stream = self.of(session, topic)
        if not stream.under_way or session in self.finished:
            return
        sequence = data.draw(st.sampled_from(stream.under_way))
        if not again:
            stream.under_way.remove(sequence)
        if sequence in stream.received:
            stream.duplicates += 1
        stream.received.add(sequence)
        self.note(self.streams.tracker(session, topic).observe(sequence))

    @rule(session=SESSIONS, says=st.booleans())
    def leave(self, session: int, says: bool) -> None:
        if session not in self.alive:
            return
        self.alive.discard(session)
        self.gone.add(session)
        ends = {topic: self.of(session, topic).sent for topic in ("A", "B")}
        self.streams.leave(left(session, **(ends if says else {})), self.now)

    @rule()
    def list_everybody(self) -> None:
        listed = [
            info(session, "A", "B", address=f"10.0.0.{session}:1")
            for session in sorted(self.alive)
        ]
        assert self.streams.replace(listed, self.now) == []

    @precondition(lambda self: self.streams.departures.next_deadline() is not None)
    @rule(wait=st.sampled_from([0.0, GRACE_S / 2, GRACE_S]))
    def finish_departed(self, wait: float) -> None:
        self.now += wait
        gone, gaps = self.streams.finish_departed(self.now)
        assert {item.session for item in gone} <= self.gone
        for gap in gaps:
            self.note(gap)

    @property
    def finished(self) -> set[int]:
        return self.gone - self.streams.departures._departing.keys()

    @invariant()
    def what_arrived_was_received_once(self) -> None:
        if not hasattr(self, "streams"):
            return
        counts = self.streams.counts()
        assert counts.received == sum(len(s.received) for s in self.real.values())
        assert counts.duplicated == sum(s.duplicates for s in self.real.values())

    @invariant()
    def a_loss_is_a_gap_that_was_reported_and_has_not_been_filled(self) -> None:
        if not hasattr(self, "streams"):
            return
        counts = self.streams.counts()
        assert counts.lost == self.reported - counts.reordered
        assert (
            0
            <= counts.lost
            <= sum(
                stream.sent - (stream.subscribed_from or 0) - len(stream.received)
                for stream in self.real.values()
            )
        )

    @invariant()
    def only_publishers_that_are_there_are_awaited(self) -> None:
        if not hasattr(self, "streams"):
            return
        assert self.streams.ready.awaited() <= 2 * len(self.alive)


AnyOrder.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase


@given(st.lists(st.tuples(SESSIONS, TOPICS, st.booleans()), max_size=30))
def test_at_the_end_received_and_lost_are_all_that_was_sent(
    sent: list[tuple[int, str, bool]],
) -> None:
    streams = StreamTable()
    ends: dict[int, dict[str, int]] = {}
    for session in range(3):
        streams.join(info(session, "A", "B"))
        ends[session] = {"A": 0, "B": 0}
        for topic in "AB":
            receive_ready_reply(streams, session, topic, 0)
    reported = 0
    for session, topic, arrives in sent:
        sequence = ends[session][topic]
        ends[session][topic] += 1
        if arrives:
            gap = streams.tracker(session, topic).observe(sequence)
            reported += gap.count if gap else 0

    for session in range(3):
        streams.leave(left(session, **ends[session]), now=0.0)
    gone, gaps = streams.finish_departed(now=0.0)
    more, later = streams.finish_departed(now=GRACE_S)

    counts = streams.counts()
    assert len(gone) + len(more) == 3
    assert counts.received == sum(arrives for _, _, arrives in sent)
    assert counts.received + counts.lost == len(sent)
    assert reported + sum(gap.count for gap in (*gaps, *later)) == counts.lost


# Sessions that publishers make up


def test_streams_that_nobody_vouches_for_are_not_remembered_without_end() -> None:
    streams = StreamTable()
    for session in range(2 * UNNAMED_STREAMS):
        receive(streams, session, "A", 0)
        streams.close_surplus()

    assert len(streams.trackers) == UNNAMED_STREAMS
    assert (2 * UNNAMED_STREAMS - 1, "A") in streams.trackers
    assert streams.counts().received == 2 * UNNAMED_STREAMS


def test_streams_of_publishers_that_the_broker_has_named_stay() -> None:
    """Before or after the first event."""
    streams = StreamTable()
    streams.join(info(-1, "A"))
    receive(streams, -1, "A", 5)
    receive(streams, -2, "A", 5)
    streams.join(info(-2, "A"))
    for session in range(2 * UNNAMED_STREAMS):
        receive(streams, session, "A", 0)
        streams.close_surplus()

    assert {(-1, "A"), (-2, "A")} <= streams.trackers.keys()


def test_a_topic_that_a_publisher_has_not_registered_is_not_vouched_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would stay when the publisher is gone."""
    monkeypatch.setattr(trackers, "UNNAMED_STREAMS", 10)
    streams = StreamTable()
    for session in range(100):
        streams.join(info(session, "A"))
        receive(streams, session, "B", 0)
        streams.close_surplus()
        streams.leave(left(session), now=0.0)
        streams.finish_departed(0.0)
        streams.finish_departed(GRACE_S + 1.0)

    assert streams.publisher(99) is None
    assert len(streams.trackers) == 10


def test_what_was_missing_of_a_stream_that_is_forgotten_is_abandoned() -> None:
    streams = StreamTable()
    abandoned = []
    receive(streams, -1, "A", 0)

    def abandon(key: tuple[int, str]) -> list[Gap]:
        abandoned.append(key)
        return [Gap(*key, 1, 2)]

    gaps = []
    for session in range(UNNAMED_STREAMS):
        receive(streams, session, "A", 0)
        gaps += streams.close_surplus(abandon)

    assert abandoned == [(-1, "A")]
    assert gaps == [Gap(-1, "A", 1, 2)]

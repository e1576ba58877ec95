"""Which publisher owns a topic, as a subscriber sees it; and publishers that come back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.fake_sub_socket import FakeSubSocket
from support.ready_replies import receive_ready_reply
from support.rings import examples

from pubsub_common.protocol.events import encode_event
from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.effects import (
    Deliver,
    Effect,
    Lost,
    Request,
    Withdraw,
)
from pubsub_subscriber.streams.stream_table import StreamTable


def info(session: int, strength: int | None = None, *topics: str) -> PublisherInfo:
    names = list(topics or ("A",))
    strengths = {} if strength is None else dict.fromkeys(names, strength)
    return PublisherInfo(session=session, topics=names, strengths=strengths)


def owners(streams: StreamTable, topic: str = "A", sessions: int = 10) -> list[int]:
    """The sessions with events that would be delivered."""
    return [
        session for session in range(sessions) if not streams.skip(session, topic, 0)
    ]


def test_without_strengths_all_are_received() -> None:
    streams = StreamTable()
    streams.join(info(1))
    streams.join(info(2))

    assert owners(streams) == list(range(10))


def test_the_strongest_is_received_and_of_several_the_lowest_session() -> None:
    streams = StreamTable()
    streams.join(info(1))
    streams.join(info(4, 0))
    assert owners(streams) == [4]

    streams.join(info(3, 5))
    assert owners(streams) == [3]

    streams.join(info(2, 5))
    assert owners(streams) == [2]


def test_topics_are_owned_one_by_one() -> None:
    streams = StreamTable()
    streams.join(info(1, 1, "A"))
    streams.join(info(2, 2, "A", "B"))
    streams.join(info(3, None, "C"))

    assert owners(streams, "A") == owners(streams, "B") == [2]
    assert len(owners(streams, "C")) == 10


def test_when_the_owner_dies_the_next_one_is_received() -> None:
    streams = StreamTable()
    streams.join(info(1, 1))
    streams.join(info(2, 2))

    streams.leave(Departure(session=2), now=0.0)

    assert owners(streams) == [1]


def test_when_the_owner_gives_up_a_topic_the_next_one_is_received() -> None:
    """Also where only the list of all publishers tells of it."""
    streams = StreamTable()
    streams.replace([info(1, 1, "A", "B"), info(2, 2, "A", "B")], now=0.0)

    streams.replace([info(1, 1, "A", "B"), info(2, 2, "B")], now=0.0)

    assert owners(streams, "A") == [1]
    assert owners(streams, "B") == [2]


def test_an_owner_that_a_restarted_broker_does_not_know_yet_stays_the_owner() -> None:
    streams = StreamTable()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)

    streams.replace(both[:1], now=10.0, restarted=True)
    assert owners(streams) == [2]
    streams.replace(both, now=11.0)
    assert streams.finish_departed(now=10.0 + GRACE_S) == ([], [])
    assert owners(streams) == [2]


def test_an_owner_that_does_not_come_back_to_a_restarted_broker_is_not_waited_for() -> (
    None
):
    streams = StreamTable()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)
    streams.replace(both[:1], now=10.0, restarted=True)

    due = streams.departures.next_deadline()
    assert due == 10.0 + GRACE_S
    # Its events still come, so its count is not closed; but the topic is not its own.
    streams.tracker(2, "A").observe(0)
    streams.finish_departed(now=due)

    assert owners(streams) == [1]
    gone, _ = streams.finish_departed(now=due + 2 * GRACE_S)
    assert [each.session for each in gone] == [2]


def test_a_publisher_missing_from_the_list_of_a_running_broker_has_left() -> None:
    streams = StreamTable()
    both = [info(1, 1), info(2, 2)]
    streams.replace(both, now=0.0, restarted=True)

    streams.replace(both[:1], now=10.0)

    assert owners(streams) == [1]


def test_an_owner_that_leaves_is_received_to_its_end() -> None:
    streams = StreamTable()
    streams.join(info(1, 1))
    streams.join(info(2, 2))
    receive_ready_reply(streams, 2, "A", 0)

    streams.leave(Departure(session=2, next_sequences={"A": 1}), now=0.0)
    assert owners(streams) == [1, 2]

    streams.tracker(2, "A").observe(0)
    streams.finish_departed(now=0.0)
    assert owners(streams) == [1]


def test_when_the_last_one_has_gone_nobody_owns_the_topic() -> None:
    streams = StreamTable()
    streams.join(info(1, 1))
    streams.leave(Departure(session=1), now=0.0)
    streams.finish_departed(now=2 * GRACE_S)
    streams.finish_departed(now=4 * GRACE_S)

    assert len(owners(streams)) == 10


def test_skipped_events_are_neither_received_nor_lost() -> None:
    streams = StreamTable()
    streams.join(info(1, 1))
    receive_ready_reply(streams, 1, "A", 0)
    for number in range(3):
        streams.tracker(1, "A").observe(number)

    streams.join(info(2, 2))
    assert streams.skip(1, "A", 3 + 1)  # its number 3
    assert streams.skip(1, "A", 8 + 1)  # 4 to 7 were dropped on the way
    streams.leave(Departure(session=2), now=0.0)

    assert not streams.skip(1, "A", 9 + 1)
    assert streams.tracker(1, "A").observe(9) is None
    counts = streams.counts()
    assert (counts.received, counts.lost) == (4, 0)


def test_a_skipped_publisher_delays_no_end_when_it_leaves() -> None:
    streams = StreamTable()
    streams.join(info(1, 1))
    streams.join(info(2, 2))
    receive_ready_reply(streams, 1, "A", 0)

    streams.leave(Departure(session=1, next_sequences={"A": 1000}), now=0.0)
    gone, gaps = streams.finish_departed(now=0.0)

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
    streams = StreamTable()
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
        assert owners(streams, sessions=6) == expected


def test_what_was_published_while_a_publisher_was_given_up_is_lost() -> None:
    streams = StreamTable()
    streams.join(info(1))
    receive_ready_reply(streams, 1, "A", 0)
    streams.tracker(1, "A").observe(0)
    streams.leave(Departure(session=1), now=0.0)
    streams.finish_departed(now=0.0)
    assert streams.finish_departed(now=GRACE_S)[0]

    streams.join(info(1))
    gap = receive_ready_reply(streams, 1, "A", 5)

    assert gap is not None
    assert (gap.first, gap.last) == (1, 4)
    counts = streams.counts()
    assert (counts.received, counts.lost) == (1, 4)


class Recovering:
    """A subscriber to A that recovers, without sockets."""

    def __init__(self) -> None:
        self.core = SubscriberCore(["A"], recover_timeout_s=10.0, max_held=100)
        self.core.use_session(9)
        self.streams = self.core.streams
        self.gaps: list[Gap] = []
        self.asks: list[Request | Withdraw] = []
        self.now = 100.0
        self._connection = FakeSubSocket(0, [])

    def receive(self, *frames: bytes) -> list[tuple[int, int]]:
        """What of them is delivered: sessions and numbers."""
        delivered = []
        for frame in frames:
            effects = self.core.receive(frame, self._connection, 0, self.now)
            delivered += self._perform(effects)
        assert not self.core.malformed_count
        return delivered

    def run_timers(self, now: float) -> list[tuple[int, int]]:
        """Deliver the events that are due, like a subscriber."""
        self.now = now
        return self._perform(self.core.tick(now, idle=True))

    def _perform(self, effects: list[Effect]) -> list[tuple[int, int]]:
        delivered = []
        for effect in effects:
            match effect:
                case Deliver(events):
                    delivered += [(each.session, each.sequence) for each in events]
                case Lost(gap):
                    self.gaps.append(gap)
                case Request() | Withdraw():
                    self.asks.append(effect)
        return delivered

    def has_gap(self, session: int) -> bool:
        """Whether events of topic A are missing."""
        recovery = self.core._recovery
        return recovery is not None and recovery.has_gap((session, "A"))

    def question(self) -> RecoveryRequest:
        """The one that is open."""
        raw = [ask.raw for ask in self.asks if isinstance(ask, Request)][-1]
        question = parse_recovery_request(raw)
        assert question is not None
        return question


def event(session: int, number: int) -> bytes:
    return encode_event("A", "p", session, number, 0, b"")


def test_a_former_owner_with_missing_events_is_received_up_to_the_change() -> None:
    subscriber = Recovering()
    subscriber.streams.join(info(1, 1))
    delivered = subscriber.receive(*(event(1, number) for number in (0, 1, 4)))
    assert delivered == [(1, 0), (1, 1)]

    subscriber.streams.join(info(2, 2))
    later = [event(1, 5), event(2, 0), event(1, 6), encode_position("A", "p", 1, 7)]
    assert subscriber.receive(*later) == [(2, 0)]
    answer = encode_recovery_reply(subscriber.question(), "p", 2, [0, 0], [b"", b""])
    assert subscriber.receive(answer) == [(1, 2), (1, 3), (1, 4)]
    assert subscriber.receive(event(1, 7), event(2, 1)) == [(2, 1)]

    assert not subscriber.has_gap(1)
    assert list(subscriber.streams.trackers) == [(2, "A")]
    subscriber.streams.leave(Departure(session=2), now=0.0)
    assert subscriber.receive(event(1, 8)) == [(1, 8)]
    assert subscriber.gaps == []
    counts = subscriber.streams.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (8, 0, 0)


def test_events_skipped_while_earlier_ones_are_missing_are_not_requested() -> None:
    """Nor lost, when the owner leaves again before those have come."""
    subscriber = Recovering()
    streams = subscriber.streams
    streams.join(info(1, 1))
    subscriber.receive(*(event(1, number) for number in (0, 1, 4)))

    streams.join(info(2, 2))
    subscriber.receive(event(1, 5), event(2, 0), encode_position("A", "p", 1, 7))
    streams.leave(Departure(session=2), now=0.0)
    assert subscriber.receive(event(1, 7)) == []
    streams.join(info(2, 2))
    subscriber.receive(event(1, 8))
    streams.leave(Departure(session=2), now=0.0)
    subscriber.receive(event(1, 10))  # 9 is missing, or was skipped: it is requested

    question = subscriber.question()
    assert (question.first, question.last) == (2, 3)
    answer = encode_recovery_reply(question, "p", 2, [0, 0], [b"", b""])
    assert subscriber.receive(answer) == [(1, 2), (1, 3), (1, 4), (1, 7)]
    question = subscriber.question()
    assert (question.first, question.last) == (9, 9)
    answer = encode_recovery_reply(question, "p", 9, [0], [b""])
    assert subscriber.receive(answer) == [(1, 9), (1, 10)]
    assert subscriber.gaps == []
    counts = streams.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (9, 0, 0)


class OwnersMachine(RuleBasedStateMachine):
    """Publishers with and without a strength that come, go and lose events on the way, and
    a subscriber that gets some of these back."""

    sessions = st.integers(1, 3)

    def __init__(self) -> None:
        super().__init__()
        self.subscriber = Recovering()
        self.now = 100.0
        self.there: dict[int, int | None] = {}
        self.published = dict.fromkeys(range(1, 4), 0)
        self.delivered: list[tuple[int, int]] = []

    def receive(self, *frames: bytes) -> None:
        self.delivered += self.subscriber.receive(*frames)

    @rule(session=sessions, strength=st.none() | st.integers(0, 2))
    def come(self, session: int, strength: int | None) -> None:
        self.there[session] = strength
        self.subscriber.streams.join(info(session, strength))

    @precondition(lambda self: self.there)
    @rule(session=sessions, said=st.booleans())
    def go(self, session: int, said: bool) -> None:
        if session in self.there:
            del self.there[session]
            ends = {"A": self.published[session]} if said else {}
            departure = Departure(session=session, next_sequences=ends)
            self.subscriber.streams.leave(departure, self.now)

    @rule(sessions=st.sets(sessions), restarted=st.booleans())
    def hear_of_all(self, sessions: set[int], restarted: bool) -> None:
        self.there = {each: self.there.get(each) for each in sessions}
        listed = [info(*each) for each in self.there.items()]
        self.subscriber.streams.replace(listed, self.now, restarted=restarted)

    @rule(session=sessions, fates=st.lists(st.booleans(), min_size=1, max_size=5))
    def publish(self, session: int, fates: list[bool]) -> None:
        for arrives in fates:
            number = self.published[session]
            self.published[session] += 1
            if arrives:
                self.receive(event(session, number))

    @rule(session=sessions)
    def tell_position(self, session: int) -> None:
        self.receive(encode_position("A", "p", session, self.published[session]))

    @precondition(lambda self: self.subscriber.asks)
    @rule(buffered=st.integers(1, 20), comes=st.booleans())
    def be_asked(self, buffered: int, comes: bool) -> None:
        asks, self.subscriber.asks = self.subscriber.asks, []
        for ask in asks:
            question = parse_recovery_request(ask.raw)
            assert question is not None
            end = self.published[question.publisher]
            assert question.last < end
            first = max(question.first, end - buffered)
            if isinstance(ask, Request) and comes:
                count = max(0, question.last + 1 - first)
                payloads = [b""] * count
                self.receive(
                    encode_recovery_reply(question, "p", first, [0] * count, payloads)
                )

    @rule(seconds=st.sampled_from([0.1, 1.0, GRACE_S, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.delivered += self.subscriber.run_timers(self.now)

    @invariant()
    def each_stream_rises_and_what_is_lost_was_not_delivered(self) -> None:
        for session in self.published:
            numbers = [number for each, number in self.delivered if each == session]
            lost = [
                number
                for gap in self.subscriber.gaps
                if gap.session == session
                for number in range(gap.first, gap.last + 1)
            ]
            assert numbers == sorted(set(numbers))
            assert len(lost) == len(set(lost))
            assert not set(numbers).intersection(lost)

    @invariant()
    def all_is_counted_once(self) -> None:
        counts = self.subscriber.streams.counts()
        assert counts.received == len(self.delivered)
        assert counts.lost == sum(gap.count for gap in self.subscriber.gaps)

    @invariant()
    def only_owned_streams_are_among_those_of_the_receive_path(self) -> None:
        streams = self.subscriber.streams
        strong = [each for each in self.there.values() if each is not None]
        for session, _ in streams.trackers:
            if session in self.there and strong:
                best = max(strong)
                owners = {each for each, found in self.there.items() if found == best}
                stays = streams._ownership.owner("A")
                assert session in owners or session == stays
        assert not streams.trackers.keys() & streams._trackers._skipped.keys()


OwnersMachine.TestCase.settings = settings(
    max_examples=examples(100), stateful_step_count=40
)
TestOwners = OwnersMachine.TestCase

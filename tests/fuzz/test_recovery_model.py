"""Recovery of a stream, compared with a model: a publisher that keeps its last events,
a channel that drops and delays them, and answers that come late, twice or never.

In any case, delivered numbers are strictly rising, and every number from the first on
is either delivered or reported lost. An event reported lost was no longer available, or
was requested without success until the timeout.
"""

from __future__ import annotations

import dataclasses
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.rings import examples

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    decode_recovery_reply,
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_common.protocol.sequence import Gap, StreamTracker
from pubsub_publisher.topics import history
from pubsub_publisher.topics.history import History
from pubsub_subscriber.streams.effects import Request
from pubsub_subscriber.streams.recovery import Recovery

SESSION, TOPIC, ADDRESS = 7, "A", "10.0.0.2:5556"
ME = 5
TIMEOUT_S = 3.0
# The most events in one answer.
PART = 3
ALL = 10_000
# The bytes that an event takes while it is held, rounded up.
COST = EVENT_OVERHEAD_BYTES + 10

pick = st.integers(0, 9)


def payload_of(number: int) -> bytes:
    return b"event %d" % number


class RecoveryMachine(RuleBasedStateMachine):
    """With `fair`, no timeout passes and everything is kept: then nothing is lost."""

    fair = False
    from_start: bool | None = None

    def __init__(self) -> None:
        super().__init__()
        self.small = mock.patch.object(history, "REPLY_MAX_EVENTS", PART)
        self.small.start()
        self.now = 100.0
        self.tracker = StreamTracker(SESSION, TOPIC)
        self.delivered: list[int] = []
        self.lost: list[int] = []
        self.late: list[int] = []  # events under way
        self.asked: list[bytes] = []  # subscriptions under way
        self.subscribed: list[bytes] = []  # requests that were not taken back
        self.answers: list[bytes] = []
        self.last_answer_at = 0.0

    @initialize(
        kept=st.integers(1, 8),
        max_held=st.integers(0, 4),
        held_bytes=st.sampled_from([1, 2 * COST, 3 * COST, ALL]),
        from_start=st.booleans(),
        before=st.integers(0, 12),
    )
    def begin(
        self,
        kept: int,
        max_held: int,
        held_bytes: int,
        from_start: bool,
        before: int,
    ) -> None:
        self.max_held, self.held_bytes = max_held, held_bytes
        self.joins_at_start = from_start if self.from_start is None else self.from_start
        timeout_s = 1e9 if self.fair else TIMEOUT_S
        self.recovery = Recovery(
            ME,
            timeout_s,
            max_held=max_held,
            held_bytes=held_bytes,
            from_start=self.joins_at_start,
        )
        self.history = History(ALL if self.fair else kept, ALL)
        for number in range(before):
            self.history.add(number, [(number, payload_of(number))])

    # Actions of the subscriber

    def took(self, items: list[Event], gaps: list[Gap]) -> None:
        """Deliveries and losses, in order."""
        for gap in gaps:
            assert (gap.session, gap.topic) == (SESSION, TOPIC)
            self.lost += range(gap.first, gap.last + 1)
        for event in items:
            assert event.payload == payload_of(event.sequence)
            assert event.published_ns == event.sequence
            assert not self.delivered or event.sequence > self.delivered[-1]
            self.delivered.append(event.sequence)
        asks, self.recovery.effects = self.recovery.effects, []
        for ask in asks:
            assert ask.topic == TOPIC
            if isinstance(ask, Request):
                assert ask.raw not in self.subscribed
                self.subscribed.append(ask.raw)
                self.asked.append(ask.raw)
            else:
                self.subscribed.remove(ask.raw)

    def receive(self, number: int, *, usual: bool) -> None:
        event = Event(ADDRESS, SESSION, number, number, payload_of(number), TOPIC)
        items: list[Event] = []
        was_open = self.recovery.has_gap((SESSION, TOPIC))
        if usual and number == self.tracker.expected:
            # For an expected event the receive path requests nothing.
            self.tracker.expected += 1
            items.append(event)
        else:
            self.recovery.on_event(self.tracker, event, self.now, items)
        if not was_open:
            self.last_answer_at = self.now
        self.took(items, [])

    def answered(self, frame: bytes) -> None:
        read = decode_recovery_reply(frame)
        assert read is not None
        before = self.tracker.expected
        held = {n for s in self.recovery._streams.values() for n in s.held}
        items: list[Event] = []
        gaps = self.recovery.on_reply(*read, self.now, items)
        if self.tracker.expected > before:
            self.last_answer_at = self.now
        self.took(items, gaps)
        for gap in gaps:
            assert gap.last < self.history.first  # it was not available any more
            assert held.isdisjoint(range(gap.first, gap.last + 1))

    def polled(self, *, idle: bool) -> None:
        items: list[Event] = []
        gaps = self.recovery.poll(self.now, items, idle=idle)
        if gaps:
            assert self.now >= self.last_answer_at + TIMEOUT_S
        self.took(items, gaps)

    # Actions of the publisher and the channel

    def answer_to(self, raw: bytes) -> bytes:
        question = parse_recovery_request(raw)
        assert question is not None
        assert (question.publisher, question.subscriber) == (SESSION, ME)
        # No request for an event that has arrived, was given up, or is unknown.
        assert question.last < self.history.end
        return encode_recovery_reply(
            question, ADDRESS, *self.history.select(question.first, question.last)
        )

    @rule(
        fates=st.lists(
            st.sampled_from(["arrives", "arrives", "is late", "is lost"]), max_size=6
        ),
        usual=st.booleans(),
    )
    def publish(self, fates: list[str], usual: bool) -> None:
        for fate in fates:
            number = self.history.end
            self.history.add(number, [(number, payload_of(number))])
            if fate == "arrives":
                self.receive(number, usual=usual)
            elif fate == "is late":
                self.late.append(number)

    @precondition(lambda self: self.late)
    @rule(number=pick, usual=st.booleans(), once=st.booleans())
    def arrive_late(self, number: int, usual: bool, once: bool) -> None:
        at = number % len(self.late)
        self.receive(self.late[at], usual=usual)
        if once:
            del self.late[at]

    @precondition(lambda self: self.history.end)
    @rule()
    def tell_position(self) -> None:
        items: list[Event] = []
        was_open = self.recovery.has_gap((SESSION, TOPIC))
        self.recovery.on_position(self.tracker, self.history.end, self.now, items)
        if not was_open:
            self.last_answer_at = self.now
        self.took(items, [])

    @precondition(lambda self: self.asked)
    @rule(number=pick)
    def be_asked(self, number: int) -> None:
        raw = self.asked.pop(number % len(self.asked))
        self.answers.append(self.answer_to(raw))

    @precondition(lambda self: self.asked)
    @rule(number=pick)
    def lose_a_question(self, number: int) -> None:
        del self.asked[number % len(self.asked)]

    @precondition(lambda self: self.answers)
    @rule(number=pick, once=st.booleans())
    def hear_an_answer(self, number: int, once: bool) -> None:
        at = number % len(self.answers)
        frame = self.answers[at]
        if once:
            del self.answers[at]
        self.answered(frame)

    @precondition(lambda self: self.answers)
    @rule(number=pick)
    def lose_an_answer(self, number: int) -> None:
        del self.answers[number % len(self.answers)]

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 4.0]), idle=st.booleans())
    def pass_time(self, seconds: float, idle: bool) -> None:
        self.now += seconds
        self.polled(idle=idle)

    # Invariants

    @invariant()
    def each_number_is_delivered_or_lost(self) -> None:
        tracker, known = self.tracker, sorted(self.delivered + self.lost)
        assert tracker.received == len(self.delivered)
        assert tracker.lost == len(self.lost)
        if known:
            assert known == list(range(known[0], tracker.expected))
        assert len(known) == max(tracker.expected, 0) - max(tracker._start, 0)

    @invariant()
    def no_more_is_held_than_was_said(self) -> None:
        if hasattr(self, "recovery"):
            for stream in self.recovery._streams.values():
                assert len(stream.held) <= self.max_held
                held = sum(
                    len(event.payload) + EVENT_OVERHEAD_BYTES
                    for event in stream.held.values()
                )
                assert self.recovery._held.size == held <= self.held_bytes
            if not self.recovery._streams:
                assert self.recovery._held.size == 0

    @invariant()
    def a_stream_with_a_gap_asks_and_others_do_not(self) -> None:
        if hasattr(self, "recovery"):
            is_open = self.recovery.has_gap((SESSION, TOPIC))
            assert len(self.subscribed) <= is_open
            assert (self.recovery.next_deadline() is not None) == is_open

    @invariant()
    def if_all_is_fair_nothing_is_lost(self) -> None:
        assert not (self.fair and self.lost)

    def teardown(self) -> None:
        if not hasattr(self, "recovery"):
            self.small.stop()
            return
        try:
            self.come_to_rest()
        finally:
            self.small.stop()

    def come_to_rest(self) -> None:
        """From here on the channel works: then all gaps are closed."""
        self.asked.clear()
        for _ in range(2 * self.history.end + 20):
            if self.history.end:
                self.tell_position()
            for raw in [*self.subscribed]:
                self.answered(self.answer_to(raw))
            self.each_number_is_delivered_or_lost()
            self.now += 0.5
            self.polled(idle=True)
        assert not self.recovery.has_gap((SESSION, TOPIC))
        assert self.subscribed == []
        assert self.tracker.expected == (self.history.end or -1)
        self.each_number_is_delivered_or_lost()
        self.if_all_is_fair_nothing_is_lost()
        if self.fair and self.joins_at_start:
            assert self.delivered == list(range(self.history.end))


class FairRecoveryMachine(RecoveryMachine):
    fair = True


RecoveryMachine.TestCase.settings = settings(
    max_examples=examples(200), stateful_step_count=50
)
FairRecoveryMachine.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40
)
TestRecovery = RecoveryMachine.TestCase
TestFairRecovery = FairRecoveryMachine.TestCase


@dataclasses.dataclass
class Kept:
    """The behavior of a history, in simple code."""

    limit: int
    limit_bytes: int
    payloads: list[bytes] = dataclasses.field(default_factory=list)

    def numbers(self) -> list[int]:
        first = end = len(self.payloads)
        while first > 0 and end - first < self.limit:
            size = sum(len(payload) for payload in self.payloads[first - 1 :])
            if size > self.limit_bytes and first < end:
                break
            first -= 1
        return list(range(first, end))


@given(
    limit=st.integers(1, 6),
    limit_bytes=st.sampled_from([0, 5, 12, 100]),
    sizes=st.lists(st.integers(0, 6), max_size=15),
    first=st.integers(0, 16),
    count=st.integers(1, 8),
)
def test_a_history_keeps_the_last_events_and_answers_with_them(
    limit: int, limit_bytes: int, sizes: list[int], first: int, count: int
) -> None:
    kept, model = History(limit, limit_bytes), Kept(limit, limit_bytes)
    for number, size in enumerate(sizes):
        kept.add(number, [(number, b"x" * size)])
        model.payloads.append(b"x" * size)
        assert [*range(kept.first, kept.end)] == model.numbers()
    last = first + count - 1
    wanted = [number for number in model.numbers() if first <= number <= last][:PART]

    with mock.patch.object(history, "REPLY_MAX_EVENTS", PART):
        start, stamps, payloads = kept.select(first, last)

    assert stamps == wanted
    assert payloads == [model.payloads[number] for number in wanted]
    if wanted:
        assert start == wanted[0]
    else:
        # Requested events before it will not come.
        assert start >= max([first, *model.numbers()[:1]])
        assert start <= max(first, kept.end)


def test_one_spelling_of_a_question_is_asked_per_attempt() -> None:
    """So that the answer to an earlier attempt differs from that to the last one."""
    tracker = StreamTracker(SESSION, TOPIC, 0)
    recovery = Recovery(ME, TIMEOUT_S, max_held=4)
    items: list[Event] = []
    recovery.on_position(tracker, 5, 0.0, items)
    recovery.poll(1.0, items, idle=True)

    questions = requests_of(recovery)

    first, second = questions
    assert isinstance(first, RecoveryRequest)
    assert isinstance(second, RecoveryRequest)
    assert first._replace(attempt=0) == second._replace(attempt=0)
    assert first.attempt != second.attempt


def test_events_gone_after_the_first_delivery_are_lost_and_not_skipped() -> None:
    """A stream from its start begins with the first delivered event, even if that came
    with the answer to a repeated request."""
    tracker = StreamTracker(SESSION, TOPIC)
    recovery = Recovery(ME, TIMEOUT_S, max_held=4, from_start=True)
    items: list[Event] = []
    kept = History(4, ALL)
    for number in range(4):
        kept.add(number, [(number, payload_of(number))])
    recovery.on_position(tracker, 4, 0.0, items)
    [first] = requests_of(recovery)
    assert first is not None
    late = encode_recovery_reply(first, ADDRESS, 0, [0, 1, 2], [b"0", b"1", b"2"])
    recovery.poll(1.0, items, idle=True)
    recovery.effects.clear()
    recovery.on_reply(*read(late), 1.0, items)
    [second] = requests_of(recovery)
    assert second is not None
    for number in range(4, 20):
        kept.add(number, [(number, payload_of(number))])
    answer = encode_recovery_reply(
        second, ADDRESS, *kept.select(second.first, second.last)
    )

    gaps = recovery.on_reply(*read(answer), 1.0, items)

    assert [event.sequence for event in items] == [0, 1, 2]
    assert gaps == [Gap(SESSION, TOPIC, 3, 3)]


def test_what_arrived_after_the_question_and_is_held_is_not_lost() -> None:
    """The publisher no longer has it, but we do."""
    tracker = StreamTracker(SESSION, TOPIC, 0)
    recovery = Recovery(ME, TIMEOUT_S, max_held=4)
    items: list[Event] = []
    recovery.on_position(tracker, 3, 0.0, items)
    [question] = requests_of(recovery)
    assert question is not None
    recovery.on_event(tracker, Event(ADDRESS, SESSION, 1, 1, b"", TOPIC), 0.0, items)

    gaps = recovery.on_reply(
        *read(encode_recovery_reply(question, ADDRESS, 3, [], [])), 0.0, items
    )

    assert [event.sequence for event in items] == [1]
    assert gaps == [Gap(SESSION, TOPIC, 0, 0), Gap(SESSION, TOPIC, 2, 2)]


def requests_of(recovery: Recovery) -> list[RecoveryRequest | None]:
    """The requests since the effects were last taken."""
    return [
        parse_recovery_request(effect.raw)
        for effect in recovery.effects
        if isinstance(effect, Request)
    ]


def read(frame: bytes) -> tuple[RecoveryRequest, Batch]:
    found = decode_recovery_reply(frame)
    assert found is not None
    return found

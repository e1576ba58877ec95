"""`StreamTracker` beside a model that keeps every number in sets, step by step.

More than `test_sequence.py` does with lists of steps: the start may be unknown, the
receive path advances ``expected`` in place, the gaps that may be open are few, and what
a gap says is compared number by number.
"""

from __future__ import annotations

from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.rings import examples

from pubsub_common.protocol import sequence
from pubsub_common.protocol.sequence import Gap, StreamTracker

# So few that every run comes to the limit.
OPEN_GAPS = 3
NUMBERS = st.integers(0, 40)


class TrackerModel:
    """Remembers everything, and counts by going through it."""

    def __init__(self, start: int | None) -> None:
        self.start = start
        self.end = start or 0
        self.delivered: set[int] = set()
        self.duplicated = 0
        self.reordered = 0
        self.open: list[list[int]] = []  # runs of numbers that may still come

    @property
    def lost(self) -> set[int]:
        return set(range(self.start or 0, self.end)) - self.delivered

    def expect(self, number: int) -> list[int]:
        """The numbers that are missing from now on."""
        if self.start is None:
            self.start = self.end = number
        missing = list(range(self.end, number))
        self.end = max(self.end, number)
        self.keep([*self.open, missing])
        return missing

    def observe(self, number: int) -> list[int]:
        missing = self.expect(number)
        if number == self.end:
            self.end += 1
            self.delivered.add(number)
        elif any(number in run for run in self.open):
            self.delivered.add(number)
            self.reordered += 1
            halves = [
                part
                for run in self.open
                for part in (
                    [n for n in run if n < number],
                    [n for n in run if n > number],
                )
            ]
            self.keep(halves)
        else:
            self.duplicated += 1
        return missing

    def keep(self, runs: list[list[int]]) -> None:
        """Only the newest stay open."""
        self.open = [run for run in runs if run][-OPEN_GAPS:]


class TrackerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.few = mock.patch.object(sequence, "MAX_OPEN_GAPS", OPEN_GAPS)
        self.few.start()
        self.told: list[int] = []

    @initialize(start=st.none() | st.integers(0, 5))
    def begin(self, start: int | None) -> None:
        self.model = TrackerModel(start)
        self.tracker = StreamTracker(7, "A", -1 if start is None else start)

    def check_gap(self, gap: Gap | None, missing: list[int]) -> None:
        if gap is None:
            assert missing == []
            return
        assert (gap.session, gap.topic) == (7, "A")
        assert list(range(gap.first, gap.last + 1)) == missing
        assert gap.count == len(missing) > 0
        self.told += missing

    @rule(number=NUMBERS)
    def arrive(self, number: int) -> None:
        before = self.tracker.duplicated
        new = number not in self.model.delivered

        gap = self.tracker.observe(number)

        self.check_gap(gap, self.model.observe(number))
        if self.tracker.duplicated == before:  # then it is passed on to the user
            assert new

    @rule(back=st.integers(1, 8))
    def arrive_late(self, back: int) -> None:
        self.arrive(max(0, self.model.end - back))

    @rule(number=NUMBERS)
    def announce(self, number: int) -> None:
        self.check_gap(self.tracker.expect(number), self.model.expect(number))

    @precondition(lambda self: self.model.start is not None)
    @rule(count=st.integers(1, 4))
    def arrive_in_order(self, count: int) -> None:
        """As the receive path does with what it expects: a burst, or a batch."""
        self.tracker.expected += count
        for _ in range(count):
            self.model.observe(self.model.end)

    @invariant()
    def both_count_the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        model, tracker = self.model, self.tracker
        assert tracker.received == len(model.delivered)
        assert tracker.lost == len(model.lost)
        assert tracker.duplicated == model.duplicated
        assert tracker.reordered == model.reordered
        assert tracker.expected == (-1 if model.start is None else model.end)

    @invariant()
    def a_number_is_told_to_be_missing_once_and_what_is_lost_was_told(self) -> None:
        if hasattr(self, "model"):
            assert len(self.told) == len(set(self.told))
            assert self.model.lost <= set(self.told)

    @invariant()
    def the_same_gaps_are_open(self) -> None:
        if hasattr(self, "model"):
            runs = [(run[0], run[-1]) for run in self.model.open]
            assert self.tracker._open == runs
            assert len(runs) <= OPEN_GAPS

    def teardown(self) -> None:
        self.few.stop()


TrackerMachine.TestCase.settings = settings(
    max_examples=examples(150), stateful_step_count=40
)
TestTrackerAgainstModel = TrackerMachine.TestCase

"""Gap tracking, checked against a set of all numbers that ever arrived."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.sequence import MAX_OPEN_GAPS, Counts, Gap, StreamTracker

SEQUENCES = st.integers(0, 40)


class NaiveTracker:
    """A tracker that remembers everything, for streams with a known start."""

    def __init__(self) -> None:
        self.arrived: set[int] = set()
        self.end = 0
        self.duplicated = 0
        self.reordered = 0

    def observe(self, sequence: int) -> bool:
        if sequence in self.arrived:
            self.duplicated += 1
            return False
        self.reordered += sequence < self.end
        self.arrived.add(sequence)
        self.end = max(self.end, sequence + 1)
        return True

    def expect(self, sequence: int) -> None:
        self.end = max(self.end, sequence)

    @property
    def missing(self) -> set[int]:
        return set(range(self.end)) - self.arrived


def delivered(tracker: StreamTracker, sequence: int) -> tuple[bool, Gap | None]:
    """Whether the arrival is new, as a subscriber decides it, and the gap shown."""
    before = tracker.duplicated
    gap = tracker.observe(sequence)
    return tracker.duplicated == before, gap


def numbers(gaps: list[Gap]) -> list[int]:
    return [n for gap in gaps for n in range(gap.first, gap.last + 1)]


@given(st.lists(st.tuples(st.sampled_from(["arrive", "expect"]), SEQUENCES)))
def test_tracking_agrees_with_a_set_of_all_numbers(
    steps: list[tuple[str, int]],
) -> None:
    tracker, naive = StreamTracker(1, "A", expected=0), NaiveTracker()
    gaps: list[Gap] = []
    for step, sequence in steps:
        if step == "arrive":
            new, gap = delivered(tracker, sequence)
            assert new == naive.observe(sequence)
        else:
            gap = tracker.expect(sequence)
            naive.expect(sequence)
        gaps += [] if gap is None else [gap]
        assert tracker.received == len(naive.arrived)
        assert tracker.lost == len(naive.missing)
        assert tracker.duplicated == naive.duplicated
        assert tracker.reordered == naive.reordered
        assert tracker.expected == naive.end
    announced = numbers(gaps)
    assert len(announced) == len(set(announced))
    assert naive.missing <= set(announced)
    assert set(announced) - naive.missing <= naive.arrived


@given(
    st.integers(1, 40),
    st.randoms(use_true_random=False),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
)
def test_any_order_with_losses_and_duplicates_is_accounted_for(
    count: int, chance: random.Random, loss: float, duplication: float
) -> None:
    kept = [n for n in range(count) if chance.random() >= loss]
    arrivals = kept + [n for n in kept if chance.random() < duplication]
    chance.shuffle(arrivals)
    tracker = StreamTracker(1, "A", expected=0)

    passed_on = [n for n in arrivals if delivered(tracker, n)[0]]
    tracker.expect(count)

    assert sorted(passed_on) == kept
    assert tracker.received + tracker.lost == count
    assert tracker.received == len(kept)
    assert tracker.duplicated == len(arrivals) - len(kept)


@given(st.lists(SEQUENCES, min_size=1))
def test_a_stream_without_known_start_begins_at_its_first_arrival(
    arrivals: list[int],
) -> None:
    tracker = StreamTracker(1, "A")
    start = arrivals[0]

    passed_on = [n for n in arrivals if delivered(tracker, n)[0]]

    assert set(passed_on) == {n for n in arrivals if n >= start}
    assert len(passed_on) == len(set(passed_on))
    assert tracker.received + tracker.lost == max(arrivals) + 1 - start
    assert tracker.received + tracker.duplicated == len(arrivals)


def test_a_gap_names_the_numbers_between() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    tracker.observe(0)

    gap = tracker.observe(4)

    assert gap == Gap(session=7, topic="A", first=1, last=3)
    assert gap is not None
    assert gap.count == 3
    assert tracker.lost == 3


def test_events_in_order_show_no_gap() -> None:
    tracker = StreamTracker(7, "A", expected=0)

    assert [tracker.observe(n) for n in range(100)] == [None] * 100
    assert (tracker.received, tracker.lost) == (100, 0)


def test_after_5_and_3_the_event_4_is_late_and_not_new() -> None:
    tracker = StreamTracker(7, "A", expected=3)
    tracker.observe(5)
    tracker.observe(3)

    assert tracker.observe(4) is None
    assert (tracker.received, tracker.lost, tracker.reordered) == (3, 0, 2)


def test_losses_before_the_first_and_after_the_last_event_count() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    tracker.observe(2)

    assert tracker.expect(5) == Gap(7, "A", 3, 4)
    assert (tracker.received, tracker.lost) == (1, 4)


def test_an_announcement_of_the_past_changes_nothing() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    tracker.observe(4)

    assert tracker.expect(2) is None
    assert (tracker.expected, tracker.lost) == (5, 4)


def test_the_first_announcement_sets_the_start_of_a_stream() -> None:
    tracker = StreamTracker(7, "A")

    assert tracker.expect(10) is None
    assert tracker.observe(12) == Gap(7, "A", 10, 11)


def test_beyond_the_limit_of_gaps_the_oldest_is_final() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    for number in range(MAX_OPEN_GAPS + 1):
        tracker.observe(2 * number + 1)

    assert delivered(tracker, 0) == (False, None)
    assert delivered(tracker, 2) == (True, None)
    assert tracker.lost == MAX_OPEN_GAPS


def test_late_events_do_not_cut_one_gap_into_more_than_the_limit() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    late = range(1, 8 * MAX_OPEN_GAPS, 2)
    tracker.observe(8 * MAX_OPEN_GAPS)

    for number in late:
        assert delivered(tracker, number) == (True, None)

    # Every second number arrived; of those between, only the newest are still open.
    still_open = [n for n in range(8 * MAX_OPEN_GAPS) if delivered(tracker, n)[0]]
    assert len(still_open) == MAX_OPEN_GAPS
    assert min(still_open) >= 6 * MAX_OPEN_GAPS
    assert tracker.received + tracker.lost == 8 * MAX_OPEN_GAPS + 1


def test_counts_add_up() -> None:
    tracker = StreamTracker(7, "A", expected=0)
    for number in (0, 3, 2, 2):
        tracker.observe(number)
    total = Counts(received=10, lost=20, duplicated=30, reordered=40)

    total.add(tracker)
    total.add(Counts(received=100))

    assert total == Counts(received=113, lost=21, duplicated=31, reordered=41)

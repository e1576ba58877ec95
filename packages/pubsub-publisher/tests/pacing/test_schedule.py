"""When events are due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_publisher.pacing.schedule import Schedule

starts = st.integers(min_value=0, max_value=2**63)
periods = st.integers(min_value=0, max_value=10**15)
indices = st.integers(min_value=0, max_value=10**12)


def test_the_first_event_is_due_at_the_start() -> None:
    assert Schedule(start_ns=1_000, period_ns=10).due_ns(0) == 1_000


@given(starts, periods, indices)
def test_each_event_is_due_one_period_after_the_one_before(
    start_ns: int, period_ns: int, index: int
) -> None:
    schedule = Schedule(start_ns, period_ns)

    assert schedule.due_ns(index + 1) - schedule.due_ns(index) == period_ns


def test_a_year_of_events_has_not_drifted_by_a_nanosecond() -> None:
    schedule = Schedule(start_ns=0, period_ns=1_000_003)

    assert schedule.due_ns(31_536_000_000) == 31_536_000_000 * 1_000_003


def test_with_no_period_all_events_are_due_at_once() -> None:
    schedule = Schedule(start_ns=5, period_ns=0)

    assert {schedule.due_ns(index) for index in range(1000)} == {5}

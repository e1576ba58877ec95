"""So many events a second at most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_publisher.pacing.rate_limiter import RateLimiter

PERIOD_NS = 100_000_000


def test_events_that_wait_go_one_period_after_the_other_whenever_it_is_looked() -> None:
    limiter = RateLimiter(10)
    limiter.arrived(1000)

    assert limiter.take(1000, 50) == 1
    assert limiter.take(1000 + PERIOD_NS - 1, 49) == 0
    assert limiter.due_ns() == 1000 + PERIOD_NS
    # Late by half a period: the next one is not.
    assert limiter.take(1000 + PERIOD_NS * 3 // 2, 49) == 1
    assert limiter.due_ns() == 1000 + 2 * PERIOD_NS
    assert limiter.take(1000 + 10 * PERIOD_NS, 48) == 9


def test_after_a_pause_of_the_input_the_schedule_begins_anew() -> None:
    limiter = RateLimiter(10)
    limiter.arrived(0)
    assert limiter.take(0, 1) == 1
    late = 100 * PERIOD_NS

    limiter.arrived(late)

    assert limiter.take(late, 50) == 1
    assert limiter.take(late + PERIOD_NS, 49) == 1


def test_input_that_is_early_waits_for_its_time() -> None:
    limiter = RateLimiter(10)
    limiter.arrived(0)
    assert limiter.take(0, 1) == 1

    limiter.arrived(1)

    assert limiter.take(1, 1) == 0
    assert limiter.take(PERIOD_NS, 1) == 1


@given(
    rate=st.floats(0.1, 1e6),
    steps=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 20)), min_size=1),
)
def test_there_are_never_more_than_the_rate_allows(
    rate: float, steps: list[tuple[int, int]]
) -> None:
    limiter = RateLimiter(rate)
    now, waiting, sent = 0, 0, 0
    limiter.arrived(0)
    for pause, arrived in steps:
        now += pause
        if not waiting and arrived:
            limiter.arrived(now)
        waiting += arrived
        if waiting:
            count = limiter.take(now, waiting)
            assert 0 <= count <= waiting
            assert count or now < limiter.due_ns()
            waiting -= count
            sent += count
        assert sent <= now * rate / 1e9 + 1.001

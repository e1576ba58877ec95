"""The estimate of a clock's offset, against clocks with a known offset."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st
from support.threads import ended, in_thread

from pubsub_common.client.clock_offset import (
    MIN_EXCHANGES,
    PROBE_INTERVAL_S,
    SAME_CLOCK,
    WINDOW,
    ClockProbes,
    OffsetEstimator,
)

SECOND = 1_000_000_000
DELAY = st.integers(0, 50_000_000)


def exchange(
    estimator: OffsetEstimator,
    at: int,
    there: int,
    back: int,
    offset: int,
    work: int = 0,
) -> int:
    """One exchange that begins at ``at`` of our clock, with true delays; returns when
    it ended."""
    received = at + there + offset
    replied = received + work
    returned = replied - offset + back
    estimator.add(at, received, replied, returned)
    return returned


@given(
    offset=st.integers(-(10**15), 10**15),
    delays=st.lists(
        st.tuples(DELAY, DELAY, DELAY), min_size=MIN_EXCHANGES, max_size=100
    ),
)
def test_the_true_offset_is_always_within_the_bound(
    offset: int, delays: list[tuple[int, int, int]]
) -> None:
    estimator = OffsetEstimator()
    now = 10**18
    for there, back, work in delays:
        now = exchange(estimator, now, there, back, offset, work) + 1000
    found = estimator.estimate(now)
    assert found is not None
    assert abs(found.offset_ns - offset) <= found.bound_ns


def test_the_exchange_that_met_no_queue_decides() -> None:
    estimator = OffsetEstimator()
    now = 0
    for there in (9_000_000, 8_000_000, 20_000, 7_000_000) * 2:
        now = exchange(estimator, now, there, 20_000, offset=5 * SECOND)
    found = estimator.estimate(now)
    assert found is not None
    assert found.offset_ns == 5 * SECOND
    assert found.bound_ns < 25_000


def test_there_is_no_estimate_before_there_are_enough_exchanges() -> None:
    estimator = OffsetEstimator()
    for number in range(MIN_EXCHANGES):
        assert estimator.estimate(0) is None
        exchange(estimator, number * 1000, 10, 10, offset=0)
    assert estimator.estimate(0) is not None


def test_the_bound_grows_with_the_age_of_the_exchanges() -> None:
    estimator = OffsetEstimator()
    for _ in range(MIN_EXCHANGES):
        exchange(estimator, 0, 1000, 1000, offset=0)
    young = estimator.estimate(2000)
    old = estimator.estimate(100 * SECOND)
    assert young is not None
    assert old is not None
    assert old.bound_ns - young.bound_ns >= 100 * SECOND * 30 // 1_000_000 - 100


def test_old_exchanges_leave_the_window() -> None:
    estimator = OffsetEstimator()
    exchange(estimator, 0, 0, 0, offset=0)
    for number in range(WINDOW):
        exchange(estimator, number * 1000, 500, 500, offset=42)
    found = estimator.estimate(WINDOW * 1000)
    assert found is not None
    assert found.offset_ns == 42


def test_a_step_of_a_clock_voids_what_came_before() -> None:
    estimator = OffsetEstimator()
    for _ in range(MIN_EXCHANGES):
        exchange(estimator, 0, 1000, 1000, offset=0)
    # Our clock went back between sending and the return.
    estimator.add(10_000, 11_000, 12_000, 5_000)
    assert estimator.estimate(5_000) is None


def test_a_client_with_the_brokers_clock_never_asks() -> None:
    probes = ClockProbes(shared=True)
    probes.begin(0.0)
    assert probes.next_deadline() is None
    assert not probes.due(1e9)
    assert probes.offset(0) == SAME_CLOCK


def test_a_client_asks_quickly_at_first_and_then_now_and_then() -> None:
    probes = ClockProbes(shared=False)
    assert not probes.due(0.0), "not before it is registered"
    probes.begin(100.0)
    asked = []
    now = 100.0
    while now < 100.0 + 3 * PROBE_INTERVAL_S:
        if probes.due(now):
            asked.append(now)
            probes.answer(0, 5, 5, 0)
        deadline = probes.next_deadline()
        assert deadline is not None
        assert deadline > now
        now = deadline
    assert asked[MIN_EXCHANGES - 1] - asked[0] < 1.0
    assert [round(b - a, 6) for a, b in itertools.pairwise(asked[MIN_EXCHANGES:])] == [
        PROBE_INTERVAL_S
    ] * (len(asked) - MIN_EXCHANGES - 1)
    found = probes.offset(0)
    assert found is not None
    assert found.offset_ns == 5


def test_one_thread_may_ask_while_another_one_adds() -> None:
    estimator = OffsetEstimator()
    for number in range(WINDOW):
        estimator.add(number, number, number, number)
    stopping = threading.Event()

    def add() -> None:
        while not stopping.is_set():
            estimator.add(0, 0, 0, 0)

    thread = in_thread(add)
    for _ in range(5_000):
        assert estimator.estimate(0) is not None
    stopping.set()
    assert ended(thread)

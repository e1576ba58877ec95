"""How often log lines of one kind repeat."""

from __future__ import annotations

from pubsub_common.defaults import LOG_INTERVAL_S
from pubsub_common.logs.throttle import LogThrottle, Permit


def test_one_line_of_each_key_is_permitted_per_interval() -> None:
    throttle = LogThrottle()

    assert throttle.allows("a", 5.0)
    assert not throttle.allows("a", 5.0)
    assert throttle.allows("b", 5.0)
    assert not throttle.allows("a", 5.0 + LOG_INTERVAL_S - 0.1)
    assert throttle.allows("a", 5.0 + LOG_INTERVAL_S)


def test_suppressed_lines_are_counted_up_to_the_next_one() -> None:
    throttle = LogThrottle()

    assert throttle.admit("a", 0.0) == Permit(0, shared=False)
    assert throttle.admit("a", 1.0) is None
    assert throttle.admit("a", 2.0) is None
    assert throttle.admit("a", LOG_INTERVAL_S) == Permit(2, shared=False)
    assert throttle.admit("a", 2 * LOG_INTERVAL_S) == Permit(0, shared=False)


def test_it_tells_when_the_next_line_is_permitted() -> None:
    throttle = LogThrottle()
    throttle.allows("a", 3.0)
    throttle.allows("a", 4.0)

    assert throttle.next_at("a") == 3.0 + LOG_INTERVAL_S
    assert throttle.next_at("b") is None


def test_counts_are_due_when_the_interval_is_over() -> None:
    throttle = LogThrottle()
    for key in ("quiet", "busy", "busy", "busy"):
        throttle.admit(key, 0.0)
    throttle.admit("later", 1.0)

    assert throttle.due(LOG_INTERVAL_S - 0.1) == []
    assert throttle.due(LOG_INTERVAL_S) == [("busy", 2)]
    assert throttle.due(LOG_INTERVAL_S) == []
    # A report begins another interval; silent keys are forgotten.
    assert not throttle.allows("busy", LOG_INTERVAL_S)
    assert throttle.next_at("quiet") is None
    assert throttle.due(2 * LOG_INTERVAL_S) == [("busy", 1)]


def test_too_many_keys_share_one_entry() -> None:
    throttle = LogThrottle(max_keys=3)
    permits = [throttle.admit(key, 0.0) for key in range(6)]

    assert permits == [
        *[Permit(0, shared=False)] * 3,
        Permit(0, shared=True),
        *[None] * 2,
    ]
    assert len(throttle) == 4
    assert throttle.next_at(6) == LOG_INTERVAL_S
    # A known key still has its own entry.
    assert throttle.admit(0, 1.0) is None
    assert throttle.admit(7, LOG_INTERVAL_S) == Permit(0, shared=False)
    assert len(throttle) == 1

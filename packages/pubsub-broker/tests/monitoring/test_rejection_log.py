"""How often rejected control messages are logged."""

from __future__ import annotations

from pubsub_broker.monitoring.rejection_log import RejectionLog
from pubsub_common.defaults import LOG_INTERVAL_S


def test_the_first_refusal_is_said_at_once() -> None:
    assert RejectionLog().rejected(b"p", "no", 0.0) == "rejected: no"


def test_a_flood_is_one_line_per_interval_with_its_size_and_its_senders() -> None:
    log = RejectionLog()
    log.rejected(b"p", "first", 0.0)
    for number in range(500):
        peer = b"p" if number % 2 else b"q"
        assert log.rejected(peer, f"number {number}", 1.0) is None
    assert log.tick(LOG_INTERVAL_S - 0.1) is None

    line = log.tick(LOG_INTERVAL_S)

    assert line == ("rejected 500 more since, from 2 connections; the last: number 499")
    assert log.rejected(b"r", "next", LOG_INTERVAL_S + 1) is None
    assert log.tick(2 * LOG_INTERVAL_S) == (
        "rejected 1 more since, from 1 connection; the last: next"
    )


def test_after_a_quiet_interval_a_refusal_is_said_at_once_again() -> None:
    log = RejectionLog()
    log.rejected(b"p", "first", 0.0)
    assert log.tick(LOG_INTERVAL_S) is None

    assert log.rejected(b"p", "second", LOG_INTERVAL_S) == "rejected: second"


def test_a_refusal_long_after_the_last_is_not_kept_back_for_want_of_a_tick() -> None:
    log = RejectionLog()
    log.rejected(b"p", "first", 0.0)

    line = log.rejected(b"p", "second", 100.0)

    assert line is not None
    assert "second" in line


def test_memory_for_senders_is_bounded() -> None:
    log = RejectionLog()
    for number in range(5000):
        log.rejected(str(number).encode(), "no", 0.0)

    assert "from at least 1000 connections" in str(log.tick(LOG_INTERVAL_S))

"""Heartbeats tell only the sequence numbers that the broker does not know."""

from __future__ import annotations

from pubsub_common.client.reported_numbers import ReportedNumbers


def test_only_changes_are_told() -> None:
    numbers = ReportedNumbers()
    assert numbers.changed({"A": 1, "B": 0}) == {"A": 1}
    assert numbers.changed({"A": 1, "B": 2}) == {"B": 2}
    assert numbers.changed({"A": 1, "B": 2}) == {}


def test_what_did_not_leave_is_told_again() -> None:
    numbers = ReportedNumbers()
    numbers.changed({"A": 1})
    numbers.changed({"A": 1, "B": 2})
    numbers.not_sent()
    assert numbers.changed({"A": 1, "B": 2}) == {"B": 2}


def test_another_broker_is_told_all() -> None:
    numbers = ReportedNumbers()
    numbers.changed({"A": 1})
    numbers.clear()
    assert numbers.changed({"A": 1}) == {"A": 1}

"""Log lines about rejected addresses: each kind is logged, floods are not."""

from __future__ import annotations

import logging

import pytest

from pubsub_common.defaults import LOG_INTERVAL_S
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.logs.throttle import MAX_KEYS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(clock: Clock) -> AuditLog:
    return AuditLog(logging.getLogger("test"), clock)


def test_the_first_is_logged_at_once(
    audit: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    audit.warn("10.0.0.9", "key", "rejected")

    assert caplog.record_tuples == [
        ("test", logging.WARNING, "10.0.0.9: rejected"),
    ]


def test_repetitions_are_counted(
    audit: AuditLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for at, text in ((0.0, "rejected"), (1.0, "rejected"), (9.9, "another")):
        clock.now = at
        audit.warn("10.0.0.9", "key", text)
    clock.now = LOG_INTERVAL_S
    audit.warn("10.0.0.9", "key", "rejected")

    assert caplog.messages == [
        "10.0.0.9: rejected",
        "10.0.0.9: rejected (and 2 more times since the last such line)",
    ]


def test_other_addresses_and_other_kinds_are_logged(
    audit: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    audit.warn("10.0.0.9", "key", "rejected")
    audit.warn("10.0.0.8", "key", "rejected")
    audit.warn("10.0.0.9", "topic", "disconnected")

    assert len(caplog.messages) == 3


def test_a_crowd_of_addresses_shares_one_line(
    audit: AuditLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2 * MAX_KEYS):
        audit.warn(f"10.{number >> 8}.{number & 255}.1", "key", "x")

    assert len(caplog.messages) == MAX_KEYS + 1
    assert caplog.messages[-1].endswith(": x (other addresses too)")
    clock.now = 2 * LOG_INTERVAL_S
    audit.warn("10.200.0.1", "key", "x")
    assert caplog.messages[-1] == "10.200.0.1: x"

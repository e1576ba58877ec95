"""When a stalled subscriber is logged."""

from __future__ import annotations

import itertools

import pytest

from pubsub_common.defaults import LOG_INTERVAL_S
from pubsub_publisher.sending import stall_log
from pubsub_publisher.sending.stall_log import StallLog

PORT = 5556


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall_log, "tcp_table", lambda: None)


def test_a_wait_in_which_events_leave_is_none(caplog: pytest.LogCaptureFixture) -> None:
    watch = StallLog()

    for second in range(100):
        watch.check(second, PORT, float(second))

    assert not caplog.messages


def test_a_wait_is_mentioned_when_it_is_long_and_then_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = StallLog()
    now = 1000.0
    said_at = []
    while now < 1000 + 2.5 * LOG_INTERVAL_S:
        before = len(caplog.messages)
        again_s = watch.check(7, PORT, now)
        if len(caplog.messages) > before:
            said_at.append(now)
        now += again_s

    assert said_at[0] > 1000
    assert len(said_at) == 3
    gaps = [later - sooner for sooner, later in itertools.pairwise(said_at)]
    assert min(gaps) >= LOG_INTERVAL_S
    assert set(caplog.messages) == {
        "publishing waits: a connected subscriber is not reading"
    }

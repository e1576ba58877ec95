"""Waking at a moment."""

from __future__ import annotations

import time

import pytest

from pubsub_publisher.pacing.precise_sleep import sleep_until


def test_it_is_not_over_before_its_time() -> None:
    due_ns = time.monotonic_ns() + 3_000_000

    assert sleep_until(due_ns, lambda: False)
    assert time.monotonic_ns() >= due_ns


def test_the_end_of_a_long_wait_is_noticed() -> None:
    assert not sleep_until(time.monotonic_ns() + 3600 * 10**9, lambda: True)


def test_what_is_due_is_not_waited_for() -> None:
    assert sleep_until(time.monotonic_ns() - 1, lambda: True)


def test_what_ended_it_is_passed_on() -> None:
    def refused() -> bool:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        sleep_until(time.monotonic_ns() + 3600 * 10**9, refused)

"""The clocks by name."""

from __future__ import annotations

import time

import pytest

from pubsub_common.defaults import CLOCKS
from pubsub_common.errors import ConfigError
from pubsub_common.measurement.clocks import clock_ns


def test_realtime_is_the_wall_clock_in_nanoseconds() -> None:
    before = time.time_ns()

    assert before <= clock_ns("realtime")() <= time.time_ns()


def test_monotonic_is_the_clock_that_processes_of_a_kernel_share() -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    now = clock_ns("monotonic")()

    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_every_clock_that_may_be_registered_can_be_read() -> None:
    assert all(isinstance(clock_ns(name)(), int) for name in CLOCKS)


def test_an_unknown_clock_is_refused_with_the_choice() -> None:
    with pytest.raises(ConfigError, match=r"sundial.*realtime, monotonic"):
        clock_ns("sundial")

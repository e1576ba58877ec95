"""Numbers that roles are made with."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pubsub_common import validation
from pubsub_common.errors import ConfigError


@pytest.mark.parametrize(
    "check",
    [
        lambda: validation.at_least("n", 1),
        lambda: validation.at_least("n", 0, 0),
        lambda: validation.in_range("n", 3, 3, 3),
        lambda: validation.port("p", 1),
        lambda: validation.port("p", 65535),
        lambda: validation.port("p", 0, low=0),
        lambda: validation.queue_limit(1),
        lambda: validation.queue_limit(2**31 - 1),
        lambda: validation.seconds("s", 0),
        lambda: validation.seconds("s", 1e-9, zero=False),
    ],
)
def test_what_can_work_passes(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: validation.at_least("n", 0), "n must be at least 1: 0"),
        (lambda: validation.in_range("n", 4, 1, 3), r"n must be in 1\.\.3: 4"),
        (lambda: validation.port("p", 0), r"p must be in 1\.\.65535: 0"),
        (lambda: validation.port("p", 65536), r"p must be in 1\.\.65535: 65536"),
        (
            lambda: validation.queue_limit(2**31),
            r"queue_limit must be in 1\.\.2147483647: 2147483648",
        ),
        (lambda: validation.seconds("s", -0.5), r"s must be 0 seconds or more: -0\.5"),
        (lambda: validation.seconds("s", math.inf), "s must be 0 seconds or more: inf"),
        (lambda: validation.seconds("s", math.nan), "s must be 0 seconds or more: nan"),
        (
            lambda: validation.seconds("s", 0, zero=False),
            "s must be more than 0 seconds: 0",
        ),
        (
            lambda: validation.seconds("s", math.nan, zero=False),
            "s must be more than 0 seconds: nan",
        ),
    ],
)
def test_what_cannot_is_named(check: Callable[[], None], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        check()

"""Payloads from a template, and when each is made."""

from __future__ import annotations

import datetime
import itertools
import time

import pytest

from pubsub_common.errors import ConfigError
from pubsub_publisher.input import publish_input
from pubsub_publisher.input.payload_template import payload_template


def test_the_count_is_that_of_the_event() -> None:
    fill = payload_template("{count:03}: {{}}")

    assert [fill(number) for number in (1, 12)] == [b"001: {}", b"012: {}"]


def test_the_time_is_now() -> None:
    before = datetime.datetime.now(datetime.UTC)
    found = datetime.datetime.fromisoformat(payload_template("{time}")(1).decode())
    assert before <= found <= datetime.datetime.now(datetime.UTC)


def test_random_numbers_differ_and_can_be_formatted() -> None:
    fill = payload_template("{random}")
    numbers = [float(fill(1)) for _ in range(20)]

    assert len(set(numbers)) > 1
    assert all(0 <= number < 1 for number in numbers)
    assert len(payload_template("{random:.2f}")(1)) == 4


def test_bytes_of_the_command_line_stay_what_they_are() -> None:
    assert payload_template("\udcff{count}")(1) == b"\xff1"


def test_what_is_not_a_template_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--template: \{x\} is not a field of a payload"
    ):
        payload_template("{x}")


def test_turns_are_numbered_until_stopped() -> None:
    stopped = iter([False, False, False, True])
    turns = publish_input.turns(None, lambda: next(stopped))

    assert list(turns) == [1, 2, 3]


def test_turns_keep_to_the_rate() -> None:
    began = time.monotonic()
    turns = publish_input.turns(100.0, lambda: False)

    assert list(itertools.islice(turns, 4)) == [1, 2, 3, 4]
    assert time.monotonic() - began >= 0.03


def test_a_turn_that_is_not_due_ends_when_stopped() -> None:
    calls = itertools.count()
    turns = publish_input.turns(0.001, lambda: next(calls) > 3)

    assert list(turns) == [1]

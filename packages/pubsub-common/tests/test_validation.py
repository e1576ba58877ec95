"""The checks of roles' arguments: types first, then values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        lambda: validation.seconds("s", math.inf, infinite=True),
        lambda: validation.seconds("s", math.inf, zero=False, infinite=True),
        lambda: validation.linger("l", 2_147_483),
        lambda: validation.flag("f", False),
        lambda: validation.text("t", ""),
        lambda: validation.text("t", None, optional=True),
        lambda: validation.path("p", "file.csv"),
        lambda: validation.path("p", Path("file.csv")),
        lambda: validation.path("p", None),
        lambda: validation.callback("c", print),
        lambda: validation.callback("c", None),
        lambda: validation.choice("c", "drop", ("drop", "block")),
        lambda: validation.choice("c", None, (None, True, False)),
    ],
)
def test_what_can_work_passes(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: validation.at_least("n", 0), "n must be at least 1: 0"),
        (lambda: validation.in_range("n", 4, 1, 3), "n must be in 1..3: 4"),
        (lambda: validation.port("p", 0), "p must be in 1..65535: 0"),
        (lambda: validation.port("p", 65536), "p must be in 1..65535: 65536"),
        (
            lambda: validation.queue_limit(2**31),
            "queue_limit must be in 1..2147483647: 2147483648",
        ),
        (lambda: validation.seconds("s", -0.5), "s must be 0 seconds or more: -0.5"),
        (
            lambda: validation.seconds("s", math.inf),
            "s must be 0 seconds or more, but not infinite: inf",
        ),
        (lambda: validation.seconds("s", math.nan), "s must be 0 seconds or more: nan"),
        (
            lambda: validation.seconds("s", -math.inf, infinite=True),
            "s must be 0 seconds or more: -inf",
        ),
        (
            lambda: validation.seconds("s", 0, zero=False),
            "s must be more than 0 seconds: 0",
        ),
        (
            lambda: validation.seconds("s", math.nan, zero=False, infinite=True),
            "s must be more than 0 seconds: nan",
        ),
        (
            lambda: validation.choice("c", "mixed", ("drop", "block")),
            "c must be 'drop' or 'block': 'mixed'",
        ),
        (
            lambda: validation.linger("l", 2_147_484),
            "l must be at most 2147483 seconds: 2147484",
        ),
        (lambda: validation.linger("l", -1), "l must be 0 seconds or more: -1"),
        (lambda: validation.path("p", ""), "p must be the path of a file: ''"),
        (
            lambda: validation.path("p", "a\0b"),
            "p must be a path without a zero byte: 'a\\x00b'",
        ),
    ],
)
def test_what_cannot_is_named(check: Callable[[], None], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check()
    assert str(error.value) == said


NUMBERS = [validation.at_least, validation.port]


@pytest.mark.parametrize("check", NUMBERS)
@pytest.mark.parametrize("value", ["5", None, 5.0, True, b"5", [5]])
def test_a_whole_number_is_an_int(check: Callable[..., None], value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^port must be a whole number: .*"):
        check("port", value)


@pytest.mark.parametrize("value", ["5", None, True, [1.0], 1j])
def test_seconds_are_a_number(value: Any) -> None:
    for infinite in (False, True):
        with pytest.raises(ConfigError, match=r"^linger_s must be a number of seconds"):
            validation.seconds("linger_s", value, infinite=infinite)


@pytest.mark.parametrize("value", ["yes", 1, None, 0.0])
def test_a_flag_is_true_or_false(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^secure must be True or False: "):
        validation.flag("secure", value)


@pytest.mark.parametrize("value", [None, b"127.0.0.1", 5, ["a"]])
def test_a_text_is_a_str(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^broker_address must be a text: "):
        validation.text("broker_address", value)


@pytest.mark.parametrize("value", [5, b"x", True, ["a"]])
def test_a_path_is_a_str_or_a_path(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^keys must be the path of a file: "):
        validation.path("keys", value)


def test_what_is_not_optional_is_not_none() -> None:
    with pytest.raises(ConfigError, match=r"^keys must be the path of a file: None"):
        validation.path("keys", None, optional=False)
    with pytest.raises(ConfigError, match=r"^on_event must be a function: None"):
        validation.callback("on_event", None, optional=False)


def test_a_callback_can_be_called() -> None:
    not_a_function: Any = "print"
    with pytest.raises(ConfigError, match=r"^on_gap must be a function: 'print'"):
        validation.callback("on_gap", not_a_function)


def test_a_choice_is_of_the_type_of_an_option() -> None:
    with pytest.raises(
        ConfigError, match=r"^centralized must be None or True or False"
    ):
        validation.choice("centralized", 1, (None, True, False))


def test_names_are_any_list_of_texts() -> None:
    assert validation.names("topics", ["a", "b"]) == ("a", "b")
    assert validation.names("topics", (each for each in "ab")) == ("a", "b")
    assert validation.names("topics", []) == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("news", "topics is a list of texts, not a text: 'news'; write ['news']"),
        (None, "topics must be a list of texts: None"),
        (5, "topics must be a list of texts: 5"),
        ([b"a"], "topics must have texts only: b'a'"),
        (["a", 5], "topics must have texts only: 5"),
        (b"news", "topics must have texts only: 110"),
    ],
)
def test_anything_else_is_no_list_of_names(value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        validation.names("topics", value)
    assert str(error.value) == said

"""Filters, by MQTT's rules and its own examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.wildcards import (
    asterisk_warning,
    covers,
    is_filter,
    matches,
    validate_publisher_topics,
    validate_subscriptions,
)

# MQTT 3.1.1, sections 4.7.1.2 and 4.7.1.3, 4.7.2 and 4.7.3: what the text says.
EXAMPLES = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/#", "sport", True),
    ("#", "sport/tennis", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player2", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+", "sport", True),
    ("+/tennis/#", "sport/tennis/player1", True),
    ("/finance", "/finance", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("#", "$SYS/uptime", False),
    ("+/monitor/Clients", "$SYS/monitor/Clients", False),
    ("$SYS/#", "$SYS/uptime", True),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
    ("ACCOUNTS", "Accounts", False),
]
LEVELS = st.sampled_from(["", "a", "b", "$x", "+", "#", "C#"])
PATHS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
SUBSCRIPTIONS = PATHS.filter(lambda path: path and "#" not in path.split("/")[:-1])
TOPICS = st.lists(
    st.sampled_from(["", "a", "b", "$x", "C#"]), min_size=1, max_size=4
).map("/".join)


@pytest.mark.parametrize(("subscription", "topic", "expected"), EXAMPLES)
def test_the_examples_of_mqtt(subscription: str, topic: str, expected: bool) -> None:
    assert matches(subscription, topic) is expected


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        ("a/+", True),
        ("#", True),
        ("+", True),
        ("a/#", True),
        ("a", False),
        ("C#", False),
        ("a+b/c", False),
    ],
)
def test_a_filter_has_a_level_that_is_a_wildcard(
    subscription: str, expected: bool
) -> None:
    assert is_filter(subscription) is expected


@pytest.mark.parametrize("subscription", ["a/#/b", "#/a", "#/#"])
def test_the_rest_comes_last(subscription: str) -> None:
    with pytest.raises(ConfigError, match="at the end"):
        validate_subscriptions(["A", subscription])


@pytest.mark.parametrize("topic", ["+", "a/+/b", "a/#", "#"])
def test_a_publisher_has_no_wildcards(topic: str) -> None:
    with pytest.raises(ConfigError, match="for subscriptions"):
        validate_publisher_topics(["A", topic])


def test_ordinary_topics_are_both() -> None:
    assert validate_publisher_topics(["A", "b/*", "A"]) == ("A", "b/*")
    assert validate_subscriptions(["A", "b/*", "a/+/#"]) == ("A", "b/*", "a/+/#")


@pytest.mark.parametrize(
    "topic", ["sensors/temp#", "a/b+", "C#", "a/+b/c", "##", "+/x#"]
)
@pytest.mark.parametrize(
    "validate", [validate_subscriptions, validate_publisher_topics]
)
def test_a_wildcard_is_a_whole_level(
    validate: Callable[[list[str]], tuple[str, ...]], topic: str
) -> None:
    with pytest.raises(ConfigError) as error:
        validate(["A", topic])
    said = str(error.value)
    assert "\n" not in said
    if validate is validate_subscriptions or topic != "+/x#":  # which is a filter
        assert said == (
            f"{topic!r}: + and # stand only for whole levels, as in "
            "'sensors/+/temp' and 'sensors/#'"
        )


def test_an_asterisk_is_warned_about() -> None:
    assert asterisk_warning(["a", "b/+", "#"]) is None
    one, more = asterisk_warning(["a", "b/*"]), asterisk_warning(["b*", "c", "*"])
    assert one is not None
    assert one.startswith("subscription 'b/*': * is an ordinary character")
    assert more is not None
    assert more.startswith("subscription 'b*' and 1 more: ")


# One that stands for all that another one does

levels = st.sampled_from(["a", "b", "", "+", "#", "$s"])
subscriptions = st.lists(levels, min_size=1, max_size=4).map("/".join)
plain = st.lists(st.sampled_from(["a", "b", "", "$s"]), min_size=1, max_size=5).map(
    "/".join
)


@given(subscriptions, subscriptions, plain)
def test_who_is_covered_matches_no_more(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(subscriptions)
def test_each_covers_itself(subscription: str) -> None:
    assume("#" not in subscription.split("/")[:-1])
    assert covers(subscription, subscription)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("#", "a/b", True),
        ("#", "+/b", True),
        ("#", "$sys/a", False),
        ("#", "$sys/#", False),
        ("a/#", "a", True),
        ("a/#", "a/+/c", True),
        ("a/#", "+/b", False),
        ("a/+", "a/#", False),
        ("a/+", "a/b", True),
        ("a/+", "a/+", True),
        ("a/b", "a/+", False),
        ("+/+", "a/+", True),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_some_that_cover(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected

"""Hints about topics that nobody else has."""

from __future__ import annotations

import pytest
from support.ports import unused_port

from pubsub_common.client.topic_hints import did_you_mean, no_publisher, topics_at

PUBLISHED = ("hall/humidity", "hall/temperature", "weather")


@pytest.mark.parametrize(
    ("subscriptions", "hint"),
    [
        (["weather"], None),
        (["hall/#", "weather"], None),
        (["wether"], "no publisher of wether is connected; did you mean weather?"),
        (["Weather"], "no publisher of Weather is connected; did you mean weather?"),
        (
            ["weather", "hall/temprature", "hall/humidty"],
            "no publisher of hall/temprature, hall/humidty is connected; "
            "did you mean hall/temperature, hall/humidity?",
        ),
        (
            ["zebra"],
            "no publisher of zebra is connected; topics with publishers: "
            "hall/humidity, hall/temperature, weather",
        ),
        (
            ["attic/#"],
            "no publisher of attic/# is connected; topics with publishers: "
            "hall/humidity, hall/temperature, weather",
        ),
    ],
)
def test_topics_without_a_publisher_are_named(
    subscriptions: list[str], hint: str | None
) -> None:
    assert no_publisher(subscriptions, PUBLISHED) == hint


def test_without_any_publisher_that_is_all() -> None:
    assert no_publisher(["A"], ()) == "no publisher is connected"


def test_many_topics_are_not_all_named() -> None:
    published = [f"t{n}/x" for n in range(8)]

    hint = no_publisher(["zebra"], published)

    assert hint is not None
    assert hint.endswith("publishers: t0/x, t1/x, t2/x, t3/x, t4/x and 3 more")


def test_names_of_others_are_shown_on_one_line() -> None:
    hint = no_publisher(["a\u2028b"], ["a\u2028c\u202e"])

    assert hint is not None
    assert hint.isprintable()


def test_a_name_itself_is_no_suggestion() -> None:
    assert did_you_mean(["A"], ["A"]) is None
    assert did_you_mean(["news"], ["nexs", "zzz"]) == "did you mean nexs?"


def test_a_broker_that_is_gone_gives_no_hint() -> None:
    with unused_port() as port:
        assert topics_at([("127.0.0.1", port)], "127.0.0.1", "publisher") is None

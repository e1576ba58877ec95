"""The options of a subscriber."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pubsub_common.errors import ConfigError
from pubsub_subscriber import Subscriber, aio
from pubsub_subscriber.config import SubscriberConfig


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"topics": "news"}, "topics is a list of texts, not a text"),
        ({"topics": None}, "topics must be a list of texts"),
        ({"topics": [b"a"]}, "topics must have texts only"),
        ({"topics": ["sensors/temp#"]}, "sensors/temp#"),
        ({"broker_address": None}, "broker_address must be a list of texts"),
        ({"broker_port": "5555"}, "broker_port must be a whole number"),
        ({"indefinite": 1}, "indefinite must be True or False"),
        ({"max_event_count": "5"}, "max_event_count must be a whole number"),
        ({"max_event_count": True}, "max_event_count must be a whole number"),
        ({"centralized": "yes"}, "centralized must be True or False"),
        ({"address": 7}, "address must be a text"),
        ({"clock": None}, "clock must be"),
        ({"connect_timeout_s": "5"}, "connect_timeout_s must be a number of seconds"),
        ({"attach_timeout_s": -1}, "attach_timeout_s must be 0 seconds or more"),
        ({"attach_timeout_s": float("inf")}, "attach_timeout_s must be 0 seconds"),
        ({"attach_timeout_s": float("nan")}, "attach_timeout_s must be 0 seconds"),
        ({"queue_limit": 1.5}, "queue_limit must be a whole number"),
        ({"on_event": 5}, "on_event must be a function"),
        ({"on_gap": 5}, "on_gap must be a function"),
        ({"on_publisher": "f"}, "on_publisher must be a function"),
        ({"recover": None}, "recover must be True or False"),
        ({"start": "then"}, "start must be 'now' or 'history'"),
        ({"recover_timeout_s": 0}, "recover_timeout_s must be more than 0 seconds"),
        ({"keys": 5}, "keys must be the path of a file"),
        ({"filename": 5}, "filename must be the path of a file"),
        ({"filename": ""}, "filename must be the path of a file"),
    ],
)
@pytest.mark.parametrize("shell", [Subscriber, aio.Subscriber])
def test_an_argument_of_the_wrong_kind_is_named(
    shell: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        shell(**{"topics": ["A"], **options})

    assert reason in str(caught.value)


@pytest.mark.parametrize("shell", [Subscriber, aio.Subscriber])
def test_both_shells_are_made_from_a_config(shell: Any) -> None:
    config = SubscriberConfig(topics=["A", "A", "B"], queue_limit=5)

    subscriber = shell.from_config(config)

    assert subscriber.config == config
    assert subscriber.topics == ("A", "B")
    with pytest.raises(ConfigError, match="at least one topic"):
        shell.from_config(SubscriberConfig())


def test_a_config_does_not_change() -> None:
    config = SubscriberConfig(topics=iter(["A"]))

    assert config.topics == ("A",)
    config.validate()
    config.validate()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.topics = ("B",)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "events", "notified"),
    [
        ({}, None, 15),
        ({"indefinite": True}, None, None),
        ({"max_event_count": 3}, 3, 3),
        ({"indefinite": True, "max_event_count": 3}, None, None),
        ({"filename": "f.csv"}, None, 15),
    ],
)
def test_what_ends_iteration_and_what_ends_notify(
    options: dict[str, Any], events: int | None, notified: int | None
) -> None:
    config = SubscriberConfig(topics=["A"], **options)

    assert (config.event_limit, config.notify_limit) == (events, notified)


def test_an_asterisk_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    Subscriber(topics=["sensors/*"])

    [record] = caplog.records
    assert "'sensors/*'" in record.getMessage()
    assert record.levelname == "WARNING"


def test_a_url_names_the_broker_and_the_topic() -> None:
    url = "pubsub://10.0.0.1:6000/weather"

    config = SubscriberConfig(broker_address=url)
    assert (config.brokers(), config.topics) == ((("10.0.0.1", 6000),), ("weather",))
    config.validate()
    assert SubscriberConfig(broker_address=url, topics=["news"]).topics == ("news",)
